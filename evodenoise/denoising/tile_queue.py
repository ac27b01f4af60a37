"""The tiles of a large image, given out one by one to whoever denoises them, here or elsewhere.

Dimensions: Y, X height and width, C channels.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import numpy as np
import torch

from evodenoise.denoising.arrays import Array, Mask
from evodenoise.denoising.pace import OnShare
from evodenoise.denoising.recipe import DenoisedTile, Recipe
from evodenoise.denoising.tiles import Tile, cut_tiles
from evodenoise.system.threads import available_threads, in_threads

Watchers = tuple[OnShare | None, OnShare | None]

MOST_TILES = 4
"""Denoised side by side; each takes half a gigabyte."""

SHORTEST = 0.01
"""Seconds that a tile has at least."""


@dataclass(frozen=True, eq=False)
class TileCall:
    """All that the estimate of a tile follows from, but for the recipe.

    Attributes
    ----------
    number : int
        Of the tile, from 0.
    tile : Tile
        Where it is.
    noisy : ndarray, shape (1, Y', X') or (1, Y', X', C)
        Its pixels and those of its margin.
    missing : ndarray of bool, shape (1, Y', X'), or None
        Missing pixels.
    time_limit : float or None
        Seconds.
    """

    number: int
    tile: Tile
    noisy: Array
    missing: Mask | None
    time_limit: float | None

    def carry_out(self, recipe: Recipe, watchers: Watchers = (None, None)) -> DenoisedTile:
        """Denoise it; equal calls give equal results, wherever that is.

        Parameters
        ----------
        recipe : Recipe
            How.
        watchers : pair of callable, optional
            Called with the share of the reconstruction and of the refinement that is done.
        """
        return recipe.denoise(
            self.noisy,
            self.missing,
            self.tile,
            number=self.number,
            time_limit=self.time_limit,
            on_reconstruction=watchers[0],
            on_refinement=watchers[1],
        )


@dataclass(eq=False)
class TileQueue:
    """The tiles of a stack: how to denoise them, which are begun and how many are done.

    Attributes
    ----------
    recipe : Recipe
        What all have in common.
    noisy : ndarray, shape (T, Y, X) or (T, Y, X, C)
        The stack; it may be larger than the memory.
    missing : ndarray of bool, shape (T, Y, X), or None
        Missing pixels.
    deadline : float or None
        By `time.perf_counter`.
    watchers : pair of callable or None
        Told the share of the reconstruction, and of the refinement, of all tiles that is done.
    tiles : list of Tile
        In the order of their numbers.
    begun, finished : int
        How many.
    """

    recipe: Recipe
    noisy: Array
    missing: Mask | None
    deadline: float | None = None
    watchers: Watchers = (None, None)
    tiles: list[Tile] = field(init=False)
    begun: int = field(default=0, init=False)
    finished: int = field(default=0, init=False)
    _shares: dict[tuple[int, int], float] = field(default_factory=dict, init=False)
    _telling: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        self.tiles = cut_tiles(self.noisy.shape, self.recipe.margin)

    def take(self, at_once: int = 1) -> TileCall | None:
        """Begin the next tile; None: all are.

        Parameters
        ----------
        at_once : int
            How many are worked on at the same time, among which the time that is left is divided.
        """
        if self.begun == len(self.tiles):
            return None
        number, limit = self.begun, None
        if self.deadline is not None:
            share = min(at_once / (len(self.tiles) - self.finished), 1.0)
            limit = max((self.deadline - time.perf_counter()) * share, SHORTEST)
        self.begun += 1
        place = self.tiles[number].outer
        gaps = None if self.missing is None else np.array(self.missing[place])
        return TileCall(number, self.tiles[number], np.array(self.noisy[place]), gaps, limit)

    def finish(self, number: int) -> None:
        """Take down that a tile is done."""
        self.finished += 1
        for watcher in self.watch(number):
            if watcher is not None:
                watcher(1.0)

    def watch(self, number: int) -> Watchers:
        """Make watchers of one tile: those of all are told what it adds.

        They may be called on any thread, but pass on one call at a time.
        """
        first, second = (
            None if told is None else partial(self._tell, told, stage, number)
            for stage, told in enumerate(self.watchers)
        )
        return first, second

    def _tell(self, told: OnShare, stage: int, number: int, share: float) -> None:
        with self._telling:
            self._shares[stage, number] = share
            every = (self._shares.get((stage, each), 0.0) for each in range(len(self.tiles)))
            told(sum(every) / len(self.tiles))


MapTiles = Callable[[TileQueue], Iterator[tuple[int, DenoisedTile]]]
"""Takes all tiles and gives back each with its number, in any order."""


def threads_of_a_tile(threads: int) -> int:
    """Choose the threads of each of the tiles that are denoised side by side with so many."""
    return max(1, threads // min(threads, MOST_TILES))


def side_by_side(queue: TileQueue) -> Iterator[tuple[int, DenoisedTile]]:
    """Denoise tiles here: one after the other, or on a CPU as many at once as there are threads.

    Yields
    ------
    tuple of int and DenoisedTile
        Each in its turn.
    """
    device = torch.device(queue.recipe.config.device)
    at_once = min(available_threads(device), MOST_TILES)
    calls = iter(partial(queue.take, at_once), None)

    def carry_out(call: TileCall | None) -> tuple[int, DenoisedTile]:
        assert call is not None
        return call.number, call.carry_out(queue.recipe, queue.watch(call.number))

    if at_once == 1:
        yield from map(carry_out, calls)
    else:
        yield from in_threads(carry_out, calls, device, most=MOST_TILES)
