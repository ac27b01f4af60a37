"""Tiles under way between an image's process and the workers of a cluster, whoever dies."""

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("distributed", reason="needs the extra evodenoise[dask]")

from evodenoise.errors import RunError
from evodenoise.jobs import remote_tiles as module
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.pool import Worker
from evodenoise.jobs.remote_tiles import AHEAD, TRIES, TileOrder, TileSender, carry_out_tile
from evodenoise.jobs.tiles import TileAssignment, TileDone, TileLost, TilesElsewhere, TilesWaiting
from evodenoise.jobs.worker import Failed, ProgressMessage

ORDER = TileOrder(RunSettings(), Path.cwd(), "cpu", 1)
COUNT = 9


class Future:
    """A task, settled when the client says so."""

    def __init__(self, number: int, place: str) -> None:
        self.number, self.place, self.status = number, place, "pending"
        self.error: Exception | None = None
        self.told: list[Callable[[Future], object]] = []

    def add_done_callback(self, told: Callable[["Future"], object]) -> None:
        self.told.append(told)

    def result(self) -> TileDone:
        if self.status == "cancelled":
            raise CancelledError
        if self.error is not None:
            raise self.error
        return TileDone(self.number, pickle.dumps(f"tile {self.number}"), 2.0)

    def settle(self, status: str = "finished", error: Exception | None = None) -> None:
        self.status, self.error = status, error
        for told in self.told:
            told(self)


class Client:
    """Answers like dask's; what it is sent it does last come, first served, if at all."""

    status = "running"

    def __init__(self, settle: Callable[[Future], object] = Future.settle) -> None:
        self.settle, self.waiting = settle, list[Future]()
        self.sent, self.cancelled = list[Future](), list[Future]()
        self.asked = self.most = 0

    def nthreads(self) -> dict[str, int]:
        self.asked += 1
        if self.asked > 2 and self.waiting:  # no tile has come since
            self.asked = 0
            self.settle(self.waiting.pop())
        return {"one": 1, "two": 2}

    def scatter(self, data: bytes, *, hash: bool) -> bytes:  # noqa: A002
        assert not hash
        return data

    def submit(self, *arguments: Any, workers: list[str], **_: Any) -> Future:
        future = Future(pickle.loads(arguments[-1]), workers[0])
        self.sent.append(future)
        self.waiting.append(future)
        self.asked, self.most = 0, max(self.most, len(self.waiting))
        return future

    def cancel(self, futures: list[Future], *, force: bool) -> None:
        assert force
        self.cancelled += futures


class Queue:
    """Gives out numbers for tiles."""

    def __init__(self) -> None:
        self.recipe, self.tiles, self.begun, self.finished = "recipe", [None] * COUNT, 0, 0

    def take(self, _: int) -> int:
        self.begun += 1
        return self.begun - 1


class Image:
    """An image's process that is none: a thread at the other end of the line."""

    def __init__(self, lives_for: int = COUNT) -> None:
        self.lives_for = lives_for
        ours, self.theirs = Pipe()
        self.worker = Worker.__new__(Worker)
        self.worker.connection = ours
        self.worker.process = cast(Any, SimpleNamespace(join=lambda: None, exitcode=-9))
        self.done: dict[int, str] = {}
        self.error, self.cpu_seconds = "", 0.0
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        queue, elsewhere = cast(Any, Queue()), TilesElsewhere(self.theirs)
        try:
            for number, found in elsewhere(queue):
                self.done[number] = cast(Any, found)
                self.cpu_seconds = elsewhere.cpu_seconds
                queue.finished += 1
                if queue.finished > self.lives_for:
                    self.theirs.close()
                    return
                self.theirs.send(ProgressMessage("rebuilding", queue.finished / COUNT))
        except RunError as error:
            self.error = str(error)
        except EOFError:
            return

    def send_tiles(
        self, client: Client, is_wanted: Callable[[], bool] = lambda: True
    ) -> tuple[Failed | None, list[float]]:
        """Have them done; return what went wrong, and what was told."""
        self.thread.start()
        shares: list[float] = []
        waiting = self.worker.receive()
        assert isinstance(waiting, TilesWaiting)
        failed = TileSender(client, self.worker, waiting, ORDER).run(
            is_wanted, lambda message: shares.append(cast(ProgressMessage, message).share)
        )
        if not failed and not is_wanted():
            self.worker.connection.close()
        self.thread.join()
        return failed, shares


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 0.01)


