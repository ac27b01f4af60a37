"""What all tasks on dask's workers share: whether they are wanted, and processes to do the work.

A worker's threads share one Python, and torch's settings; processes do not. One that dies costs
what it was at, not the worker.
"""

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

from distributed import KilledWorker, get_worker

from evodenoise import __version__
from evodenoise.errors import plural
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.pool import Worker

IDLE_SECONDS = 30.0
"""How long a process with nothing to do is kept, since the next one needs torch as well."""


def find_fault(version: str, folder: Path) -> str | None:
    """Say why this worker, which may have come after the run began, cannot serve it.

    Parameters
    ----------
    version : str
        Of the evodenoise of the run.
    folder : Path
        Where the run is.
    """
    address = get_worker().address
    if version != __version__:
        return f"the worker {address} has evodenoise {__version__}, not {version}"
    if not folder.is_dir():
        return f"the worker {address} does not see the folder {folder}"
    return None


def watch_task() -> Callable[[], bool]:
    """Return what tells whether those who asked for this task are there and still want it."""
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in ("executing", "long-running")

    return is_wanted


def describe_loss(error: BaseException) -> str:
    """Say in a line why dask gave up what it was to do."""
    if isinstance(error, KilledWorker):
        workers = plural(error.allowed_failures + 1, "worker")
        return f"{workers} died, one after the other, while it was worked on"
    return " ".join(f"{type(error).__name__}: {error}".split())


_idle: list[Worker] = []
_lock = threading.Lock()


def take_process(settings: RunSettings, folder: Path) -> Worker:
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


def keep_process(child: Worker) -> None:
    """Keep a process for later, but not for long; end it if it is dead."""
    if not child.process.is_alive():
        child.stop()
        return
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
