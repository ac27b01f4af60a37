"""Single pixels beyond what the residuals of all others let expect: hot and dead ones.

The residual of a pixel is what its neighbours do not predict, over the residuals around it. Of
each brightness the tails of those tell how large they get by chance: from two of their quantiles
the tail is continued as that of a Weibull distribution, which holds for the Gaussian as for
counts of photons. What lies beyond is an impulse if it stands alone: stars have neighbours that
know of them, and letters and lines have others of their kind nearby.

Dimensions: Y, X height and width, B levels of brightness, K pixels that are candidates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.tracks import find_tracks
from evodenoise.noise.windows import (
    cut_windows,
    fill_with_nearest,
    mean_around,
    rank_neighbours,
)

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

FEWEST_VALUES = 8  # different ones; fewer are a palette's, or single photons
FEWEST_TAIL = 50  # residuals of a tail that say anything about it
CHANCE = 0.02  # pixels of an image that may be found by chance
ROUNDS = ((0.5, 0.1), (0.3, 0.05), (0.2, 0.02))
"""Shares of a tail beyond its two quantiles: the first ones hold while impulses are still many
among the residuals, the last ones know more about rare structure."""
LEAST_SHAPE, MOST_SHAPE = 0.5, 1.6  # of a Weibull distribution; about 2 is the Gaussian's far tail

LEVELS, LEVEL_PIXELS, FEWEST_PIXELS = 16, 4096, 2000
QUIET = 0.2  # share of the quieter pixels; the level of their residuals is the least of all
GAUSSIAN_MEAN = 0.7978845608028654  # of the absolute value of a standard normal variable
LEAST_SPREAD = 1e-6  # of the usual range of values; less is arithmetic
ROUNDING = 0.6  # of a step between values; less is no residual

# A star of 1.5 pixels (full width at half maximum) in the middle of a pixel, the smallest there is,
# gives so much of its peak to the neighbours; 0.5 of a residual to the largest of them is too much.
STAR = np.array([0.085, 0.29, 0.085, 0.29, 0.0, 0.29, 0.085, 0.29, 0.085], np.float32)
MOST_STAR = 0.4
LEAST_STEP = 0.5

TRACK = 1.3  # times the limit of a single pixel
LONELY = 0.4  # of the limit; beyond it an impulse does not count as structure for another one
REACH = 8  # rows beyond which nothing matters to a pixel
AROUND = 5  # pixels, within which structure as strong as the candidate speaks against it
STRUCTURE = 0.5, 3  # of the residual; as many pixels at least

FEWEST_DOTS = 8  # that could be a pattern
PATTERN = 24  # pixels, the longest period that is looked for
RECURRING = 0.4  # share of the dots that have another one at the same distance
PATTERN_SIDE = 1024


def find_outliers(plane: Array, known: Mask, pixels: int) -> Mask:
    """Find the pixels (Y, X) of a plane, mostly from 0 to 1, that stand alone beyond all others.

    Parameters
    ----------
    plane : ndarray of float64, shape (Y, X)
        Values, anything where they are not known.
    known : ndarray of bool, shape (Y, X)
        Pixels that count.
    pixels : int
        Of the whole image: the more, the farther chance reaches.

    Returns
    -------
    ndarray of bool, shape (Y, X)
        The outliers.
    """
    found = np.zeros(plane.shape, bool)
    values = np.unique(plane[known][: 2**18])
    if len(values) < FEWEST_VALUES:
        return found
    step = float(np.quantile(np.diff(values), 0.1))
    plane = fill_with_nearest(plane, known).astype(np.float32)
    middle = plane
    # At the edge a pixel may be the end of something that is beyond it.
    judged = np.zeros(plane.shape, bool)
    judged[1:-1, 1:-1] = known[1:-1, 1:-1]
    for number, shares in enumerate(ROUNDS):
        field = _Field.of(plane, np.where(found, middle, plane), known & ~found, step)
        middle = field.middle
        found = judged & field.outliers(shares, pixels)
        if number and not found.any():
            break
    return found


@dataclass(frozen=True)
class _Field:
    """What neighbours say about each pixel (Y, X).

    Attributes
    ----------
    filled : ndarray of float32, shape (Y, X)
        The plane without what was found before.
    middle, residual, score : ndarray of float32, shape (Y, X)
        What the neighbours predict, what is beyond it, and that over the residuals around.
    level : ndarray of int, shape (Y, X)
        Of brightness.
    usual : ndarray of float32, shape (B,)
        Of each level, what residuals are measured by in the middle.
    counted : ndarray of bool, shape (Y, X)
        Pixels that say how residuals are distributed.
    """

    filled: Floats
    middle: Floats
    residual: Floats
    score: Floats
    level: Indices
    usual: Floats
    counted: Mask

    @classmethod
    def of(cls, plane: Floats, filled: Floats, counted: Mask, step: float) -> "_Field":
        """Predict each pixel of a plane from the neighbours in the filled one."""
        middle = _mean(rank_neighbours(filled)[2:6])
        residual = plane - middle
        sizes = np.where(counted, np.abs(residual), 0)
        ring = (49 * mean_around(sizes, 7) - 9 * mean_around(sizes, 3)) / 40
        spread = np.maximum(ring, 0) / np.float32(GAUSSIAN_MEAN)
        # Of a bright track and all that it touches the brightness is that of its surroundings.
        level = _levels(_mean(rank_neighbours(mean_around(middle, 3), 3)[1:4]), counted)
        quiet = np.array(
            [np.quantile(spread[here], QUIET) for here in _each(level, counted)], np.float32
        )
        least = np.float32(max(ROUNDING * step, LEAST_SPREAD))
        scale = np.maximum(np.maximum(spread, quiet[level]), least)
        usual = np.array([np.median(scale[here]) for here in _each(level, counted)], np.float32)
        return cls(filled, middle, residual, residual / scale, level, usual, counted)

    def outliers(self, shares: tuple[float, float], pixels: int) -> Mask:
        """Find what is beyond the tails of all residuals, and alone."""
        found = np.zeros(self.score.shape, bool)
        lonely = found.copy()
        limits = {sign: self._limits(sign * self.score, shares, pixels) for sign in (1, -1)}
        for sign, limit in limits.items():
            scores, beyond = sign * self.score, self._beyond(limit)
            places = np.nonzero(scores > LONELY * beyond)
            alone = self._alone(places, sign)
            places = places[0][alone], places[1][alone]
            lonely[places] = True
            found[places] = scores[places] > beyond[places]
        places = np.nonzero(found)
        found[places] = ~self._in_structure(places, lonely)
        if _is_pattern(found):
            found[:] = False
        # The residuals around a track are its own, so that they are no measure.
        bright = self.residual > TRACK * (limits[1] * self.usual)[self.level]
        found |= find_tracks(self.middle + self.residual, self.residual, bright)
        return found

    def _limits(self, scores: Floats, shares: tuple[float, float], pixels: int) -> Floats:
        """Tell of each level beyond which score hardly a pixel comes by chance: (B,)."""
        levels = _each(self.level, self.counted)
        return np.array([_limit(scores[here], shares, pixels) for here in levels], np.float32)

    def _beyond(self, limits: Floats) -> Floats:
        """Give each pixel (Y, X) the limit of its level, or of the next one if that is higher.

        They are read off a few pixels each, and may be one too high or too low.
        """
        padded = np.pad(limits, 1, mode="edge")
        highest: Floats = np.maximum(limits, np.maximum(padded[:-2], padded[2:]))[self.level]
        return highest

    def _alone(self, places: tuple[Indices, ...], sign: int) -> Mask:
        """Tell of pixels (K,) whether none of their neighbours knows of them."""
        peak = sign * (self.middle[places] + self.residual[places])
        windows = sign * cut_windows(self.filled, places, 2).reshape(-1, 5, 5)
        inner = windows[:, 1:4, 1:4].reshape(-1, 9)
        ring = np.ones((5, 5), bool)
        ring[1:4, 1:4] = False
        ground = np.median(windows[:, ring], axis=1)
        neighbours = np.delete(inner, 4, axis=1)
        steps = peak - neighbours.max(1, initial=-np.inf)
        # The peak of the star that the neighbours would be part of, by least squares.
        star = (inner - ground[:, None]) @ STAR / (STAR @ STAR)
        alone: Mask = steps > LEAST_STEP * np.abs(self.residual[places])
        alone &= star < MOST_STAR * np.abs(peak - ground)
        return alone

    def _in_structure(self, places: tuple[Indices, ...], lonely: Mask) -> Mask:
        """Tell of pixels (K,) whether what is around them varies as much as they do."""
        structure = np.where(lonely | ~self.counted, 0, np.abs(self.residual))
        least, count = STRUCTURE
        windows = cut_windows(structure, places, AROUND)
        strong = windows > least * np.abs(self.residual[places])[:, None]
        several: Mask = strong.sum(1) >= count
        return several


def _mean(planes: list[Array]) -> Array:
    """Average planes (Y, X)."""
    average: Array = sum(planes[1:], planes[0]) / len(planes)
    return average


def _levels(brightness: Floats, counted: Mask) -> Indices:
    """Sort pixels (Y, X) by brightness into levels of many pixels each: their numbers."""
    seen = brightness[counted]
    wanted = int(np.clip(len(seen) // LEVEL_PIXELS, 1, LEVELS))
    if wanted == 1:
        return np.zeros(brightness.shape, np.intp)
    edges = np.unique(np.quantile(seen, np.linspace(0, 1, wanted + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, seen), minlength=len(edges) + 1)
    kept, pixels = [], 0
    for number, edge in enumerate(edges):
        pixels += int(counts[number])
        if pixels >= FEWEST_PIXELS and counts[number + 1 :].sum() >= FEWEST_PIXELS:
            kept.append(edge)
            pixels = 0
    return np.searchsorted(np.array(kept, brightness.dtype), brightness)


def _each(level: Indices, counted: Mask) -> list[Mask]:
    """List which pixels (Y, X) count of each level that there is."""
    return [counted & (level == number) for number in range(int(level.max()) + 1)]


def _limit(scores: Floats, shares: tuple[float, float], pixels: int) -> float:
    """Tell beyond which score hardly a pixel of an image comes by chance."""
    tail = scores[scores > 0]
    if len(tail) < FEWEST_TAIL:
        return np.inf
    inner, outer = np.quantile(tail, [1 - share for share in shares])
    # -log of the share beyond a score is (score / scale) ** shape.
    logs = -np.log(shares)
    ratio = max(outer / inner, 1.02)
    shape = np.clip(np.log(logs[1] / logs[0]) / np.log(ratio), LEAST_SHAPE, MOST_SHAPE)
    rarest = np.log(pixels * len(tail) / len(scores) / CHANCE)
    return float(inner * ratio * (rarest / logs[1]) ** (1 / shape))


def _is_pattern(found: Mask) -> bool:
    """Tell whether dots (Y, X) recur at some distance: a regular texture, a dithered picture."""
    some = found[:PATTERN_SIDE, :PATTERN_SIDE]
    count = int(some.sum())
    if count < FEWEST_DOTS:
        return False
    padded = np.pad(some.astype(np.float32), PATTERN)
    pairs = np.fft.irfft2(np.abs(np.fft.rfft2(padded)) ** 2, padded.shape)
    pairs = np.roll(pairs, (PATTERN, PATTERN), (0, 1))[: 2 * PATTERN + 1, : 2 * PATTERN + 1]
    pairs[PATTERN, PATTERN] = 0
    return bool(pairs.max() > RECURRING * count + 2)
