"""Values of a channel to others whose noise has a standard deviation of 1 everywhere, and back.

The way there is a monotone function f with the slope of 1 over the level of the noise. The way
back is not its inverse: denoising returns the mean of f(X), not f of the mean of X. So that mean is
tabulated over the means of X, and the table read backwards.

Dimensions: K knots, M means.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.clipping import clipped_moments
from evodenoise.noise.curves import Floats, LevelCurve

Array = npt.NDArray[Any]

ANSCOMBE = 3 / 8
"""Times the squared slope of the variance, added to it: the variance of few photons is then nearest
to 1, as is that of other noise near where it vanishes."""

SPACING = 0.05
FEWEST_MEANS, MOST_MEANS = 64, 8192
"""Of the table, evenly spaced in stabilised values: so far apart, unless that made too few or too
many of them."""

CLIPPED_KNOTS = 257
"""Of the curve that clipping makes of another."""

REACH = 0.5
"""Standard deviations beyond the bounds up to which means of clipped values are restored: what is
clipped nearly always tells nothing of its mean."""


@dataclass(frozen=True, eq=False)
class Stabilisation:
    """A monotone map of the values of a channel, after which their noise has one level: 1.

    Attributes
    ----------
    curve : LevelCurve
        The noise; where values are clipped, as it was before that.
    low, high : float
        The means that are expected, in pixel units.
    bounds : (float, float) or None
        Where values are clipped, in pixel units; infinite where they are not.
    restore : bool
        Whether `undo` returns the means of values before they were clipped; else those of what is
        recorded.
    knots, variances : ndarray of float64, shape (K,)
        Values, and the variance of the noise there that the map goes by.
    images : ndarray of float64, shape (K,)
        What the knots are mapped to.
    expected, means : ndarray of float64, shape (M,)
        The table: E[f(X)], and the mean that `undo` returns for it.
    """

    curve: LevelCurve
    low: float
    high: float
    bounds: tuple[float, float] | None
    restore: bool
    knots: Floats
    variances: Floats
    images: Floats
    expected: Floats
    means: Floats

    @classmethod
    def of(
        cls,
        curve: LevelCurve,
        low: float,
        high: float,
        *,
        bounds: tuple[float, float] | None = None,
        restore: bool = False,
    ) -> "Stabilisation":
        """Find the map for a curve.

        Parameters
        ----------
        curve : LevelCurve
            The noise; with bounds that of values before they are clipped.
        low, high : float
            Between which means are expected, in pixel units; beyond them the table goes on as a
            straight line, but for photons not below the black level.
        bounds : (float, float), optional
            Where values are clipped, in pixel units; infinite where they are not.
        restore : bool
            Whether `undo` returns the means of values before they were clipped, so that tones near
            the bounds carry no bias; else those of what is recorded.

        Returns
        -------
        Stabilisation
            The map.

        Notes
        -----
        Where the variance v of the noise is piecewise linear, the integral of 1 / sqrt(v) from a
        knot k to x within its piece is 2 (x - k) / (sqrt(v(k)) + sqrt(v(x))), exactly. For photon
        noise with 3/8 gain^2 added to the variance it is the generalised Anscombe transform; below
        the black level, where only the noise of reading out is, it goes on as a straight line.

        References
        ----------
        .. [1] M. Makitalo, A. Foi, "Optimal inversion of the Anscombe transformation in low-count
           Poisson image denoising", IEEE Trans. Image Processing 20(1), 2011.
        .. [2] M. Makitalo, A. Foi, "Optimal inversion of the generalized Anscombe transformation
           for Poisson-Gaussian noise", IEEE Trans. Image Processing 22(1), 2013.
        .. [3] A. Foi, "Clipped noisy images: heteroskedastic modeling and practical denoising",
           Signal Processing 89(12), 2009.
        """
        if curve.photon is not None:
            low = curve.photon.offset
        if not low < high:
            high = low + float(curve.std(low) or curve.growth)
        knots, variances = _knots(curve)
        if bounds is not None:
            knots, variances = _clipped_knots(curve, bounds, low, high)
        stds = np.sqrt(variances)
        steps = 2 * np.diff(knots) / (stds[1:] + stds[:-1])
        images = np.concatenate([[0.0], np.cumsum(steps)])
        none = np.zeros(0)
        bare = cls(curve, low, high, bounds, restore, knots, variances, images, none, none)
        expected, means = bare._tabulate()
        return replace(bare, expected=expected, means=means)

    def apply(self, pixels: Array) -> Floats:
        """Map pixels of any shape; in float64."""
        values = pixels.astype(np.float64)
        piece = self._piece(values, self.knots)
        stds = np.sqrt(self.variances[piece]) + np.sqrt(self._variance(values))
        mapped: Floats = self.images[piece] + 2 * (values - self.knots[piece]) / stds
        return mapped

    def undo(self, estimate: Array) -> Floats:
        """Map estimates of clean stabilised values, of any shape, to those of clean pixels."""
        wanted = estimate.astype(np.float64)
        pixels: Floats = np.asarray(np.interp(wanted, self.expected, self.means))
        open_below, open_above = (math.isinf(end) for end in self._bounds)
        if open_below and self.curve.photon is None:
            below = np.minimum(wanted - self.expected[0], 0)
            pixels = pixels + below * _slope(self.expected[:2], self.means[:2])
        if open_above:
            above = np.maximum(wanted - self.expected[-1], 0)
            pixels = pixels + above * _slope(self.expected[-2:], self.means[-2:])
        return pixels

    def undo_std(self, estimate: Array, std: Array) -> Floats:
        """Turn standard deviations of stabilised estimates into those of pixels.

        They are what a deviation up and one down come to, root mean square: where the way back
        bends, or ends at the black level, its slope alone would say that nothing is uncertain.
        """
        open_below, open_above = (math.isinf(end) for end in self._bounds)
        ends = (
            -math.inf if open_below and self.curve.photon is None else self.expected[0],
            math.inf if open_above else self.expected[-1],
        )
        inside = estimate.astype(np.float64).clip(*ends)
        middle = self.undo(inside)
        up, down = (self.undo(inside + sign * std) - middle for sign in (1, -1))
        pixels: Floats = np.sqrt((up**2 + down**2) / 2)
        return pixels

    def log_slope(self, pixels: Array) -> float:
        """Return the mean logarithm of the slope of the map at pixels of any shape."""
        return float(-np.log(self._variance(pixels.astype(np.float64))).mean() / 2)

    @property
    def _bounds(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.bounds is None else self.bounds

    @property
    def _growth(self) -> float:
        return self.curve.growth if self.bounds is None else 0.0

    def _variance(self, values: Floats) -> Floats:
        """Return the variance that the map goes by."""
        beyond = np.maximum(values - self.knots[-1], 0)
        between: Floats = np.interp(values, self.knots, self.variances)
        variances: Floats = between + self._growth * beyond
        return variances

    @staticmethod
    def _piece(values: Floats, knots: Floats) -> npt.NDArray[np.intp]:
        """Find the last knot below each value, or the first one."""
        return np.maximum(np.searchsorted(knots, values, side="right") - 1, 0)

    def _tabulate(self) -> tuple[Floats, Floats]:
        """Compute E[f(X)] over all means, and what is to be returned for it."""
        low, high = self._extent()
        first, last = self.apply(np.array([low, high])).tolist()
        count = min(max(math.ceil((last - first) / SPACING) + 1, FEWEST_MEANS), MOST_MEANS)
        means = self._invert(np.linspace(first, last, count))
        if self.curve.photon is not None:
            means = means.clip(min=self.curve.photon.offset)
        expected = self.curve.expect(lambda values: self.apply(values.clip(*self._bounds)), means)
        wanted = means
        if self.bounds is not None and not self.restore:
            wanted = clipped_moments(self.curve, self.bounds, means)[0]
        rising = np.concatenate([[True], np.diff(np.maximum.accumulate(expected)) > 0])
        return expected[rising], wanted[rising]

    def _extent(self) -> tuple[float, float]:
        """Return the least and the largest mean of the table."""
        if self.bounds is None:
            return self.low, self.high
        ends = _ends(self.curve, self.bounds, self.low, self.high)
        reach = REACH * self.curve.std(ends)
        return ends[0] - float(reach[0]), ends[1] + float(reach[1])

    def _invert(self, mapped: Floats) -> Floats:
        """Invert the map itself: with the variance, the standard deviation is linear in it."""
        piece = self._piece(mapped, self.images)
        rises = np.append(np.diff(self.variances) / np.diff(self.knots), self._growth)[piece]
        further = mapped - self.images[piece]
        std = np.sqrt(self.variances[piece])
        rise = np.where(further > 0, rises * further / 4, 0)
        inverse: Floats = self.knots[piece] + further * (std + rise)
        return inverse


def _slope(places: Floats, values: Floats) -> float:
    return float((values[1] - values[0]) / (places[1] - places[0]))


def _knots(curve: LevelCurve) -> tuple[Floats, Floats]:
    """Return the knots of a curve and the variances there that a map may go by."""
    values, variances = np.array(curve.values), np.square(curve.stds)
    slopes = np.gradient(variances, values) if len(values) > 1 else np.array([curve.growth])
    return values, variances + ANSCOMBE * slopes**2


def _clipped_knots(
    curve: LevelCurve, bounds: tuple[float, float], low: float, high: float
) -> tuple[Floats, Floats]:
    """Return means of clipped values and the variances there that a map may go by."""
    least, most = _ends(curve, bounds, low, high)
    means = np.linspace(least, most, CLIPPED_KNOTS)
    recorded, variances = clipped_moments(curve, bounds, means)
    values, raised = _knots(curve)
    added = raised - np.square(curve.stds)
    return recorded, variances + np.interp(means, values, added)


def _ends(
    curve: LevelCurve, bounds: tuple[float, float], low: float, high: float
) -> tuple[float, float]:
    """Return the least and the largest mean: bounds, or what is expected where there are none."""
    least = -math.inf if curve.photon is None else curve.photon.offset
    first, last = (
        each if math.isfinite(each) else other
        for each, other in zip(bounds, (low, high), strict=True)
    )
    return max(first, least), last
