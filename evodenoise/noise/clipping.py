"""Values that were clipped: where, and what their noise was before.

Dimensions: N pixels, K knots.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.curves import LevelCurve

Array = npt.NDArray[Any]

PILE = 2
"""Times the pixels at the next value, those at an extreme one are a pile: clipping made it."""

FEWEST_CLIPPED = 8
"""Pixels; fewer may be alike by chance, and are too few to matter."""


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
