"""Tiles of a large image on their way: out of the process that works on it, and into others.

Light to import: torch comes with the first tile. Recipes, calls and results travel as bytes, so
that whoever passes them on need not know what they are.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from evodenoise.errors import RunError

if TYPE_CHECKING:
    from evodenoise.denoising.recipe import DenoisedTile
    from evodenoise.denoising.tile_queue import TileQueue


@dataclass(frozen=True)
class TilesWaiting:
    """An image's process has trained: its tiles can be asked for, each once."""

    recipe: bytes
    count: int


@dataclass(frozen=True)
class TileWanted:
    """The next tile is asked for; so many are worked on at once."""

    at_once: int


@dataclass(frozen=True)
class TileGiven:
    """The tile that was asked for."""

    call: bytes


@dataclass(frozen=True)
class TileDone:
    """What came of a tile, and the CPU seconds that it took."""

    number: int
    content: bytes
    cpu_seconds: float


@dataclass(frozen=True)
class TileLost:
    """A tile that nobody could denoise, and why."""

    error: str


@dataclass(frozen=True)
class TileAssignment:
    """A tile to denoise.

    Attributes
    ----------
    recipe, call : bytes
        The `Recipe` and the `TileCall`.
    device : str
        Where, as the settings say.
    threads : int
        CPU threads of the image; a tile has its part of them, as where the image is done.
    """

    recipe: bytes
    call: bytes
    device: str
    threads: int

    def carry_out(self) -> TileDone:
        """Denoise it here."""
        from evodenoise.denoising.tile_queue import threads_of_a_tile
        from evodenoise.system.device import prepare_process, resolve_device
        from evodenoise.system.meter import Meter

        meter = Meter()
        prepare_process(threads_of_a_tile(self.threads))
        call = pickle.loads(self.call)
        recipe = pickle.loads(self.recipe).on(resolve_device(self.device))
        content = pickle.dumps(call.carry_out(recipe))
        return TileDone(call.number, content, meter.cpu_seconds())


@dataclass
class TilesElsewhere:
    """Has the tiles of an image denoised by whoever asks for them, a `MapTiles`.

    Attributes
    ----------
    connection : Connection
        To whom.
    cpu_seconds : float
        That was spent elsewhere.
    """

    connection: Connection
    cpu_seconds: float = 0.0

    def __call__(self, queue: "TileQueue") -> "Iterator[tuple[int, DenoisedTile]]":
        """Hand out tiles as they are wanted and take in what comes of them, in any order.

        Raises
        ------
        RunError
            If one is lost.
        """
        self.connection.send(TilesWaiting(pickle.dumps(queue.recipe), len(queue.tiles)))
        while queue.finished < len(queue.tiles):
            match self.connection.recv():
                case TileWanted(at_once):
                    self.connection.send(TileGiven(pickle.dumps(queue.take(at_once))))
                case TileDone(number, content, seconds):
                    self.cpu_seconds += seconds
                    yield number, pickle.loads(content)
                case TileLost(error):
                    raise RunError(error)
