"""What runs inside of dask's workers: each image in a process of its own, as on one machine.

A process that dies costs its image, not the worker, and is reported as on one machine. The tiles of
a large image are tasks of their own.
"""

import pickle
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from distributed import Event, get_client, get_worker, secede

from evodenoise import __version__
from evodenoise.jobs.dask_tasks import find_fault, keep_process, take_process, watch_task
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.pool import POLL, Worker
from evodenoise.jobs.remote_tiles import TileOrder, TileSender
from evodenoise.jobs.tiles import TilesWaiting
from evodenoise.jobs.worker import Assignment, Failed, Finished, Message, ProgressMessage, Ready

TELL_EVERY = 1.0
"""Seconds between two words on how an image gets on: all of them pass through the scheduler."""


@dataclass(frozen=True)
class Order:
    """An image for one of dask's workers.

    Attributes
    ----------
    number : int
        Which image of the run.
    assignment : Assignment
        What to do.
    settings : RunSettings
        What holds for every image.
    folder : Path
        Where relative paths begin.
    topic : str
        Of dask's events by which messages go out.
    version : str
        Of the evodenoise that the order comes from.
    """

    number: int
    assignment: Assignment
    settings: RunSettings
    folder: Path
    topic: str
    version: str = __version__


@dataclass(frozen=True)
class Told:
    """A message about an image of a run; a `Ready` is answered by an event of dask's, its token."""

    number: int
    message: Message
    token: str = ""


def carry_out(order: Order) -> None:
    """Denoise an image, telling how it gets on and what becomes of it.

    Parameters
    ----------
    order : Order
        The image.
    """
    worker, is_wanted = get_worker(), watch_task()

    def tell(message: Message, token: str = "") -> None:
        worker.log_event(order.topic, pickle.dumps(Told(order.number, message, token)))

    if fault := find_fault(order.version, order.folder):
        tell(Failed(fault))
        return
    child = take_process(order.settings, order.folder)
    try:
        outcome = _attend(child, order, tell, is_wanted)
    except BaseException:
        child.stop()
        raise
    if outcome is None:
        child.stop()
        return
    keep_process(child)
    tell(outcome)


def _attend(
    child: Worker, order: Order, tell: Callable[..., None], is_wanted: Callable[[], bool]
) -> Finished | Failed | None:
    """Pass on the messages of a process until it is done; None: nobody wants it any more."""
    child.give(replace(order.assignment, tiles_elsewhere=True))
    progress, seceded = _Progress(tell), False
    while is_wanted():
        if not child.connection.poll(POLL):
            continue
        match message := child.receive():
            case ProgressMessage():
                progress.tell(message)
            case TilesWaiting():
                if not seceded:
                    secede()  # our thread is the tiles' now, that even one worker can do them
                    seceded = True
                if failed := _send_tiles(child, message, order, progress, is_wanted):
                    return failed
            case Ready():
                token = uuid.uuid4().hex
                tell(message, token)
                if not _wait_for(token, is_wanted):
                    return None
                child.connection.send(None)
            case Finished() | Failed():
                return message
    return None


class _Progress:
    """Tells how an image gets on, but not too often."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell, self.next = tell, 0.0

    def tell(self, message: Message) -> None:
        now = time.monotonic()
        if now >= self.next:
            self.next = now + TELL_EVERY
            self._tell(message)


def _send_tiles(
    child: Worker,
    waiting: TilesWaiting,
    order: Order,
    progress: _Progress,
    is_wanted: Callable[[], bool],
) -> Failed | None:
    """Have the tiles of an image done by all workers, this one too."""
    assignment = order.assignment
    tiles = TileOrder(
        order.settings, order.folder, assignment.device, assignment.threads, order.version
    )
    return TileSender(get_client(), child, waiting, tiles).run(is_wanted, progress.tell)


def _wait_for(token: str, is_wanted: Callable[[], bool]) -> bool:
    """Wait until a record has been taken down, so that no output is there without one."""
    answer = Event(token)
    while is_wanted():
        if answer.wait(timeout=1):
            answer.clear()
            return True
    return False
