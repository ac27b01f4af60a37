"""The tiles of one image as tasks on all workers of a cluster.

The image's process has trained and waits; here its tiles are fetched and sent out, a few for each
thread of a worker, and what comes back is passed on to it.
"""

import asyncio
import concurrent.futures
import queue
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evodenoise import __version__
from evodenoise.errors import RunError
from evodenoise.jobs.dask_tasks import (
    describe_loss,
    find_fault,
    keep_process,
    take_process,
    watch_task,
)
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.pool import POLL, Worker
from evodenoise.jobs.tiles import (
    TileAssignment,
    TileDone,
    TileGiven,
    TileLost,
    TilesWaiting,
    TileWanted,
)
from evodenoise.jobs.worker import Failed, Message

AHEAD = 2
"""Tiles sent for each thread: one to work on, and the next on its way."""

TRIES = 3
"""For a tile whose process dies."""

NO_DATA = "its data were lost with the workers that had them, again and again"


@dataclass(frozen=True)
class TileOrder:
    """What all tiles of an image have in common, beside the recipe.

    Attributes
    ----------
    settings : RunSettings
        Of the run.
    folder : Path
        Where relative paths begin.
    device : str
        Where to compute, as the settings say.
    threads : int
        CPU threads of a tile: those of the image, lest results differ.
    version : str
        Of the evodenoise that the order comes from.
    """

    settings: RunSettings
    folder: Path
    device: str
    threads: int
    version: str = __version__


def carry_out_tile(order: TileOrder, recipe: bytes, call: bytes) -> TileDone | TileLost:
    """Denoise a tile on one of dask's workers.

    Parameters
    ----------
    order : TileOrder
        How.
    recipe, call : bytes
        The tile.

    Returns
    -------
    TileDone or TileLost
        What came of it, which another try would not change.

    Raises
    ------
    RunError
        If the process working on it died, which it may not do another time.
    """
    is_wanted = watch_task()
    if fault := find_fault(order.version, order.folder):
        return TileLost(fault)
    child = take_process(order.settings, order.folder)
    try:
        outcome = _attend(
            child, TileAssignment(recipe, call, order.device, order.threads), is_wanted
        )
    except BaseException:
        child.stop()
        raise
    if isinstance(outcome, TileDone):
        keep_process(child)
        return outcome
    if outcome is None or not child.process.is_alive():
        child.stop()
        raise RunError("nobody wants it any more" if outcome is None else outcome.error)
    keep_process(child)
    return TileLost(outcome.error)


def _attend(
    child: Worker, assignment: TileAssignment, is_wanted: Callable[[], bool]
) -> TileDone | Failed | None:
    """Wait for what comes of a tile; None: nobody wants it any more."""
    with suppress(OSError):  # if it died while it was idle, its last word says so
        child.connection.send(assignment)
    while is_wanted():
        if child.connection.poll(POLL):
            outcome = child.receive()
            assert isinstance(outcome, TileDone | Failed)
            return outcome
    return None


