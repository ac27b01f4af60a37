"""Pixels that say nothing of the picture: dead and hot ones, cosmic rays, salt and pepper.

They are found in two ways. Values at which many pixels are *stuck*, the extremes above all, are
found by where they occur: anywhere, however far from what surrounds them. Other impulses are
*outliers*, single pixels beyond what the residuals of all others let expect.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.outliers import REACH, find_outliers
from evodenoise.noise.stuck import find_stuck

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

BAND_PIXELS = 2**20
"""Read at once: what is needed of them takes some 100 MB."""

SMALLEST_SIDE = 8
"""Pixels; a smaller image has too few to tell what is odd."""


USUAL = 0.05, 0.95
FARTHEST = 1000.0
"""Quantiles of the values, and how many times what is between them a value can be away."""


def find_impulses(image: Array, missing: Mask | None = None) -> Mask:
    """Find the pixels whose values are not the picture's, with noise or without.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float; pixels with a nan are missing. It is not modified.
    missing : ndarray of bool, shape (Y, X), optional
        Pixels that do not count, and are not found either.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        The pixels of which at least one channel is an impulse: what hits one channel of a pixel
        mostly hits the others as well, if less.

    Notes
    -----
    Nothing is known of the noise, so that an impulse has to stand out against the noise as it is:
    its tails decide, brightness by brightness, and values that noise has driven to the end of
    their range are none. What neighbours know of, stars, lines, letters, grains of 2 x 2 pixels,
    is none either, nor are dots that recur regularly, or pictures of few values. In doubt a pixel
    is kept: less than one of white noise in a hundred pictures is found.

    An image of 256 x 256 pixels takes 0.1 s, one of 12 million some seconds.

    References
    ----------
    .. [1] R. Garnett et al., "A universal noise removal algorithm with an impulse detector", IEEE
       Trans. Image Processing 14(11), 2005: ranked differences to the neighbours.
    .. [2] P. G. van Dokkum, "Cosmic-ray rejection by Laplacian edge detection", PASP 113, 2001:
       what is sharper than any star.
    .. [3] B. Efron et al., "Empirical Bayes analysis of a microarray experiment", JASA 96, 2001:
       the local false discovery rate.

    Examples
    --------
    >>> import numpy as np
    >>> from evodenoise.noise.impulses import find_impulses
    >>> image = np.random.default_rng(0).normal(100.0, 5.0, (64, 64))
    >>> image[10, 20] = 255.0
    >>> np.argwhere(find_impulses(image)).tolist()
    [[10, 20]]
    """
    planes = np.atleast_3d(image)  # (Y, X, C)
    known = np.isfinite(planes).all(-1)
    if missing is not None:
        known &= ~missing
    found = np.zeros(known.shape, bool)
    if min(known.shape) < SMALLEST_SIDE:
        return found
    for band, inner in _bands(*known.shape):
        for channel in range(planes.shape[2]):
            here = _find(planes[band, :, channel], known[band], known.size)
            found[band][inner] |= here[inner]
    return found


def _bands(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Cut an image into bands of rows that overlap; second, which rows of a band are its own."""
    count = max(1, round(height * width / BAND_PIXELS))
    count = min(count, max(1, height // (4 * REACH)))
    edges = [height * number // count for number in range(count + 1)]
    for first, last in itertools.pairwise(edges):
        top, bottom = max(first - REACH, 0), min(last + REACH, height)
        yield slice(top, bottom), slice(first - top, last - top)


def _find(plane: Array, known: Mask, pixels: int) -> Mask:
    """Find the impulses in some rows of one channel of an image of so many pixels."""
    if not known.any():
        return np.zeros(known.shape, bool)
    values = np.where(known, plane, plane[known][0]).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not _between(low, high, high) > 0:
        return np.zeros(known.shape, bool)
    stuck = find_stuck(_between(low, high, values), known)
    # One pixel far from all others must not decide what 32 bits resolve.
    low, high = _usual_range(values[known & ~stuck], low, high)
    scaled = _between(low, high, values).clip(-FARTHEST, FARTHEST)
    return stuck | find_outliers(scaled, known & ~stuck, pixels)


def _usual_range(values: Array, low: float, high: float) -> tuple[float, float]:
    """Tell between which values most are, or else all."""
    usual = np.quantile(values, USUAL) if values.size else (low, low)
    return (usual[0], usual[1]) if _between(usual[0], usual[1], usual[1]) > 0 else (low, high)


def _between(low: float, high: float, values: Any) -> Any:
    """Shift and scale values so that `low` becomes 0 and `high` 1; 0, if they do not differ."""
    span = high / 2 - low / 2  # the whole of it may be beyond the largest number
    with np.errstate(over="ignore"):  # infinitely far is far
        return (values / 2 - low / 2) / span if span > 0 else 0.0
