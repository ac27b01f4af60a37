"""Where large images are cut: tiles that cover them, and windows to learn from.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.denoising.channels import unknown_pixels
from evodenoise.system.scratch import forget

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Place = tuple[slice, slice, slice]

MOST_AT_ONCE = 3_000_000
"""Pixels of all pages; more of them are denoised in tiles."""

WINDOWS, WINDOW_SIDE = 12, 512
"""To learn from. A training visits 65,536 patches; the noise is read off all pixels."""

TILE_SIDE = 1536
"""Pixels; with its margin a tile takes half a gigabyte."""

ALIGNED = 8
"""Windows begin at multiples of so many pixels, as the blocks of JPEG do."""

MOST_LOOKED_AT = 512
"""Windows to choose from."""

FEWEST_KNOWN = 0.6
"""Share of its pixels that a window knows, if any does."""

LOOKED_AT_EVERY = 4
"""Of the rows and columns of a window, to see what is in it."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of one page, and what is denoised with it so that it has no edges.

    Attributes
    ----------
    page : int
        Which page, from 0.
    rows, columns : tuple of int
        The first one, and the one after the last.
    outer_rows, outer_columns : tuple of int
        The same with a margin, where the page goes on.
    """

    page: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    outer_rows: tuple[int, int]
    outer_columns: tuple[int, int]

    @property
    def place(self) -> Place:
        """Where it is in a stack (T, Y, X, ...)."""
        return slice(self.page, self.page + 1), slice(*self.rows), slice(*self.columns)

    @property
    def outer(self) -> Place:
        """Where it is with its margin."""
        pages = slice(self.page, self.page + 1)
        return pages, slice(*self.outer_rows), slice(*self.outer_columns)

    @property
    def inner(self) -> Place:
        """Where it is inside of `outer`."""
        (top, bottom), (left, right) = self.rows, self.columns
        down, across = self.outer_rows[0], self.outer_columns[0]
        return slice(None), slice(top - down, bottom - down), slice(left - across, right - across)

    @property
    def pixels(self) -> int:
        """How many it covers."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])


def is_large(shape: tuple[int, ...]) -> bool:
    """Tell whether pages (T, Y, X, ...) are to be denoised in tiles."""
    return math.prod(shape[:3]) > MOST_AT_ONCE


def cut_tiles(shape: tuple[int, ...], margin: int, *, side: int | None = None) -> list[Tile]:
    """Cut pages into tiles of about the same size, an even number of them if it is not one.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X, ...).
    margin : int
        Pixels that are denoised around it.
    side : int, optional
        Of a tile, at most; `TILE_SIDE` by default.

    Returns
    -------
    list of Tile
        Page by page and row by row.
    """

    def cut(length: int, count: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        edges = [length * part // count for part in range(count + 1)]
        return [
            ((first, last), (max(first - margin, 0), min(last + margin, length)))
            for first, last in pairwise(edges)
        ]

    down, across = (math.ceil(length / (side or TILE_SIDE)) for length in shape[1:3])
    if down * across % 2 and down * across > 1:
        # The last of an odd number would leave a second thread with nothing to do.
        across += 1
    return [
        Tile(page, rows, columns, outer_rows, outer_columns)
        for page in range(shape[0])
        for rows, outer_rows in cut(shape[1], down)
        for columns, outer_columns in cut(shape[2], across)
    ]


def cut_windows(pages: Array, missing: Mask | None) -> tuple[Array, Mask | None]:
    """Copy windows (N, Y', X', C) of pages (T, Y, X, C) to learn from, and what is missing there.

    Pages that are not large are returned as they are.
    """
    if not is_large(pages.shape):
        return pages, missing
    places = choose_windows(pages, missing, WINDOW_SIDE, WINDOWS)
    windows = np.concatenate([pages[place] for place in places])
    gaps = None if missing is None else np.concatenate([missing[place] for place in places])
    forget(pages)
    return windows, gaps


def choose_windows(pages: Array, missing: Mask | None, side: int, count: int) -> list[Place]:
    """Choose windows that differ: from place to place, in brightness, and in how much varies.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X, C)
        An image too large to learn from as a whole.
    missing : ndarray of bool, shape (T, Y, X), optional
        Pixels that tell nothing, beside nan.
    side : int
        Of a window in pixels, at most.
    count : int
        How many, at most.

    Returns
    -------
    list of tuple of slice
        Places of windows of one size, at least one.

    Notes
    -----
    The first is the one that varies most, each further one that which is farthest from those
    chosen. Brightness and variation are compared by their ranks.
    """
    places = _possible_windows(pages.shape, side)
    known, features = [], []
    for place in places:
        sample = (*(slice(each.start, each.stop, LOOKED_AT_EVERY) for each in place[1:]),)
        values = pages[(place[0], *sample)]
        gaps = None if missing is None else missing[(place[0], *sample)]
        seen = values[~unknown_pixels(values, gaps)].astype(np.float64)  # (N, C)
        known.append(len(seen) / (values.size / values.shape[-1]))
        spread = math.sqrt(float(seen.var(0).mean())) if len(seen) else 0.0
        features.append((float(seen.mean()) if len(seen) else 0.0, spread))
    enough = np.array(known) >= min(FEWEST_KNOWN, max(known))
    chosen = [place for place, is_enough in zip(places, enough, strict=True) if is_enough]
    brightness, spreads = np.array(features)[enough].T
    starts = np.array([[each.start for each in place] for place in chosen], np.float64)
    spans = np.maximum(np.array(pages.shape[:3]), 1)
    points = np.column_stack([_ranks(brightness), _ranks(spreads), starts / spans])
    return [chosen[each] for each in _spread_out(points, int(spreads.argmax()), count)]


def _possible_windows(shape: tuple[int, ...], side: int) -> list[Place]:
    """List windows side by side, some of them if there are too many."""

    def cut(length: int) -> list[slice]:
        own = min(side, length)
        starts = np.linspace(0, length - own, max(1, length // own))
        aligned = (starts // ALIGNED * ALIGNED).astype(int)
        return [slice(start, start + own) for start in aligned.tolist()]

    every = [
        (slice(page, page + 1), rows, columns)
        for page in range(shape[0])
        for rows in cut(shape[1])
        for columns in cut(shape[2])
    ]
    places = np.linspace(0, len(every) - 1, min(len(every), MOST_LOOKED_AT)).round().astype(int)
    return [every[place] for place in places.tolist()]


def _ranks(values: Floats) -> Floats:
    """Replace numbers by their ranks, from 0 to 1."""
    ranks: Floats = values.argsort().argsort() / max(len(values) - 1, 1)
    return ranks


def _spread_out(points: Floats, first: int, count: int) -> list[int]:
    """Choose points (N, K), each the farthest from those before it."""
    chosen = [first]
    distances = np.square(points - points[first]).sum(1)
    while len(chosen) < min(count, len(points)):
        farthest = int(distances.argmax())
        chosen.append(farthest)
        distances = np.minimum(distances, np.square(points - points[farthest]).sum(1))
        distances[chosen] = -1.0
    return chosen
