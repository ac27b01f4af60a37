"""How long a training goes on, and at which learning rate."""

import math
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from evodenoise.config.settings import LearningRateConfig, Schedule

RECONSTRUCTION_PASSES = 3.5
"""Reconstruction of a patch costs up to as much as this many quick visits in training: the less
there was, the more."""

MOST_RESERVE = 0.75
"""Share of the time that is kept for what follows training, at most."""


class StopReason(StrEnum):
    """Why a training ended."""

    EPOCHS = "epochs"
    CONVERGED = "converged"
    TIME_LIMIT = "time limit"
    STOPPED = "stopped"


def learning_rate(config: LearningRateConfig, progress: float, epochs: int) -> float:
    """Compute Adam's learning rate at a point of the run.

    Parameters
    ----------
    config : LearningRateConfig
        Schedule and bounds.
    progress : float
        Epochs done, with a fraction for the mini-batches of the present one.
    epochs : int
        Length of the run.

    Returns
    -------
    float
        The rate.
    """
    low, high = config.minimum, config.maximum
    if config.schedule is Schedule.CYCLIC:
        phase = progress % config.period / config.period
        return low + (high - low) * (1 - abs(2 * phase - 1))
    # A short run gives at most a quarter of its length to the warm-up.
    warm_up = min(config.warm_up, epochs / 4)
    if progress < warm_up:
        return low + (high - low) * progress / warm_up
    done = (progress - warm_up) / (epochs - warm_up)
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class Budget:
    """The length of a run: a number of epochs, compressed if the clock demands it.

    Without a deadline no clock is read, so that results repeat.

    Parameters
    ----------
    epochs : int
        Length of the run.
    deadline : float, optional
        When all must be done, reconstruction included, on the scale of `clock`.
    patches : int
        Patches to reconstruct before the deadline.
    later_passes : sequence of float
        What else there might be to do before it, in visits to each of these patches, most first:
        the first that leaves time to train is planned for.
    clock : callable
        Seconds on a monotonic scale.
    """

    def __init__(
        self,
        epochs: int,
        *,
        deadline: float | None = None,
        patches: int = 0,
        later_passes: Sequence[float] = (0.0,),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.epochs = epochs
        self.deadline = deadline
        self.later_visits = [patches * (RECONSTRUCTION_PASSES + each) for each in later_passes]
        self.clock = clock
        self.started = clock() if deadline is not None else 0.0
        self.seconds_per_patch = math.inf

    def record(self, seconds_per_patch: float) -> None:
        """Take in what a visit took; the quickest counts, for there are slower kinds."""
        self.seconds_per_patch = min(self.seconds_per_patch, seconds_per_patch)

    def progress(self, epochs_done: float) -> float:
        """Return the run's progress in epochs, at least `epochs_done` and at most `epochs`."""
        if self.deadline is None:
            return epochs_done
        available = self.deadline - self.started
        elapsed = self.clock() - self.started
        share = min(elapsed / max(available - self._reserve(available), 1e-9), 1.0)
        return max(epochs_done, share * self.epochs)

    def _reserve(self, available: float) -> float:
        """Choose how many of the available seconds to keep for what comes after training."""
        if math.isinf(self.seconds_per_patch):
            return 0.0
        most = MOST_RESERVE * available
        wanted = (visits * self.seconds_per_patch for visits in self.later_visits)
        return next((seconds for seconds in wanted if seconds <= most), most)

    def over(self, epochs_done: float) -> StopReason | None:
        """Say whether the run is over, and why."""
        if epochs_done >= self.epochs:
            return StopReason.EPOCHS
        return StopReason.TIME_LIMIT if self.progress(epochs_done) >= self.epochs else None


class Convergence:
    """Tell when more epochs would change nothing.

    Every sub-lattice has its own level of free energy, so a visit is compared with the
    last visit of the same one.

    Parameters
    ----------
    lattices : int
        How many sub-lattices take turns.
    """

    TOLERANCE = 1e-3
    """Nats per patch, and replaced states per patch."""

    def __init__(self, lattices: int) -> None:
        self.last = [-math.inf] * lattices
        self.still = 0

    def reached(self, epoch: int, free_energy: float, replaced: float) -> bool:
        """Take in an epoch (from 0); True once a whole round of sub-lattices has not moved."""
        place = epoch % len(self.last)
        moved = abs(free_energy - self.last[place]) > self.TOLERANCE or replaced > self.TOLERANCE
        self.last[place] = free_energy
        self.still = 0 if moved else self.still + 1
        return self.still >= len(self.last)