class TileSender:
    """The tiles of one image that are under way.

    Parameters
    ----------
    client : Client
        Of dask's.
    child : Worker
        The image's process.
    waiting : TilesWaiting
        What it has told.
    order : TileOrder
        What all tiles have in common.
    """

    def __init__(self, client: Any, child: Worker, waiting: TilesWaiting, order: TileOrder) -> None:
        self.client, self.child, self.order, self.count = client, child, order, waiting.count
        self.name = f"evodenoise-tile-{uuid.uuid4().hex}"
        self.recipe, self.shared_recipe = waiting.recipe, client.scatter(waiting.recipe, hash=False)
        self.sent = 0
        self.calls: dict[int, bytes] = {}
        self.futures: dict[int, Any] = {}
        self.places: dict[int, str] = {}
        self.losses: Counter[int] = Counter()
        self.ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()

    def run(
        self, is_wanted: Callable[[], bool], tell: Callable[[Message], object]
    ) -> Failed | None:
        """See all tiles done, or one lost, which the process is told so that it gives up.

        Parameters
        ----------
        is_wanted : callable
            Asked again and again; tiles are given up once it says no.
        tell : callable
            Gets what the process says of its progress.

        Returns
        -------
        Failed or None
            Failed: the process died or gave up by itself.
        """
        try:
            while is_wanted() and (self.sent < self.count or self.futures):
                while self.child.connection.poll():
                    if isinstance(message := self.child.receive(), Failed):
                        return message
                    tell(message)
                at_once = sum(self.client.nthreads().values())
                if self.sent < self.count and len(self.futures) < AHEAD * at_once:
                    call = self._fetch(at_once, tell)
                    if isinstance(call, Failed):
                        return call
                    self.calls[self.sent] = call
                    self._send(self.sent)
                    self.sent += 1
                elif not self._take_in():
                    break
        finally:
            if self.futures and self.client.status == "running":
                self.client.cancel(list(self.futures.values()), force=True)
            # Dask keeps all that a future stands for, and callbacks keep us until Python cleans up.
            self.futures.clear()
            self.shared_recipe = None
        return None

    def _fetch(self, at_once: int, tell: Callable[[Message], object]) -> bytes | Failed:
        """Ask the process for the next tile."""
        self._say(TileWanted(at_once))
        while not isinstance(message := self.child.receive(), TileGiven | Failed):
            tell(message)
        return message.call if isinstance(message, TileGiven) else message

    def _send(self, number: int) -> None:
        """Send a tile to the worker that has least to do."""
        threads, load = self.client.nthreads(), Counter(self.places.values())
        place = min(threads, key=lambda worker: (load[worker] + 1) / threads[worker])
        future = self.client.submit(
            carry_out_tile,
            self.order,
            self.shared_recipe,
            self.client.scatter(self.calls[number], hash=False),
            key=f"{self.name}-{number}-{self.losses[number]}",
            pure=False,
            # Dask would have all of it done where the data are, which is here.
            workers=[place],
            allow_other_workers=True,
            retries=TRIES - 1,
            priority=1,  # what has been begun comes before further images
        )
        self.futures[number], self.places[number] = future, place
        future.add_done_callback(lambda ended: self.ended.put((number, ended)))

    def _take_in(self) -> bool:
        """Pass on what came of a tile, if one has ended; False: there is no hope for it."""
        try:
            number, future = self.ended.get(timeout=POLL)
        except queue.Empty:
            return True
        if number not in self.futures or future is not self.futures[number]:
            return True  # the one before it
        outcome = _outcome(future)
        if outcome is None and self.losses[number] < TRIES:
            # Dask keeps one copy of what a task is about. It may have been on a worker that died.
            self.losses[number] += 1
            self.shared_recipe = self.client.scatter(self.recipe, hash=False)
            self._send(number)
            return True
        for each in (self.futures, self.calls, self.places):
            del each[number]
        if not isinstance(outcome, TileDone):
            error = NO_DATA if outcome is None else outcome.error
            outcome = TileLost(f"tile {number + 1} of {self.count}: {error}")
        self._say(outcome)
        return isinstance(outcome, TileDone)

    def _say(self, message: TileWanted | TileDone | TileLost) -> None:
        """Tell the process; if it has died, its last word says so."""
        with suppress(OSError):
            self.child.connection.send(message)


def _outcome(future: Any) -> TileDone | TileLost | None:
    """See what came of a task, of which dask may have given up hope; None: its data were lost."""
    try:
        outcome: TileDone | TileLost = future.result()
    except (asyncio.CancelledError, concurrent.futures.CancelledError):  # by version of dask
        return None
    except RunError as error:
        return TileLost(f"{error}, {TRIES} times")
    except Exception as error:  # of many classes, up to another version of dask
        return TileLost(describe_loss(error))
    return outcome
