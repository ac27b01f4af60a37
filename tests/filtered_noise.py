"""Noise that was filtered, and what is known of it exactly.

Blurs are the standard deviations, in pixels, of Gaussian filters: down and to the right.
"""

import numpy as np
import numpy.typing as npt
from scipy.fft import dct
from scipy.ndimage import correlate1d, gaussian_filter1d

from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum

Floats = npt.NDArray[np.float64]
Blurs = tuple[float, float]


def kernel(blur: float) -> Floats:
    """Return the filter of one axis, (33,), that makes white noise noise of unit variance."""
    pulse = np.zeros(33)
    pulse[16] = 1
    taps = gaussian_filter1d(pulse, blur)
    return np.asarray(taps / np.sqrt(np.sum(taps**2)))


def lag_correlations(blur: float, side: int) -> Floats:
    """Correlate filtered noise with itself, for lags along one axis: (p,)."""
    taps = kernel(blur)
    return np.array([np.sum(taps[lag:] * taps[: len(taps) - lag]) for lag in range(side)])


def toeplitz(lags: Floats) -> Floats:
    places = np.arange(len(lags))
    return lags[np.abs(np.subtract.outer(places, places))]


def exact_covariance(blurs: Blurs, side: int) -> Floats:
    """Return the covariance of the pixels of a patch of filtered noise: (p*p, p*p)."""
    return np.kron(*(toeplitz(lag_correlations(blur, side)) for blur in blurs))


def exact_spectrum(blurs: Blurs) -> NoiseSpectrum:
    """Take the squared transfer function of the filter, in the middle of each band."""
    angles = (np.arange(FREQUENCIES) + 0.5) * np.pi / FREQUENCIES
    down, right = (
        np.square(np.cos(angles[:, None] * np.arange(-16, 17)) @ kernel(blur)) for blur in blurs
    )
    return NoiseSpectrum.of(np.outer(down, right)[None])


def filtered_noise(blurs: Blurs, *shape: int, seed: int = 3) -> Floats:
    """Make noise of unit variance, periodic."""
    noise = np.random.default_rng(seed).normal(size=shape)
    for axis, blur in enumerate(blurs):
        noise = correlate1d(noise, kernel(blur), axis=axis, mode="wrap")
    return noise


def wave_variances(covariance: Floats, side: int) -> Floats:
    """Take the diagonal of the covariance in the DCT: (p, p)."""
    waves = dct(np.eye(side), norm="ortho", axis=0)
    both = np.kron(waves, waves)
    return np.diag(both @ covariance @ both.T).reshape(side, side)
