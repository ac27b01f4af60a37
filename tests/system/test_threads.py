"""Work side by side: in order, and the same whoever is quicker."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

from evodenoise.system.threads import available_threads, in_threads, in_turns


@pytest.fixture(autouse=True)
def four_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_a_gpu_works_alone() -> None:
    assert available_threads(torch.device("cuda")) == 1
    assert available_threads(torch.device("cpu")) == 4


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_results_come_in_order(device: str) -> None:
    def work(part: int) -> int:
        time.sleep(0.01 * (part % 3 == 0))
        return part**2

    made = list(in_threads(work, range(20), torch.device(device)))
    assert made == [part**2 for part in range(20)]


def test_cores_are_shared_out() -> None:
    cores: list[int] = []
    in_turns([torch.get_num_threads] * 5, cores.append, workers=2)
    assert cores == [2] * 5
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("workers", [2, 3])
def test_what_a_work_sees_does_not_depend_on_who_is_quicker(workers: int) -> None:
    finished: list[int] = []

    def works() -> Iterator[Callable[[], tuple[int, int]]]:
        for number in range(8):
            seen = len(finished)

            def work(number: int = number, seen: int = seen) -> tuple[int, int]:
                time.sleep(0.02 * (number % 3))
                return number, seen

            yield work

    sights = []

    def finish(made: tuple[int, int]) -> None:
        assert threading.current_thread() is threading.main_thread()
        sights.append(made)
        finished.append(made[0])

    in_turns(works(), finish, workers=workers)
    assert sights == [(number, max(0, number - workers)) for number in range(8)]


def test_works_go_on_while_another_is_finished() -> None:
    begun = [threading.Event() for _ in range(3)]

    def finish(number: int) -> None:
        if number < 2:  # the next one is under way
            assert begun[number + 1].wait(timeout=30)

    def work(number: int) -> int:
        begun[number].set()
        return number

    in_turns([lambda number=number: work(number) for number in range(3)], finish, workers=2)


@pytest.mark.parametrize("at", ["work", "finish"])
def test_the_first_failure_ends_it(at: str) -> None:
    finished: list[int] = []

    def work(number: int) -> int:
        if at == "work" and number == 2:
            raise ValueError(number)
        return number

    def finish(number: int) -> None:
        if at == "finish" and number == 2:
            raise ValueError(number)
        finished.append(number)

    with pytest.raises(ValueError, match="2"):
        in_turns([lambda number=number: work(number) for number in range(9)], finish, workers=3)
    assert finished == [0, 1]
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("where", ["in_turns", "in_threads"])
def test_nobody_waits_for_a_work_after_an_interruption(where: str) -> None:
    """Ctrl-C and SIGTERM used to wait for mini-batches that took half a minute."""
    released, ended = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number:
            released.wait(timeout=20)
            ended.set()
        return number

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    def work_on_all() -> None:
        if where == "in_turns":
            in_turns([partial(work, number) for number in range(3)], interrupt, workers=2)
        for made in in_threads(work, range(3), torch.device("cpu")):
            interrupt(made)

    try:
        with pytest.raises(KeyboardInterrupt):
            work_on_all()
        assert not ended.is_set()
    finally:
        released.set()
