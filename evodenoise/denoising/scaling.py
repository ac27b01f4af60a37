"""Pixel values to the values of the engine, and back: unit variance, opponent colours.

Dimensions: Y, X height and width, C channels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.record import NoiseEstimate

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

QUIETEST = 0.1
"""No mixture of channels is taken to be less noisy than so much of the noisiest."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map to zero mean, unit variance and equal noise in all channels.

    Values are first divided by their peak, so that the variance neither over- nor underflows.

    Attributes
    ----------
    peak : float
        Largest absolute value, in pixel units; 1 for an image of zeros.
    offset : ndarray of float64, shape (C,)
        Mean of each channel, in units of the peak.
    mixing : ndarray of float64, shape (C, C)
        What centred values (..., C) are multiplied by; see `mixing_matrix`.
    deviation : float
        Root mean square of the mixed values, in units of the peak.
    """

    peak: float
    offset: Floats
    mixing: Floats
    deviation: float

    @classmethod
    def of(cls, pixels: Array, noise: NoiseEstimate | None = None) -> "Scaling":
        """Find the map for pixels (N, C), not all the same, whose noise has been estimated."""
        values = pixels.reshape(-1, pixels.shape[-1]).astype(np.float64)
        peak = float(np.abs(values).max(initial=0.0)) or 1.0
        values /= peak
        offset = values.mean(0)
        mixing = mixing_matrix(values.shape[1], noise)
        mixed = (values - offset) @ mixing
        deviation = math.sqrt(float(np.square(mixed).mean()))
        return cls(peak, offset, mixing, deviation)

    @property
    def std(self) -> float:
        """What one unit of noise is in pixel units, root mean square over the channels."""
        return self.deviation * self.peak

    def apply(self, pixels: Array) -> Array:
        """Map pixels (..., C) to float32 values."""
        unit = pixels.astype(np.float64) / self.peak
        scaled: Array = ((unit - self.offset) @ self.mixing / self.deviation).astype(np.float32)
        return scaled

    def undo(self, scaled: Array) -> Array:
        """Map values (..., C) back to pixels, in float64."""
        unit = scaled.astype(np.float64) * self.deviation @ np.linalg.inv(self.mixing)
        pixels: Array = (unit + self.offset) * self.peak
        return pixels

    def undo_std(self, variance: Array) -> Array:
        """Turn variances (..., C) of values independent of each other into pixels' deviations."""
        shares = np.square(np.linalg.inv(self.mixing))
        std: Array = np.sqrt(variance.astype(np.float64).clip(min=0) @ shares) * self.std
        return std

    def log_density(self, nats: float, pixels: int) -> float:
        """Turn the log-density of a patch of so many scaled values into one of pixel values."""
        log_volume = float(np.linalg.slogdet(self.mixing)[1]) / len(self.offset)
        return nats - pixels * (math.log(self.deviation) + math.log(self.peak) - log_volume)


def mixing_matrix(channels: int, noise: NoiseEstimate | None = None) -> Floats:
    """Make the matrix that whitens the noise among channels and then decorrelates the colours.

    Parameters
    ----------
    channels : int
        C.
    noise : NoiseEstimate, optional
        Levels of the channels and the correlation between them; by default, and where fine detail
        does not tell them, all are alike and independent.

    Returns
    -------
    ndarray of float64, shape (C, C)
        R^(-1/2) T with R the covariance of the noise over its mean variance, and T the
        orthonormal DCT over the channels: of red, green and blue it makes a sum, red - blue and
        2 green - red - blue, the opponent colours. Their noise is still white, and the edges of
        an image mostly are in the sum.
    """
    from scipy.fft import dct

    opponents: Floats = dct(np.eye(channels), norm="ortho", axis=0).T
    if noise is None or noise.std == 0 or noise.blurred or noise.spectrum is not None:
        return opponents
    relative = np.array(noise.per_channel) / noise.std
    covariance = np.array(noise.correlation) * np.outer(relative, relative)
    variances, axes = np.linalg.eigh(covariance)
    variances = variances.clip(min=QUIETEST**2 * variances.max())
    whitening: Floats = axes / np.sqrt(variances) @ axes.T
    return whitening @ opponents
