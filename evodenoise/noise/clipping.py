"""Values that were clipped: where, and what their noise was before.

Dimensions: Y, X height and width, N pixels or patches, D coefficients of a patch, K knots, M means.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.curves import Floats, LevelCurve

Array = npt.NDArray[Any]

PILE = 2
"""Times the pixels at the next value, those at an extreme one are a pile: clipping made it."""

FEWEST_CLIPPED = 8
"""Pixels; fewer may be alike by chance, and are too few to matter."""

PATCH_SIZE = 8
MOST_PATCHES = 32_768
FLAT_SHARE = 0.25
"""Patches of so many pixels a side, evenly sampled, of which the flattest share is measured."""

MOST_HIDDEN = 8.0
"""Times the level that is recorded, that of before clipping can be; beyond, next to nothing but
black and white is recorded."""

REACH = 3.0
"""Standard deviations beyond the bounds up to which means are looked for."""

HALVINGS = 40
"""Of an interval that holds the level: to the last digits."""


def find_bounds(pixels: Array, curve: LevelCurve | None = None) -> tuple[float, float] | None:
    """Find the bounds to which pixels were clipped, by the many that stand exactly there.

    Parameters
    ----------
    pixels : ndarray, shape (N,)
        Of one channel, noisy.
    curve : LevelCurve, optional
        Of their noise. Photons that are counted without read-out noise are never below the black
        level, and many may be exactly there: that is no clipping.

    Returns
    -------
    (float, float) or None
        Lower and upper bound, in pixel units, infinite where nothing was clipped; None: nothing
        was at either end.
    """
    low = _piled(pixels, pixels.min())
    if curve is not None and curve.photon is not None and not curve.photon.readout:
        low = False
    high = _piled(pixels, pixels.max())
    if not (low or high):
        return None
    return float(pixels.min()) if low else -math.inf, float(pixels.max()) if high else math.inf


def _piled(pixels: Array, extreme: float) -> bool:
    """Tell whether many more pixels have an extreme value than the value next to it."""
    others = pixels[pixels != extreme]
    if not others.size:
        return False
    following = others.min() if extreme < others[0] else others.max()
    there = pixels.size - others.size
    return bool(there > PILE * np.count_nonzero(others == following) + FEWEST_CLIPPED)


def clipped_moments(
    curve: LevelCurve, bounds: tuple[float, float], means: Floats
) -> tuple[Floats, Floats]:
    """Compute means and variances (M,) of clipped pixels, for their means (M,) before that."""
    first = curve.expect(lambda values: values.clip(*bounds), means)
    second = curve.expect(lambda values: np.square(values.clip(*bounds)), means)
    return first, second - first**2


def level_before_clipping(plane: Array, missing: Array, bounds: tuple[float, float]) -> float:
    """Estimate the one level that the noise of a plane had before values were clipped.

    Parameters
    ----------
    plane : ndarray, shape (Y, X)
        Noisy, clipped.
    missing : ndarray of bool, shape (Y, X)
        Pixels that do not count.
    bounds : (float, float)
        Where it was clipped.

    Returns
    -------
    float
        The standard deviation with which the flattest patches, each with its own mean, would show
        the variance that they show, in high frequencies.
    """
    means, variance = _read_flat_patches(plane, missing)
    if not means.size or not variance:
        return 0.0
    least = math.sqrt(variance)
    most = MOST_HIDDEN * least
    for _ in range(HALVINGS):
        level = (least + most) / 2
        if _recorded_variance(level, bounds, means) < variance:
            least = level
        else:
            most = level
    return (least + most) / 2


def _recorded_variance(level: float, bounds: tuple[float, float], means: Floats) -> float:
    """Compute the mean variance of clipped patches of these means, for a level before that."""
    reach = REACH * level
    low, high = float(means.min()), float(means.max())
    first = low - reach if math.isinf(bounds[0]) else bounds[0] - reach
    last = high + reach if math.isinf(bounds[1]) else bounds[1] + reach
    table = clipped_moments(LevelCurve.constant(level), bounds, np.linspace(first, last, 256))
    return float(np.interp(means, *table).mean())


def _read_flat_patches(plane: Array, missing: Array) -> tuple[Floats, float]:
    """Return the means of the flattest patches and their mean variance in high frequencies."""
    from scipy.fft import dctn

    size = min(PATCH_SIZE, *plane.shape)
    windows = np.lib.stride_tricks.sliding_window_view(plane, (size, size))
    gaps = np.lib.stride_tricks.sliding_window_view(missing, (size, size))
    step = math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / MOST_PATCHES))
    whole = ~gaps[::step, ::step].any((2, 3))
    patches = windows[::step, ::step][whole].astype(np.float64)  # (N, p, p)
    if not len(patches):
        return np.zeros(0), 0.0
    energies = np.square(dctn(patches, axes=(1, 2), norm="ortho")).reshape(len(patches), -1)
    orders = np.add.outer(np.arange(size), np.arange(size)).ravel()  # (D,)
    low = energies[:, (orders >= 1) & (orders < size - 1)].sum(1)
    flat = np.argsort(low)[: max(1, int(FLAT_SHARE * len(low)))]
    return patches[flat].mean((1, 2)), float(energies[flat][:, orders >= size - 1].mean())
