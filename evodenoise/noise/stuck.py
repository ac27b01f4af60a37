"""Pixels that are stuck at a value: salt and pepper, dead and saturated ones.

A value is one at which pixels are stuck if it occurs far from what surrounds it, next to no other
value does, and those pixels keep no company. Noise that was clipped comes near the end of its
range more often than it reaches it; a letter, a line or a grain has neighbours of its value.

Dimensions: Y, X height and width of the plane.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter
from scipy.stats import binom

from evodenoise.noise.windows import mean_around

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FEWEST_VALUES = 24  # different ones; a drawing has fewer, and so have counts of few photons
FEWEST_STUCK = 8  # pixels
RECURRING = 1 / 20_000  # share of the pixels of a value that are worth a look
MOST_VALUES = 2**18  # read to list those that recur
CONTINUOUS = 0.4  # share of values that occur once; then one that recurs is odd by itself

SIDE = 5  # of the window that tells what surrounds a pixel
LEAST_KNOWN = 4.5 / SIDE**2  # share of it that has to tell
GROUND = 0.5  # share of the window; a value that fills more of it is not an impulse's there
LEAST_SPREAD = 0.005  # of the range of values
LEVELS = 16  # of brightness, each with a spread that it has at least

FAR = 4.0  # spreads from the surroundings
NEAR = 0.5  # spreads from the value, within which others say whether it is one of many
NEAR_SHARE = 0.02  # the same in the range of values, at least
NEAR_INSIDE = 0.002  # the same where values are continuous, and lie on both sides
OTHERS = 4  # times as many as these, and `FEWEST_STUCK` more, are odd
COMPANY = 1.5, 0.08  # times the share of the stuck, and more, that neighbours of stuck ones may be
DISTANCES = (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 12)
"""Spreads; between two of them it is asked which share of the pixels is stuck."""


def find_stuck(plane: Floats, known: Mask) -> Mask:
    """Find the pixels (Y, X) of a plane from 0 to 1 that are stuck at some value.

    Parameters
    ----------
    plane : ndarray of float64, shape (Y, X)
        Values.
    known : ndarray of bool, shape (Y, X)
        Pixels that count.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        Those that are stuck.
    """
    found = np.zeros(plane.shape, bool)
    seen = plane[known]
    values, counts = np.unique(seen[:: len(seen) // MOST_VALUES + 1], return_counts=True)
    if len(values) < FEWEST_VALUES:
        return found
    fewest = max(4.0, counts.sum() * RECURRING)
    continuous = bool((counts == 1).sum() > CONTINUOUS * counts.sum())
    odd = [0, len(values) - 1, *(np.argsort(-counts, kind="stable")[:2] if continuous else ())]
    suspects = np.unique([values[place] for place in odd if counts[place] >= fewest])
    if not len(suspects):
        return found
    step = float(np.quantile(np.diff(values), 0.1))
    around = _Surroundings.of(plane, known, suspects)
    for value in suspects:
        inside = continuous and min((seen < value).sum(), (seen > value).sum()) >= 20
        found |= _stuck_at(value, plane, known, around, step=step, inside=inside)
    return found


@dataclass(frozen=True)
class _Surroundings:
    """Mean and spread of what is around each pixel (Y, X), and where enough is known of it."""

    mean: Floats
    spread: Floats
    enough: Mask

    @classmethod
    def of(cls, plane: Floats, known: Mask, suspects: Floats) -> "_Surroundings":
        """Look around each pixel, not at itself, and not at those that may be stuck."""
        counted = known.copy()
        for value in suspects:
            same = known & (plane == value)
            counted &= ~same | (mean_around(same.astype(np.float64), SIDE) > GROUND)
        weights = counted.astype(np.float64)

        def around(values: Floats) -> Floats:
            sums: Floats = mean_around(values * weights, SIDE) - values * weights / SIDE**2
            return sums

        total = around(np.ones(plane.shape))
        enough = known & (total > LEAST_KNOWN)
        total = np.where(enough, total, 1.0)
        mean = around(plane) / total
        spread = np.sqrt(np.maximum(around(plane**2) / total - mean**2, 0))
        return cls(mean, _at_least_usual(spread, mean, enough), enough)


def _at_least_usual(spread: Floats, mean: Floats, enough: Mask) -> Floats:
    """Raise spreads (Y, X), read off a few pixels each, to what is usual at their brightness."""
    if not enough.any():
        return spread
    edges = np.unique(np.quantile(mean[enough], np.linspace(0, 1, LEVELS + 1)[1:-1]))
    level = np.searchsorted(edges, mean)
    usual = [
        np.median(spread[here]) if (here := enough & (level == number)).any() else 0.0
        for number in range(len(edges) + 1)
    ]
    raised: Floats = np.maximum(spread, np.array(usual)[level]).clip(min=LEAST_SPREAD)
    return raised


def _stuck_at(
    value: float,
    plane: Floats,
    known: Mask,
    around: _Surroundings,
    *,
    step: float,
    inside: bool,
) -> Mask:
    """Find the pixels (Y, X) that are stuck at a value; nothing, if they may be the picture's.

    With values on both sides (`inside`) nothing was clipped there, and all pixels can tell.
    """
    none = np.zeros(plane.shape, bool)
    same = known & (plane == value)
    distance = np.abs(value - around.mean) / around.spread
    far = around.enough if inside else around.enough & (distance > FAR)
    if not (same & far).any():
        return none
    company = _count_neighbours(same)
    most = binom.ppf(0.999, 8, float(same[far].mean()))
    single = same & (company <= most)
    near = np.maximum(np.maximum(NEAR * around.spread, NEAR_SHARE), 1.5 * step)
    if inside:
        near = np.full(plane.shape, NEAR_INSIDE)
    others = int((far & ~same & (np.abs(plane - value) <= near)).sum())
    stuck = int((single & far).sum())
    if stuck < FEWEST_STUCK + OTHERS * others:
        return none
    share = stuck / int(far.sum())
    if company[single & far].mean() / 8 > COMPANY[0] * share + COMPANY[1]:
        return none
    likely = _likely(single, known, share, np.where(around.enough, distance, np.inf))
    stuck_here: Mask = single & likely
    return stuck_here


def _count_neighbours(same: Mask) -> Array:
    """Count at each pixel (Y, X) which of its eight neighbours are marked; none beyond the edge."""
    share = uniform_filter(same.astype(np.float64), 3, mode="constant")
    count: Array = np.rint(9 * share) - same
    return count


def _likely(single: Mask, known: Mask, share: float, distance: Floats) -> Mask:
    """Tell at which distances (Y, X) impulses of this share are more likely than the picture."""
    at = np.searchsorted(DISTANCES, distance)
    ones = np.bincount(at[single], minlength=len(DISTANCES) + 1)
    alls = np.bincount(at[known], minlength=len(DISTANCES) + 1)
    likely: Mask = (2 * share * alls > ones)[at]
    return likely
