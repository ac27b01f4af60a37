"""Tracks of cosmic rays: short bright lines of one pixel's width, sharper than any optics draws.

Dimensions: Y, X height and width, K pixels, L tracks.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects, label

from evodenoise.noise.windows import cut_windows

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SHORTEST, LONGEST = 2, 24  # pixels
THICKNESS = 1.0  # pixels; that far at most the middles of pixels are from a straight line
SHARP = 0.12  # of the peak, which the neighbours on both sides may have; any star gives 0.29
SHARP_SHARE = 0.7  # of the pixels of a track that have to be sharp

AROUND = 5  # pixels, within which others as strong make it a letter or a part of a drawing
STRONG = 0.5  # of the track's own residuals
MOST_STRONG = 2  # pixels, that may be so by chance


def find_tracks(plane: Floats, residual: Floats, candidates: Mask) -> Mask:
    """Choose from pixels that stand out (Y, X) those that lie on tracks.

    Parameters
    ----------
    plane, residual : ndarray of float32, shape (Y, X)
        Values, and what of them the neighbours do not predict.
    candidates : ndarray of bool, shape (Y, X)
        Bright pixels beyond what chance brings about.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        The tracks.
    """
    found = np.zeros(candidates.shape, bool)
    if not candidates.any():
        return found
    sharp = _are_sharp(plane, candidates)
    strength = np.abs(residual)
    names, _ = label(candidates, np.ones((3, 3)))
    for name, box in enumerate(find_objects(names), 1):
        mine = names[box] == name
        if SHORTEST <= mine.sum() <= LONGEST and sharp[box][mine].mean() >= SHARP_SHARE:
            wide = tuple(slice(max(part.start - AROUND, 0), part.stop + AROUND) for part in box)
            others = strength[wide][names[wide] != name]
            strong = others > STRONG * np.median(strength[box][mine])
            if _is_straight(mine) and strong.sum() <= MOST_STRONG:
                found[box] |= mine
    return found


def _is_straight(pixels: Mask) -> bool:
    """Tell whether marked pixels lie on a straight line of one pixel's width."""
    points = np.argwhere(pixels).astype(float)
    points -= points.mean(0)
    across = np.linalg.svd(points, full_matrices=False)[2][-1]
    return bool(np.abs(points @ across).max() < THICKNESS)


def _are_sharp(plane: Floats, candidates: Mask) -> Mask:
    """Tell which candidates (Y, X) have dark neighbours on both sides, in rows or in columns."""
    places = np.nonzero(candidates)
    windows = cut_windows(plane, places, 2).reshape(-1, 5, 5)
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    windows = windows - np.median(windows[:, ring], axis=1)[:, None, None]
    peak = windows[:, 2, 2]
    sides = np.minimum(windows[:, 1, 2] + windows[:, 3, 2], windows[:, 2, 1] + windows[:, 2, 3]) / 2
    sharp = np.zeros(candidates.shape, bool)
    sharp[places] = np.abs(sides) < SHARP * peak
    return sharp
