"""Images in parallel on many machines: the same jobs, sent to a cluster of dask.distributed."""

import logging
import pickle
import queue
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from evodenoise import __version__
from evodenoise.errors import ConfigError, RunError
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.pool import POLL, Watch, assign
from evodenoise.jobs.resources import Resources
from evodenoise.jobs.worker import Assignment, Failed, Finished, Message, ProgressMessage, Ready

CONNECT_SECONDS = 5.0
"""After which a scheduler that has not answered counts as not there."""


def read_address(text: str) -> str:
    """Read the address of a scheduler, for example ``tcp://host:8786``.

    Raises
    ------
    ConfigError
        If it is none.
    """
    found = re.fullmatch(
        r"(?:(?:tcp|tls|wss?|ucx)://)?(?:[^/:\s]+|\[[0-9a-fA-F:.]+\]):(\d+)/?", text
    )
    if not found or int(found[1]) >= 2**16:
        raise ConfigError(
            f"--scheduler {text!r} is not an address; write for example tcp://host:8786"
        )
    return text


@dataclass(frozen=True)
class Cluster:
    """A line to a scheduler whose workers can do our jobs.

    Attributes
    ----------
    address : str
        As typed.
    client : Client
        Of dask's.
    say : callable
        Told in a line what the user should know.
    """

    address: str
    client: Any
    say: Callable[[str], object]

    def slots(self) -> int:
        """Count the images that can be worked on at once: one for each thread of a worker.

        Raises
        ------
        RunError
            If the scheduler is gone.
        """
        if self.client.status != "running":
            raise self._gone()
        try:
            return sum(self.client.nthreads().values())
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> RunError:
        return RunError(
            f"the scheduler {self.address} is gone; whole files are in place, and "
            "--skip-existing goes on"
        )

    def wait_for_workers(self, keep_waiting: Callable[[], bool] = lambda: True) -> None:
        """Wait until there are workers, however long that takes.

        Parameters
        ----------
        keep_waiting : callable
            Asked again and again.
        """
        if not self.slots():
            self.say(
                f"waiting for workers of {self.address}; "
                f"this starts one: dask worker {self.address} (Ctrl-C: quit)"
            )
        while not self.slots() and keep_waiting():
            time.sleep(POLL)

    def check_workers(self) -> None:
        """Refuse workers that could not do a job as it would be done here.

        Raises
        ------
        ConfigError
            If they have another evodenoise or none, or do not see our files.
        """
        for address, (version, sees) in self._ask_workers().items():
            if version != __version__:
                found = f"evodenoise {version}" if version else "no evodenoise"
                raise ConfigError(
                    f"--scheduler {self.address}: its worker {address} has {found}, and this is "
                    f"{__version__}; install the same one everywhere"
                )
            if not sees:
                raise ConfigError(
                    f"--scheduler {self.address}: its worker {address} does not see the folder "
                    f"{Path.cwd()}; run where all machines share the files"
                )

    def _ask_workers(self) -> Mapping[str, tuple[str, bool]]:
        """Ask each worker for its version, and whether it sees the folder that we are in."""
        folder = str(Path.cwd())

        # A function inside of another travels as code: a worker without evodenoise can run it.
        def answer() -> tuple[str, bool]:
            import os

            try:
                from evodenoise import __version__
            except ImportError:
                return "", True
            return __version__, os.path.isdir(folder)  # noqa: PTH112

        answers: Mapping[str, tuple[str, bool]] = self.client.run(answer)
        return answers


@contextmanager
def reach_cluster(address: str, say: Callable[[str], object]) -> Iterator[Cluster]:
    """Reach a scheduler, and see that its workers can do our jobs.

    Parameters
    ----------
    address : str
        Of the scheduler, for example ``tcp://host:8786``.
    say : callable
        Told in a line what the user should know.

    Yields
    ------
    Cluster
        With one worker at least.

    Raises
    ------
    ConfigError
        If dask is not installed, the scheduler cannot be reached, or a worker is not like us.
    """
    with _connect(_import_distributed(), address) as client:
        cluster = Cluster(address, client, say)
        cluster.wait_for_workers()
        cluster.check_workers()
        yield cluster


def _connect(distributed: ModuleType, address: str) -> Any:
    """Connect to a scheduler; within a time limit, whoever answers at that address."""
    outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def connect() -> None:
        try:
            outcome.put(distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
        except Exception as error:  # of many classes, up to another version of dask
            outcome.put(error)

    # What listens there may be no scheduler, for whose answer dask waits without end.
    threading.Thread(target=connect, daemon=True).start()
    try:
        client = outcome.get(timeout=2 * CONNECT_SECONDS)
    except queue.Empty:
        client = TimeoutError("whatever listens there does not answer as a scheduler does")
    if isinstance(client, Exception):
        reason = " ".join(str(client).split()) or type(client).__name__
        raise ConfigError(f"--scheduler {address}: cannot be reached: {reason}") from client
    return client


def _import_distributed() -> ModuleType:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "--scheduler needs dask; install it with: python -m pip install 'evodenoise[dask]'"
        ) from error
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distrib")]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # we say ourselves what is wrong
    return distributed


