"""Images at half the size and back, and what becomes of the spectrum of their noise on the way.

Noise that reaches further than a patch is removed at coarser scales first, where it reaches less
far: M. Lebrun, M. Colom, J.-M. Morel, "The Noise Clinic: a blind image denoising algorithm", Image
Processing On Line 5, 2015.

Dimensions: T pages, Y, X height and width, C channels, F bands of frequency.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LOWEST, FAR = 4, 8.0
"""Bands, and how many times the mean their density is where noise reaches further than a patch."""

PROBE = 256
"""Pixels of the waves that tell what halving and doubling leave of them."""


def halve(values: Array, missing: Mask) -> tuple[Array, Mask]:
    """Average 2 x 2 pixels.

    Parameters
    ----------
    values : ndarray, shape (T, Y, X, C)
        Pages, gaps filled.
    missing : ndarray of bool, shape (T, Y, X)
        Where the gaps were.

    Returns
    -------
    small : ndarray of float64, shape (T, ceil(Y / 2), ceil(X / 2), C)
        A last odd row or column counts twice.
    gaps : ndarray of bool, shape (T, ceil(Y / 2), ceil(X / 2))
        Pixels of which nothing is known.
    """
    odd = [(0, side % 2) for side in values.shape[1:3]]
    whole = np.pad(values.astype(np.float64), [(0, 0), *odd, (0, 0)], mode="edge")
    unknown = np.pad(missing, [(0, 0), *odd], mode="edge")
    count, height, width = unknown.shape
    blocks = (count, height // 2, 2, width // 2, 2)
    small = whole.reshape(*blocks, values.shape[-1]).mean((2, 4))
    gaps: Mask = np.asarray(unknown.reshape(blocks).all((2, 4)))
    return small, gaps


def double(small: Array, shape: tuple[int, ...]) -> Floats:
    """Enlarge what `halve` made smaller to its old shape (T, Y, X, C), by cubic splines."""
    from scipy.ndimage import map_coordinates

    rows, columns = ((np.arange(side) - 0.5) / 2 for side in shape[1:3])
    places = np.meshgrid(rows, columns, indexing="ij")
    large = np.empty(shape)
    for page, whole in zip(small, large, strict=True):
        for channel in range(shape[3]):
            plane = page[..., channel]
            whole[..., channel] = map_coordinates(plane, places, order=3, mode="nearest")
    return large


def halve_spectrum(spectrum: NoiseSpectrum) -> tuple[float, NoiseSpectrum]:
    """Return the spectrum of noise in averages of 2 x 2 pixels.

    Returns
    -------
    variance : float
        Of that noise, relative to that of the pixels.
    spectrum : NoiseSpectrum
        Its own.

    Notes
    -----
    What the average leaves, cos^2(f / 2) along each axis, folds: a frequency f of the small image
    has been f / 2 and pi - f / 2.
    """
    angles = (np.arange(FREQUENCIES) + 0.5) * np.pi / FREQUENCIES
    averaged = spectrum.density * np.outer(np.cos(angles / 2) ** 2, np.cos(angles / 2) ** 2)
    low = (np.arange(FREQUENCIES) + 0.5) / 2 - 0.5
    bands, each = np.arange(FREQUENCIES), np.eye(FREQUENCIES)
    places = (low, FREQUENCIES - 1 - low)
    folded = np.sum([[np.interp(at, bands, band) for band in each] for at in places], axis=0)
    density = folded.T @ averaged @ folded / 4
    return float(density.mean()), NoiseSpectrum.of(density)


def fine_spectrum(spectrum: NoiseSpectrum, left: float) -> tuple[float, NoiseSpectrum]:
    """Return the spectrum of noise whose coarse part has been removed at half the size.

    Parameters
    ----------
    spectrum : NoiseSpectrum
        Of all of the noise.
    left : float
        Share of the coarse part that is still there, as a standard deviation.

    Returns
    -------
    variance : float
        Of what is left, relative to that of all.
    spectrum : NoiseSpectrum
        Its own.
    """
    coarse = np.outer(coarse_response(), coarse_response())
    density = spectrum.density * ((1 - coarse) ** 2 + (left * coarse) ** 2)
    return float(density.mean()), NoiseSpectrum.of(density)


def reaches_far(spectrum: NoiseSpectrum) -> bool:
    """Tell whether noise of some channel is by far the strongest in the lowest frequencies."""
    low = spectrum.density[:, :LOWEST, :LOWEST].mean((1, 2))
    return bool((low > FAR * spectrum.density.mean((1, 2))).any())


@lru_cache(maxsize=1)
def coarse_response() -> Floats:
    """Tell how much of a wave of each band halving and doubling leave: (F,)."""
    angles = (np.arange(FREQUENCIES) + 0.5) * np.pi / FREQUENCIES
    phases = np.arange(8) * np.pi / 8
    pixels = np.arange(PROBE)[:, None, None]
    waves = np.cos(angles[:, None] * pixels + phases).reshape(1, PROBE, 1, -1)
    waves = np.repeat(waves, 2, axis=2)
    back = double(halve(waves, np.zeros(waves.shape[:3], bool))[0], waves.shape)
    inner = slice(PROBE // 4, -PROBE // 4)
    products = [(one[0, inner, 0] * waves[0, inner, 0]).sum(0) for one in (back, waves)]
    shares = [each.reshape(FREQUENCIES, -1).sum(1) for each in products]
    response: Floats = shares[0] / shares[1]
    return response
