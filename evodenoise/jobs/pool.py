"""Images in parallel, each worker a process: one that dies costs its image, not the batch."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from evodenoise.errors import EvodenoiseError
from evodenoise.images import read_image
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.resources import Resources, choose_threads
from evodenoise.jobs.worker import (
    Assignment,
    Failed,
    Finished,
    Message,
    ProgressMessage,
    Ready,
    serve,
)

POLL = 0.25
"""Seconds after which a waiting pool looks up, to see whether it is to stop."""

PATIENCE = 1.5
"""Seconds that a worker has to clean up before it is killed."""


class Worker:
    """A process with its end of the line, and the assignment it is at.

    Parameters
    ----------
    settings : RunSettings
        What holds for every image.
    folder : Path, optional
        Where relative paths begin; by default where this process is.
    """

    def __init__(self, settings: RunSettings, folder: Path | None = None) -> None:
        self.settings, self.folder = settings, folder
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, settings, folder), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()
        self.assignment: Assignment | None = None

    def give(self, assignment: Assignment) -> None:
        """Let it work on an image."""
        self.assignment = assignment
        self.connection.send(assignment)

    def receive(self) -> Message:
        """Take its next message; that it died is one as well."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode or 0
            reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            hint = "; perhaps out of memory" if reason == "SIGKILL" else ""
            return Failed(f"the process working on it died ({reason}{hint})")
        return message

    def stop(self) -> None:
        """End it at once, leaving no half-written file."""
        self.process.terminate()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Keep Ctrl-C from a process that has not yet said that it ignores it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class Watch:
    """Whom a pool tells what happens; each is called with the job first.

    Attributes
    ----------
    on_start : callable
        An image is begun.
    on_progress : callable
        With a `ProgressMessage`.
    on_ready : callable
        With a `Ready`; the output appears when it returns.
    on_finish : callable
        The output has appeared.
    on_failure : callable
        With a message of one line.
    """

    on_start: Callable[[Job], object]
    on_progress: Callable[[Job, ProgressMessage], object]
    on_ready: Callable[[Job, Ready], object]
    on_finish: Callable[[Job], object]
    on_failure: Callable[[Job, str], object]


def assign(
    jobs: Iterable[Job],
    settings: RunSettings,
    resources: Resources,
    on_failure: Callable[[Job, str], object],
) -> Iterator[Assignment]:
    """Look at images one by one, for what they need.

    Parameters
    ----------
    jobs : iterable of Job
        The images.
    settings : RunSettings
        What holds for every one.
    resources : Resources
        What may be used.
    on_failure : callable
        Called with a job that cannot be read, and why.

    Yields
    ------
    Assignment
        For each of the others.
    """
    for job in jobs:
        try:
            pages = read_image(job.source, settings.files.reading).pages
        except EvodenoiseError as error:
            on_failure(job, str(error))
            continue
        threads = choose_threads(
            pages.shape[1] * pages.shape[2],
            resources.cores,
            jobs=resources.jobs,
            threads=resources.threads,
        )
        yield Assignment(job, resources.devices[0], threads)


class Pool:
    """Workers for a batch.

    Parameters
    ----------
    settings : RunSettings
        What holds for every image.
    resources : Resources
        What may be used.
    watch : Watch
        Whom to tell.
    """

    def __init__(self, settings: RunSettings, resources: Resources, watch: Watch) -> None:
        self.settings, self.resources, self.watch = settings, resources, watch
        self.workers: list[Worker] = []

    def run(self, jobs: Iterable[Job], stop_requested: Callable[[], bool]) -> None:
        """Denoise all images.

        Parameters
        ----------
        jobs : iterable of Job
            In this order.
        stop_requested : callable
            Asked again and again; once it says so, no further image is begun.
        """
        assignments = assign(jobs, self.settings, self.resources, self.watch.on_failure)
        try:
            assignment = next(assignments, None)
            while assignment or self._running():
                if assignment and stop_requested():
                    assignment = None
                elif assignment and self.resources.has_room(assignment, self._running()):
                    self._begin(assignment)
                    assignment = next(assignments, None)
                else:
                    self._listen()
        finally:
            for worker in self.workers:  # all at once, and then one by one
                worker.process.terminate()
            for worker in self.workers:
                worker.stop()

    def _running(self) -> list[Assignment]:
        return [worker.assignment for worker in self.workers if worker.assignment]

    def _begin(self, assignment: Assignment) -> None:
        assignment = replace(assignment, device=self.resources.device(self._running()))
        self.watch.on_start(assignment.job)
        idle = next((worker for worker in self.workers if not worker.assignment), None)
        if idle is None:
            idle = Worker(self.settings)
            self.workers.append(idle)
        try:
            idle.give(assignment)
        except OSError:  # it died while it had nothing to do
            self._bury(idle)
            self._begin(assignment)

    def _listen(self) -> None:
        busy = {worker.connection: worker for worker in self.workers if worker.assignment}
        for connection in wait(list(busy), POLL):
            assert isinstance(connection, Connection)
            self._hear(busy[connection])

    def _hear(self, worker: Worker) -> None:
        assignment, message = worker.assignment, worker.receive()
        assert assignment is not None
        match message:
            case ProgressMessage():
                self.watch.on_progress(assignment.job, message)
            case Ready():
                self.watch.on_ready(assignment.job, message)
                with suppress(OSError):  # if it has died, its next message says so
                    worker.connection.send(None)
            case Finished():
                worker.assignment = None
                self.watch.on_finish(assignment.job)
            case Failed():
                worker.assignment = None
                if worker.process.exitcode is not None:
                    self._bury(worker)
                self.watch.on_failure(assignment.job, message.error)

    def _bury(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.stop()