def test_all_tiles_come_back_in_any_order_and_few_are_under_way() -> None:
    image, client = Image(), Client()
    failed, shares = image.send_tiles(client)
    assert failed is None
    assert image.done == {number: f"tile {number}" for number in range(COUNT)}
    assert list(image.done) != sorted(image.done)
    assert image.cpu_seconds == 2.0 * COUNT
    assert client.most == AHEAD * 3
    assert shares == sorted(shares)
    assert [future.place for future in client.sent[:6]].count("two") == 4
    assert client.cancelled == []


def test_tiles_whose_data_are_lost_are_sent_again() -> None:
    lost: set[int] = set()

    def settle(future: Future) -> None:
        first = future.number not in lost
        lost.add(future.number)
        future.settle("cancelled" if first else "finished")

    image, client = Image(), Client(settle)
    assert image.send_tiles(client)[0] is None
    assert len(image.done) == COUNT
    assert len(client.sent) == 2 * COUNT


def test_tiles_whose_data_are_always_lost_are_given_up() -> None:
    image, client = Image(), Client(lambda future: future.settle("cancelled"))
    assert image.send_tiles(client)[0] is None
    assert image.error == (
        f"tile 6 of {COUNT}: its data were lost with the workers that had them, again and again"
    )
    assert [future.number for future in client.sent].count(5) == TRIES + 1
    assert len(client.cancelled) == AHEAD * 3 - 1


def test_a_tile_that_kills_whoever_works_on_it_is_an_error_of_the_image() -> None:
    error = RunError("the process working on it died (SIGKILL)")
    image, client = Image(), Client(lambda future: future.settle("error", error))
    assert image.send_tiles(client)[0] is None
    assert image.error == f"tile 6 of {COUNT}: {error}, {TRIES} times"
    assert len(client.cancelled) == AHEAD * 3 - 1


def test_tiles_that_nobody_wants_are_cancelled() -> None:
    image, client = Image(), Client()
    assert image.send_tiles(client, lambda: len(client.sent) < 5)[0] is None
    assert client.cancelled == client.waiting
    assert len(client.sent) == 5


def test_an_image_whose_process_dies_takes_its_tiles_along() -> None:
    image, client = Image(lives_for=3), Client()
    failed, _ = image.send_tiles(client)
    assert failed == Failed("the process working on it died (SIGKILL; perhaps out of memory)")
    assert client.cancelled


class Process:
    """A process for a tile: it answers, or dies."""

    def __init__(self, answer: object) -> None:
        self.answer, self.alive, self.stopped = answer, True, False
        self.process = SimpleNamespace(is_alive=lambda: self.alive)
        self.connection = SimpleNamespace(send=self.take, poll=lambda _: True)

    def take(self, assignment: TileAssignment) -> None:
        assert (assignment.recipe, assignment.call) == (b"recipe", b"call")

    def receive(self) -> object:
        self.alive = self.answer != Failed("it died")
        return self.answer

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def give_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Process]]:
    """Be one of dask's workers that has a process; it is listed if it is kept."""

    def give(process: Process, *, wanted: bool = True) -> list[Process]:
        kept: list[Process] = []
        monkeypatch.setattr(module, "watch_task", lambda: lambda: wanted)
        monkeypatch.setattr(module, "find_fault", lambda *_: None)
        monkeypatch.setattr(module, "take_process", lambda *_: process)
        monkeypatch.setattr(module, "keep_process", kept.append)
        return kept

    return give


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (TileDone(3, b"pixels", 1.0), TileDone(3, b"pixels", 1.0)),
        (Failed("training diverged"), TileLost("training diverged")),
    ],
)
def test_what_another_try_would_not_change_is_no_error_of_the_task(
    answer: object, outcome: object, give_process: Callable[..., list[Process]]
) -> None:
    process = Process(answer)
    kept = give_process(process)
    assert carry_out_tile(ORDER, b"recipe", b"call") == outcome
    assert kept == [process]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_process_that_died_or_is_not_wanted_is_one(
    wanted: bool, give_process: Callable[..., list[Process]]
) -> None:
    """So that dask tries again."""
    process = Process(Failed("it died"))
    kept = give_process(process, wanted=wanted)
    with pytest.raises(RunError, match="it died" if wanted else "nobody wants it"):
        carry_out_tile(ORDER, b"recipe", b"call")
    assert process.stopped
    assert kept == []
