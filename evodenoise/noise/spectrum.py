"""How the variance of an image's noise is spread over frequency.

Dimensions: C channels, F frequencies along one axis, p patch size, D = p*p*C.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FREQUENCIES = 32
"""F: bands from 0 to the finest, pi a pixel, along each axis; stripes and blotches of more than 60
pixels are in the first."""

FINENESS = 16
"""Frequencies at which a wave is looked at in each band."""

LEAST_DENSITY = 1e-3
"""Of the mean: no frequency is taken to be freer of noise, which matrices of 32 bits could not
tell."""

UNMIXING_STEPS = 60
"""Of the multiplicative updates that find the density behind the variances of waves."""


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Power spectral density of stationary noise, relative to its variance.

    Attributes
    ----------
    density : ndarray of float64, shape (C, F, F)
        Of each channel, over vertical and horizontal frequency; its mean over everything is 1.
        It is the same for waves that rise and fall to the right.
    """

    density: Floats

    @classmethod
    def of(cls, density: npt.ArrayLike) -> "NoiseSpectrum":
        """Normalise a density (C, F, F) that is not negative, and bound it from below."""
        values = np.asarray(density, dtype=np.float64)
        values = np.maximum(values / values.mean(), LEAST_DENSITY)
        return cls(values / values.mean())

    @classmethod
    def from_wave_variances(cls, variances: Floats) -> "NoiseSpectrum":
        """Find the density that gives DCT coefficients some variances.

        Parameters
        ----------
        variances : ndarray, shape (C, p, p)
            Of the coefficients of the orthonormal DCT of p x p patches, vertical frequency first.

        Notes
        -----
        The waves of a patch respond to bands that overlap; the density that explains their
        variances, and is not negative, is found by the multiplicative updates of Richardson and
        Lucy, starting from interpolated variances.
        """
        side = variances.shape[-1]
        response = wave_response(side)  # (p, F)
        centres = (np.arange(FREQUENCIES) + 0.5) * side / FREQUENCIES
        density = np.stack([_interpolate(each, centres) for each in variances])
        reach = response.sum(0)[:, None] * response.sum(0)
        for _ in range(UNMIXING_STEPS):
            ratio = variances / (response @ density @ response.T)
            density = density * (response.T @ ratio @ response) / reach
        return cls.of(density)

    def wave_variances(self, side: int) -> Floats:
        """Return the variances of the DCT coefficients of p x p patches: (C, p, p)."""
        response = wave_response(side)
        return response @ self.density @ response.T

    def profile(self, side: int) -> Floats:
        """Return the same as a patch's coefficients lie, flattened from (p, p, C): (D,)."""
        return self.wave_variances(side).transpose(1, 2, 0).ravel()

    def covariance(self, side: int) -> Floats:
        """Return the covariance of the pixels of a patch, channels being independent: (D, D)."""
        channels, pixels = len(self.density), side * side
        lags = np.abs(np.subtract.outer(np.arange(side), np.arange(side)))
        waves = np.cos(_frequencies()[..., None] * np.arange(side)).mean(1)  # (F, p)
        matrix = np.zeros((pixels, channels, pixels, channels))
        for channel, density in enumerate(self.density):
            correlation = waves.T @ density @ waves / FREQUENCIES**2  # over lags (p, p)
            each = correlation[lags[:, None, :, None], lags[None, :, None, :]]
            matrix[:, channel, :, channel] = each.reshape(pixels, pixels)
        return matrix.reshape(pixels * channels, -1)


@lru_cache(maxsize=16)
def wave_response(side: int) -> Floats:
    """Tell how much of each band the waves of an orthonormal DCT take up: (p, F), rows of sum 1."""
    from scipy.fft import dct

    waves = dct(np.eye(side), norm="ortho", axis=0)  # (p, pixels)
    angles = _frequencies().ravel()
    amplitude = waves @ np.exp(-1j * np.arange(side)[:, None] * angles)
    power: Floats = np.square(np.abs(amplitude)).reshape(side, FREQUENCIES, FINENESS).mean(2)
    return power / FREQUENCIES


def _frequencies() -> Floats:
    """List frequencies, in radians a pixel, within each band: (F, `FINENESS`)."""
    places = (np.arange(FREQUENCIES * FINENESS) + 0.5) * np.pi / (FREQUENCIES * FINENESS)
    return places.reshape(FREQUENCIES, FINENESS)


def _interpolate(values: Floats, places: Floats) -> Floats:
    """Interpolate values (p, p) at fractional places (F,) along both axes: (F, F)."""
    known = np.arange(len(values), dtype=np.float64)

    def along(rows: Any) -> Floats:
        return np.stack([np.interp(places, known, row) for row in rows])

    return along(along(values).T).T
