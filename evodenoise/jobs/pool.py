"""Images in parallel, each worker a process: one that dies costs its image, not the batch."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait

from evodenoise.errors import EvodenoiseError
from evodenoise.images import read_image
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.worker import Failed, Finished, Message, Progress, Ready, Task, serve

SMALL_IMAGE = 128 * 128
"""Pixels up to which a second thread does not pay."""

POLL = 0.25
"""Seconds after which a waiting pool looks up, to see whether it is to stop."""

PATIENCE = 5.0
"""Seconds that a worker has to clean up before it is killed."""


def available_cores() -> int:
    """Count the cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(pixels: int, cores: int, *, jobs: int | None, threads: int | None) -> int:
    """Choose the CPU threads of one image, never by what other images there are.

    Parameters
    ----------
    pixels : int
        Size of the image.
    cores : int
        Cores of the machine.
    jobs, threads : int or None
        As asked for.

    Returns
    -------
    int
        Threads; at least 1.
    """
    if threads is not None:
        return threads
    return 1 if pixels <= SMALL_IMAGE else max(1, cores // (jobs or 1))


@dataclass(frozen=True)
class Resources:
    """What a batch may use.

    Attributes
    ----------
    cores : int
        CPU cores.
    devices : tuple of str
        Where to compute: ``("cpu",)``, or the GPUs.
    jobs : int or None
        Images at once; None: one a GPU, or as many as there are cores for.
    threads : int or None
        CPU threads of each image; None: by its size.
    """

    cores: int
    devices: tuple[str, ...] = ("cpu",)
    jobs: int | None = None
    threads: int | None = None

    def slots(self) -> int:
        """Say how many images are worked on at once, at most."""
        return self.jobs or (self.cores if self.devices == ("cpu",) else len(self.devices))

    def has_room(self, task: Task, running: Sequence[Task]) -> bool:
        """Tell whether one more image may be started."""
        if len(running) >= self.slots():
            return False
        # Beyond what was asked for, an image starts only where there are cores left for it.
        busy = sum(each.threads for each in running)
        return not running or self.jobs is not None or busy + task.threads <= self.cores

    def device(self, running: Sequence[Task]) -> str:
        """Choose the device that has the least to do."""
        used = [task.device for task in running]
        return min(self.devices, key=used.count)


class Worker:
    """A process with its end of the line, and the task it is at."""

    def __init__(self, settings: RunSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, settings), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        """Let it work on an image."""
        self.task = task
        self.connection.send(task)

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
        With a `Progress`.
    on_ready : callable
        With a `Ready`; the output appears when it returns.
    on_finish : callable
        The output has appeared.
    on_failure : callable
        With a message of one line.
    """

    on_start: Callable[[Job], object]
    on_progress: Callable[[Job, Progress], object]
    on_ready: Callable[[Job, Ready], object]
    on_finish: Callable[[Job], object]
    on_failure: Callable[[Job, str], object]


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
        tasks = self._tasks(jobs)
        try:
            task = next(tasks, None)
            while task or self._running():
                if task and stop_requested():
                    task = None
                elif task and self.resources.has_room(task, self._running()):
                    self._begin(task)
                    task = next(tasks, None)
                else:
                    self._listen()
        finally:
            for worker in self.workers:
                worker.stop()

    def _running(self) -> list[Task]:
        return [worker.task for worker in self.workers if worker.task]

    def _tasks(self, jobs: Iterable[Job]) -> Iterator[Task]:
        """Look at the images one by one, for what they need."""
        wanted = self.resources
        for job in jobs:
            try:
                pages = read_image(job.source, self.settings.files.reading).pages
            except EvodenoiseError as error:
                self.watch.on_failure(job, str(error))
                continue
            threads = choose_threads(
                pages.shape[1] * pages.shape[2],
                wanted.cores,
                jobs=wanted.jobs,
                threads=wanted.threads,
            )
            yield Task(job, wanted.devices[0], threads)

    def _begin(self, task: Task) -> None:
        task = replace(task, device=self.resources.device(self._running()))
        self.watch.on_start(task.job)
        idle = next((worker for worker in self.workers if not worker.task), None)
        if idle is None:
            idle = Worker(self.settings)
            self.workers.append(idle)
        try:
            idle.give(task)
        except OSError:  # it died while it had nothing to do
            self._bury(idle)
            self._begin(task)

    def _listen(self) -> None:
        busy = {worker.connection: worker for worker in self.workers if worker.task}
        for connection in wait(list(busy), POLL):
            assert isinstance(connection, Connection)
            self._hear(busy[connection])

    def _hear(self, worker: Worker) -> None:
        task, message = worker.task, worker.receive()
        assert task is not None
        match message:
            case Progress():
                self.watch.on_progress(task.job, message)
            case Ready():
                self.watch.on_ready(task.job, message)
                with suppress(OSError):  # if it has died, its next message says so
                    worker.connection.send(None)
            case Finished():
                worker.task = None
                self.watch.on_finish(task.job)
            case Failed():
                worker.task = None
                if worker.process.exitcode is not None:
                    self._bury(worker)
                self.watch.on_failure(task.job, message.error)

    def _bury(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.stop()
