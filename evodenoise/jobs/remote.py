"""What runs inside of dask's workers: each image in a process of its own, as on one machine.

A worker's threads share one Python, and torch's settings; processes do not. One that dies costs its
image, not the worker, and is reported as on one machine.
"""

import multiprocessing
import pickle
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distributed import Event, get_worker

from evodenoise import __version__
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.pool import POLL, Worker
from evodenoise.jobs.worker import Assignment, Failed, Finished, Message, ProgressMessage, Ready

IDLE_SECONDS = 30.0
"""How long a process without an image is kept, since the next one needs torch as well."""

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
    worker = get_worker()
    key = worker.get_current_task()

    def tell(message: Message, token: str = "") -> None:
        worker.log_event(order.topic, pickle.dumps(Told(order.number, message, token)))

    def is_wanted() -> bool:
        """Tell whether the run that asked for it is still there and has not changed its mind."""
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    if fault := _find_fault(order, str(worker.address)):
        tell(Failed(fault))
        return
    child = _take(order.settings, order.folder)
    try:
        outcome = _attend(child, order.assignment, tell, is_wanted)
    except BaseException:
        child.stop()
        raise
    if outcome is not None and child.process.is_alive():
        _keep(child)
    else:
        child.stop()
    if outcome is not None:
        tell(outcome)


def _find_fault(order: Order, address: str) -> str | None:
    """Say why this worker, which may have come after the run began, cannot serve it."""
    if order.version != __version__:
        return f"the worker {address} has evodenoise {__version__}, not {order.version}"
    if not order.folder.is_dir():
        return f"the worker {address} does not see the folder {order.folder}"
    return None


def _attend(
    child: Worker,
    assignment: Assignment,
    tell: Callable[..., None],
    is_wanted: Callable[[], bool],
) -> Finished | Failed | None:
    """Pass on the messages of a process until it is done; None: nobody wants it any more."""
    child.give(assignment)
    next_word = 0.0
    while is_wanted():
        if not child.connection.poll(POLL):
            continue
        match message := child.receive():
            case ProgressMessage():
                if time.monotonic() >= next_word:
                    next_word = time.monotonic() + TELL_EVERY
                    tell(message)
            case Ready():
                token = uuid.uuid4().hex
                tell(message, token)
                if not _wait_for(token, is_wanted):
                    return None
                child.connection.send(None)
            case _:
                return message
    return None


def _wait_for(token: str, is_wanted: Callable[[], bool]) -> bool:
    """Wait until a record has been taken down, so that no output is there without one."""
    answer = Event(token)
    while is_wanted():
        if answer.wait(timeout=1):
            answer.clear()
            return True
    return False


_idle: list[Worker] = []
_lock = threading.Lock()


def _take(settings: RunSettings, folder: Path) -> Worker:
    """Take an idle process of the same run, or start one."""
    with _lock:
        for child in _idle:
            if (child.settings, child.folder) == (settings, folder) and child.process.is_alive():
                _idle.remove(child)
                return child
    # The nanny makes its worker a daemon, which may have no children lest they outlive it. Ours
    # end with the line to it, however it ends.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    return Worker(settings, folder)


def _keep(child: Worker) -> None:
    """Keep a process for another image, but not for long."""
    with _lock:
        _idle.append(child)
    timer = threading.Timer(IDLE_SECONDS, _dismiss, [child])
    timer.daemon = True
    timer.start()


def _dismiss(child: Worker) -> None:
    """End a process, unless it is at work again."""
    with _lock:
        if child not in _idle:
            return
        _idle.remove(child)
    child.stop()
