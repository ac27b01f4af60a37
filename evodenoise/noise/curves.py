"""The noise level of a channel as a function of the signal, and what it does to expectations.

Dimensions: K knots, M means, Q nodes of a quadrature.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_STD = 1e-3
"""Share of the largest standard deviation of a curve; none of its others is taken to be less."""

MOST_SUMMED = 100.0
"""Mean counts up to which Poisson sums are taken; beyond, a Gaussian gives the same to 1e-4 of a
standard deviation."""

# A Gaussian to 6 standard deviations. The steps are so small that a kink, where values are
# clipped, costs less than 1e-3 of a standard deviation.
NODES = np.linspace(-6.0, 6.0, 241)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()


@dataclass(frozen=True)
class PhotonNoise:
    """Counts of photons, scaled, and Gaussian noise of reading them out.

    Attributes
    ----------
    gain : float
        Variance per unit of signal: pixel units for one photon.
    readout : float
        Standard deviation of the noise without light, in pixel units.
    offset : float
        Black level: the value without light, in pixel units.
    """

    gain: float
    readout: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gain) and self.gain > 0):
            raise ValueError(f"gain is {self.gain}; it must be finite and above 0")
        if not (math.isfinite(self.readout) and self.readout >= 0 and math.isfinite(self.offset)):
            raise ValueError("readout must be finite and at least 0, offset finite")


@dataclass(frozen=True)
class LevelCurve:
    """The standard deviation of the noise of one channel, for each mean of its pixels.

    Between knots the variance is a straight line, beyond them it is constant; with photon noise it
    rises by the gain from the black level on.

    Attributes
    ----------
    values : tuple of float, length K
        Means, in pixel units, increasing.
    stds : tuple of float, length K
        Standard deviation of the noise there, in pixel units.
    photon : PhotonNoise or None
        The noise is that of counts: `values` and `stds` are its black level and its read-out
        noise, and expectations are over Poisson variables.

    Raises
    ------
    ValueError
        If the knots are not finite, do not increase, or there is no noise at all.
    """

    values: tuple[float, ...]
    stds: tuple[float, ...]
    photon: PhotonNoise | None = None

    def __post_init__(self) -> None:
        if not self.values or len(self.values) != len(self.stds):
            raise ValueError("a curve needs knots, each with a value and a standard deviation")
        if not all(map(math.isfinite, (*self.values, *self.stds))):
            raise ValueError("the knots of a curve must be finite")
        if any(later <= earlier for earlier, later in pairwise(self.values)):
            raise ValueError("the values of a curve must increase")
        if min(self.stds) < 0 or (self.photon is None and max(self.stds) == 0):
            raise ValueError("the standard deviations of a curve must be above 0")

    @classmethod
    def constant(cls, std: float) -> "LevelCurve":
        """Say that the level is the same everywhere."""
        return cls((0.0,), (std,))

    @classmethod
    def of_photons(cls, gain: float, readout: float = 0.0, offset: float = 0.0) -> "LevelCurve":
        """Make the curve of photon noise; all in pixel units, see `PhotonNoise`."""
        return cls((offset,), (readout,), PhotonNoise(gain, readout, offset))

    @classmethod
    def of_knots(cls, values: Sequence[float], stds: Sequence[float]) -> "LevelCurve":
        """Make a curve of knots; standard deviations near 0 are raised to a floor."""
        floor = LEAST_STD * max(stds)
        return cls(tuple(map(float, values)), tuple(max(float(std), floor) for std in stds))

    def scaled(self, factor: float) -> "LevelCurve":
        """Return the curve of noise whose standard deviation is so many times as high."""
        stds = tuple(factor * std for std in self.stds)
        if self.photon is None:
            return LevelCurve(self.values, stds)
        return LevelCurve.of_photons(factor**2 * self.photon.gain, stds[0], self.photon.offset)

    @property
    def varies(self) -> bool:
        """Whether the level differs anywhere."""
        return self.photon is not None or len(self.values) > 1

    @property
    def growth(self) -> float:
        """By how much the variance rises with each unit beyond the last knot."""
        return 0.0 if self.photon is None else self.photon.gain

    def variance(self, means: npt.ArrayLike) -> Floats:
        """Return the variance of the noise of pixels with these means, of any shape."""
        at = np.asarray(means, np.float64)
        beyond = np.maximum(at - self.values[-1], 0)
        between: Floats = np.interp(at, self.values, np.square(self.stds))
        variances: Floats = between + self.growth * beyond
        return variances

    def std(self, means: npt.ArrayLike) -> Floats:
        """Return the standard deviation of the noise of pixels with these means."""
        stds: Floats = np.sqrt(self.variance(means))
        return stds

    def level(self, pixels: npt.NDArray[Any]) -> float:
        """Return the root mean square of the noise over noisy pixels, of any shape."""
        return math.sqrt(float(self.variance(pixels).mean()))

    def expect(self, of: Callable[[Floats], Floats], means: Floats) -> Floats:
        """Compute the expectation of a function of a pixel, for each of its means.

        Parameters
        ----------
        of : callable
            Maps values of any shape one by one.
        means : ndarray, shape (M,)
            Of the pixel, at least the black level if the noise is that of photons.

        Returns
        -------
        ndarray, shape (M,)
            E[of(X)] for X Gaussian, or, of photons, a scaled Poisson variable plus a Gaussian.
        """
        if self.photon is None:
            return self._expect_gaussian(of, means)
        counts = (means - self.photon.offset) / self.photon.gain
        few = counts <= MOST_SUMMED
        result = np.empty(means.shape)
        result[few] = _expect_counts(self.photon, of, counts[few])
        result[~few] = self._expect_gaussian(of, means[~few])
        return result

    def _expect_gaussian(self, of: Callable[[Floats], Floats], means: Floats) -> Floats:
        spread: Floats = of(means[:, None] + self.std(means)[:, None] * NODES) @ WEIGHTS  # (M, Q)
        return spread


def _expect_counts(photon: PhotonNoise, of: Callable[[Floats], Floats], counts: Floats) -> Floats:
    """Sum over all counts that could be, for each mean count (M,)."""
    from scipy.special import gammaln, xlogy

    most = float(counts.max(initial=0.0))
    every = np.arange(math.ceil(most + 9 * math.sqrt(most) + 20))
    pixels = photon.offset + photon.gain * every
    read = of(pixels[:, None] + photon.readout * NODES) @ WEIGHTS  # (every,)
    means = counts.clip(min=0)[:, None]
    likely: Floats = np.exp(xlogy(every, means) - means - gammaln(every + 1))  # (M, every)
    sums: Floats = likely @ read
    return sums
