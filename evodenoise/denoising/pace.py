"""How far a piece of work has got: who is told, and whether it is quick enough."""

import time
from collections.abc import Callable
from typing import Any

OnShare = Callable[[float], None]
"""Called with the share of the work that is done, from 0 to 1."""

Look = Callable[[], Any]
"""Makes an estimate of what will come of the work, by what is known so far."""

OnEstimate = Callable[[Look], object]
"""Called whenever a better estimate could be made: what it costs is paid by who looks."""


def share_of_part(on_share: OnShare | None, place: int, count: int) -> OnShare | None:
    """Turn the share of one of some equal parts that is done into that of all of them."""
    return None if on_share is None else lambda share: on_share((place + share) / count)


def estimate_of(on_estimate: OnEstimate | None, change: Callable[[Any], Any]) -> OnEstimate | None:
    """Turn estimates of one thing into those of another, once somebody looks."""
    return None if on_estimate is None else lambda look: on_estimate(lambda: change(look()))


class Pace:
    """How many patches have been estimated, and whether that is quick enough.

    Parameters
    ----------
    total : int
        Patches to be estimated.
    deadline : float or None
        When all must be done, on the scale of `time.perf_counter`.
    on_share : callable or None
        Called with the share that is done.
    """

    def __init__(self, total: int, deadline: float | None, on_share: OnShare | None) -> None:
        self.total, self.deadline, self.on_share = total, deadline, on_share
        self.done, self.started = 0, time.perf_counter()

    def advance(self, patches: int) -> None:
        """Note that so many more patches are done."""
        self.done += patches
        if self.on_share is not None:
            self.on_share(self.done / self.total)

    def late(self, patches: int) -> bool:
        """Say whether more time has gone than there is for what will be done after so many."""
        if self.deadline is None:
            return False
        share = (self.done + patches) / self.total
        return time.perf_counter() - self.started > share * (self.deadline - self.started)
