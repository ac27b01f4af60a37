"""Threads side by side on a CPU, for work too small for torch to share out by itself."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def available_threads(device: torch.device) -> int:
    """Count the threads that may work side by side: those of torch on the CPU, else one."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def in_threads(
    work: Callable[[Part], Result],
    parts: Iterable[Part],
    device: torch.device,
    *,
    most: int | None = None,
) -> Iterator[Result]:
    """Work on parts side by side, a thread of one core each, for as many cores as torch has.

    Parameters
    ----------
    work : callable
        Makes a result of a part; without side effects.
    parts : iterable
        The parts; a few are taken at a time.
    device : torch.device
        Other devices than the CPU get one part after the other.
    most : int, optional
        Parts at a time; with more cores than that, each has several.

    Yields
    ------
    Result
        In the order of the parts.
    """
    threads = min(available_threads(device), most or sys.maxsize)
    if threads == 1:
        yield from map(work, parts)
        return
    # What the caller does with a result takes one core, too: more would be taken from the others.
    with _pool(threads) as pool, limited(1):
        left = iter(parts)
        pending = deque(pool.submit(work, part) for part in islice(left, 2 * threads))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(work, part) for part in islice(left, 1))


def in_turns(
    works: Iterable[Callable[[], Result]], finish: Callable[[Result], None], *, workers: int
) -> None:
    """Work on several things at once, and finish them one by one, in their order.

    What happens does not depend on who is quicker: one work more than there are workers is taken
    at the start, so that none of them has to wait for what is finished, and one after each that
    is.

    Parameters
    ----------
    works : iterable of callable
        Each makes a result, on a thread of its own; without side effects.
    finish : callable
        Takes the results, on the caller's thread; no work is taken meanwhile.
    workers : int
        Threads, finishing included; they share torch's cores.
    """
    with _pool(workers) as pool, limited(_cores(workers)):
        left = iter(works)
        pending = deque(pool.submit(work) for work in islice(left, workers + 1))
        while pending:
            finish(pending.popleft().result())
            pending.extend(pool.submit(work) for work in islice(left, 1))


def _cores(workers: int) -> int:
    return max(1, torch.get_num_threads() // workers)


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Offer threads, and wait for them at the end unless something went wrong.

    What they are at may take minutes; who was told to stop is not to wait for it.
    """
    pool = ThreadPoolExecutor(
        workers, initializer=torch.set_num_threads, initargs=(_cores(workers),)
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let torch use so many threads on the present one, for a while.

    Parameters
    ----------
    threads : int
        How many.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
