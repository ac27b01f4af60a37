"""A sample of the patches of a channel: cut, freed of those that clipping spoils, transformed.

Dimensions: T pages, Y, X height and width, p patch size, N patches, D = p*p.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PATCH_SIZE = 8
MOST_PATCHES = 65_536
FEWEST_PATCHES = 24

STUCK_SHARE = 1 / 32
"""Of the pixels of a patch that may be clipped; more of them hide the noise."""

MOST_LEAN = 0.05
"""Deviations from the median to the mean; of ten photons it is so much."""

FEWEST_VALUES = 16
NEAR = 0.5
"""Of the deviation of the image: so far may the next three values be from a clipped one."""

SPIKE, MOST_BY_CHANCE = 3.0, 2.0
"""A value is clipped if it occurs so many times as often as those beside it do; so often it may
occur in any case."""


def sample_spectra(
    plane: Array, missing: Mask | None, most: int = MOST_PATCHES
) -> tuple[Floats, Floats, int]:
    """Transform evenly spaced patches that have no gaps and are hardly clipped.

    Parameters
    ----------
    plane : ndarray, shape (Y, X) or (T, Y, X)
        One channel, of one page or more.
    missing : ndarray of bool, of the same shape, optional
        Pixels that do not count.
    most : int
        About how many patches.

    Returns
    -------
    spectra : ndarray of float64, shape (N, D)
        Coefficients of the orthonormal DCT, vertical frequency first; none of a plane that is
        smaller than a patch.
    brightness : ndarray of float64, shape (N,)
        Of the patches, in pixel units.
    step : int
        How many rows and columns they lie apart.
    """
    from scipy.fft import dct

    size = PATCH_SIZE
    if min(plane.shape[-2:]) < size:
        return np.zeros((0, size * size)), np.zeros(0), 1
    patches, whole, step = sample_patches(plane, missing, size, most)
    patches = patches[whole].reshape(-1, size * size)
    seen = plane if missing is None else plane[~missing]
    spoilt = [*clipping_values(seen), *_blank_values(patches)]
    stuck = np.isin(patches, spoilt).mean(1) > STUCK_SHARE
    patches = patches if stuck.sum() > len(patches) - 4 * FEWEST_PATCHES else patches[~stuck]
    cosines = dct(np.eye(size), norm="ortho", axis=0)
    return patches @ np.kron(cosines, cosines).T, _brightness(patches), step


def _brightness(patches: Floats) -> Floats:
    """Tell how bright patches (N, D) are: by the median, a star does not make its surroundings so.

    Unless the noise is skewed as that of few photons is; there the median is below the mean.
    """
    if not len(patches):
        return np.zeros(0)
    means, medians = patches.mean(1), np.median(patches, axis=1)
    lean = np.median((means - medians) / np.maximum(patches.std(1), 1e-30))
    return means if abs(lean) > MOST_LEAN else medians


def sample_patches(
    plane: Array, missing: Mask | None, size: int, most: int
) -> tuple[Floats, Mask, int]:
    """Cut evenly spaced patches.

    Parameters
    ----------
    plane : ndarray, shape (Y, X) or (T, Y, X)
        One channel, of one page or more.
    missing : ndarray of bool, of the same shape, optional
        Pixels that do not count.
    size, most : int
        Side of the patches, in pixels, and about how many of them.

    Returns
    -------
    patches : ndarray of float64, shape (N, p, p)
        Cut at every so many rows and columns.
    whole : ndarray of bool, shape (N,)
        Patches that nothing is missing from.
    step : int
        How many rows and columns.
    """
    pages = plane.reshape(-1, *plane.shape[-2:])
    window = (size, size)
    windows = np.lib.stride_tricks.sliding_window_view(pages, window, (1, 2))
    step = math.ceil(math.sqrt(math.prod(windows.shape[:3]) / most))
    patches = np.array(windows[:, ::step, ::step], dtype=np.float64).reshape(-1, *window)
    if missing is None:
        return patches, np.ones(len(patches), bool), step
    gaps = np.lib.stride_tricks.sliding_window_view(missing.reshape(pages.shape), window, (1, 2))
    return patches, ~gaps[:, ::step, ::step].any((3, 4)).ravel(), step


def clipping_values(plane: Array) -> list[float]:
    """List the values that noise beyond the range has been clipped to: one, both or none.

    They occur far more often than the values beside them; and these are near, unlike those of a
    few photons.
    """
    values, counts = np.unique(plane, return_counts=True)
    if len(values) < FEWEST_VALUES:
        return []
    spread = float(plane.std(dtype=np.float64))
    found = []
    for end, beside in ((0, slice(1, 4)), (-1, slice(-4, -1))):
        near = float(np.ptp(values[:4] if end == 0 else values[-4:])) < NEAR * spread
        if near and counts[end] > SPIKE * max(float(counts[beside].mean()), MOST_BY_CHANCE):
            found.append(float(values[end]))
    return found


def _blank_values(patches: Floats) -> list[float]:
    """List the value of a blank area, of a frame or mask, if there is one.

    Where it is dark, many pixels may be without a photon, but seldom all of a patch (N, D).
    """
    blank = patches[np.ptp(patches, axis=1) == 0, 0]
    if not blank.size:
        return []
    values, counts = np.unique(blank, return_counts=True)
    value, inside = values[counts.argmax()], patches.shape[1] * counts.max()
    return [float(value)] if 2 * inside > np.count_nonzero(patches == value) else []
