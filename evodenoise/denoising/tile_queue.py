"""The tiles of a large image, given out one by one to whoever denoises them, here or elsewhere.

Dimensions: Y, X height and width, C channels.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from evodenoise.denoising.arrays import Array, Mask
from evodenoise.denoising.denoiser import OnShare
from evodenoise.denoising.recipe import DenoisedTile, Recipe
from evodenoise.denoising.tiles import Tile, cut_tiles

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

    def carry_out(self, recipe: Recipe, on_share: OnShare | None = None) -> DenoisedTile:
        """Denoise it; equal calls give equal results, wherever that is.

        Parameters
        ----------
        recipe : Recipe
            How.
        on_share : callable, optional
            Called with the share of the tile that is done.
        """
        return recipe.denoise(
            self.noisy,
            self.missing,
            self.tile,
            number=self.number,
            time_limit=self.time_limit,
            on_share=on_share,
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
    on_share : callable or None
        Told the share of all tiles that is done.
    tiles : list of Tile
        In the order of their numbers.
    begun, finished : int
        How many.
    """

    recipe: Recipe
    noisy: Array
    missing: Mask | None
    deadline: float | None = None
    on_share: OnShare | None = None
    tiles: list[Tile] = field(init=False)
    begun: int = field(default=0, init=False)
    finished: int = field(default=0, init=False)

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

    def finish(self) -> None:
        """Take down that one more is done."""
        self.finished += 1
        self.tell(0.0)

    def tell(self, share: float) -> None:
        """Tell that of one more tile a share is done."""
        if self.on_share is not None:
            self.on_share((self.finished + share) / len(self.tiles))


MapTiles = Callable[[TileQueue], Iterator[tuple[int, DenoisedTile]]]
"""Takes all tiles and gives back each with its number, in any order."""


def one_by_one(queue: TileQueue) -> Iterator[tuple[int, DenoisedTile]]:
    """Denoise tiles here, one after the other.

    Yields
    ------
    tuple of int and DenoisedTile
        Each in its turn.
    """
    while (call := queue.take()) is not None:
        yield call.number, call.carry_out(queue.recipe, queue.tell)