class ClusterPool:
    """The workers of a cluster for a batch; like a `Pool`.

    Parameters
    ----------
    settings : RunSettings
        What holds for every image.
    resources : Resources
        What an image may use, wherever it is worked on.
    watch : Watch
        Whom to tell.
    cluster : Cluster
        Where the workers are.
    """

    def __init__(
        self, settings: RunSettings, resources: Resources, watch: Watch, cluster: Cluster
    ) -> None:
        self.settings, self.resources, self.watch = settings, resources, watch
        self.cluster, self.topic = cluster, f"evodenoise-{uuid.uuid4().hex}"
        self.jobs: dict[int, Job] = {}
        self.futures: dict[int, Any] = {}
        self.begun: set[int] = set()
        self.recorded: set[int] = set()
        self.heard: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def run(self, jobs: Iterable[Job], stop_requested: Callable[[], bool]) -> None:
        """Denoise all images; parameters as for `Pool.run`.

        Raises
        ------
        RunError
            If the scheduler is lost.
        """
        client = self.cluster.client
        assignments = assign(jobs, self.settings, self.resources, self.watch.on_failure)
        client.subscribe_topic(self.topic, self._on_event)
        try:
            assignment = next(assignments, None)
            while assignment or self.futures:
                if stop_requested():
                    assignment = None
                    self._drop(number for number in self.futures if number not in self.begun)
                if assignment and len(self.futures) < self._find_slots(stop_requested):
                    self._send(assignment)
                    assignment = next(assignments, None)
                elif self.futures:
                    self._listen()
        finally:
            self._drop(self.futures)
            client.unsubscribe_topic(self.topic)

    def _find_slots(self, stop_requested: Callable[[], bool]) -> int:
        """Count the images that fit in at once, waiting for workers if there are none left."""
        self.cluster.wait_for_workers(lambda: self.heard.empty() and not stop_requested())
        return self.cluster.slots()

    def _send(self, assignment: Assignment) -> None:
        from evodenoise.jobs.remote import Order, carry_out

        number = len(self.jobs)
        self.jobs[number] = assignment.job
        order = Order(number, assignment, self.settings, Path.cwd(), self.topic)
        name = f"{self.topic}-{number}"
        future = self.cluster.client.submit(carry_out, order, key=name, pure=False)
        self.futures[number] = future
        future.add_done_callback(
            lambda future: self.heard.put(partial(self._settle, number, future))
        )

    def _on_event(self, event: tuple[float, bytes]) -> None:
        """Take a message, on a thread of dask's."""
        told = pickle.loads(event[1])
        self.heard.put(partial(self._hear, told.number, told.message, told.token))

    def _listen(self) -> None:
        try:
            self.heard.get(timeout=POLL)()
        except queue.Empty:
            self.cluster.slots()  # which tells if nothing will ever come

    def _hear(self, number: int, message: Message, token: str) -> None:
        """Pass on a message; what is told of an image that has ended comes too late."""
        if number not in self.futures:
            return
        job = self.jobs[number]
        if number not in self.begun:
            self.begun.add(number)
            self.watch.on_start(job)
        match message:
            case ProgressMessage():
                self.watch.on_progress(job, message)
            case Ready():
                self.watch.on_ready(job, message)
                self.recorded.add(number)
                _answer(token, self.cluster.client)
            case Finished():
                self._end(number)
            case Failed():
                self._end(number, message.error)

    def _settle(self, number: int, future: Any) -> None:
        """See that dask has done with an image: if it had not told, there is no hope for it."""
        from evodenoise.jobs.dask_tasks import describe_loss

        if number in self.futures and future.status == "error":
            self._end(number, describe_loss(future.exception()))

    def _end(self, number: int, error: str | None = None) -> None:
        job = self.jobs[number]
        self._drop([number])
        # A worker that was killed as soon as the output was there has its image done again.
        there = number in self.recorded and not self.settings.overwrite and job.target.exists()
        if error is None or there:
            self.watch.on_finish(job)
        else:
            self.watch.on_failure(job, error)

    def _drop(self, numbers: Iterable[int]) -> None:
        """Let go of images; those that are being worked on are given up."""
        dropped = [self.futures.pop(number) for number in list(numbers)]
        if dropped and self.cluster.client.status == "running":
            self.cluster.client.cancel(dropped, force=True)


def _answer(token: str, client: Any) -> None:
    """Tell a worker that a record has been taken down."""
    from distributed import Event

    Event(token, client=client).set()
