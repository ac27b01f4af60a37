"""Small images that count as large, in processes that denoise; a preload of dask's workers.

`dask worker --preload tests/small_tiles.py` has them start such processes.
"""

import os
import pickle
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from evodenoise.jobs import pool
from evodenoise.jobs import worker as module
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.tiles import TileAssignment, TileDone

SIZES = {"MOST_AT_ONCE": 5000, "TILE_SIDE": 40, "WINDOW_SIDE": 40, "WINDOWS": 2}
"""Attributes of `evodenoise.denoising.tiles`; an image of 80 x 120 has 6 tiles."""

DEADLY = -54321.0
"""A pixel of this value kills whoever denoises its tile elsewhere."""

ENDLESS = -65432.0
"""A pixel of this value has whoever denoises its tile elsewhere wait until he is killed."""


def serve(connection: Connection, settings: RunSettings, folder: Path | None = None) -> None:
    """Do as `evodenoise.jobs.worker.serve` does, with small tiles."""
    from evodenoise.denoising import tiles

    for name, value in SIZES.items():
        setattr(tiles, name, value)
    carry_out = TileAssignment.carry_out

    def beware(assignment: TileAssignment) -> TileDone:
        if (pickle.loads(assignment.call).noisy == DEADLY).any():
            os.kill(os.getpid(), signal.SIGKILL)
        while (pickle.loads(assignment.call).noisy == ENDLESS).any():
            time.sleep(60)
        return carry_out(assignment)

    TileAssignment.carry_out = beware  # type: ignore[method-assign]
    module.serve(connection, settings, folder)


def dask_setup(_worker: object) -> None:
    """Make what this process starts serve like that; called by dask."""
    pool.serve = serve
