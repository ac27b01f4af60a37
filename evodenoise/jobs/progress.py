"""How far the work on an image has come, and how long the rest will take.

What the forecast says of the stages counts until they are measured: once training has taken a
while, the machine is known, and once a tile or a page is done, so is what each stage takes.
"""

import time
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from evodenoise.jobs.forecast import StageSeconds, forecast_job
from evodenoise.jobs.job import PreparedJob, RunSettings

if TYPE_CHECKING:
    from evodenoise.tvae.training import EpochReport

TRUST = 0.02
"""The forecast of a stage counts like so much of it that has been measured."""

HALF_WORK, HALF_PIXELS = 0.5, 0.25
"""Of the training, and of all that follows, for an image of half the size."""


class Stage(Enum):
    """What is done with an image, in this order."""

    TRAINING = auto()
    REBUILDING = auto()
    REFINING = auto()


class ImageProgress:
    """Take in what is done, and tell what is left.

    Parameters
    ----------
    expected : StageSeconds
        What the stages take for all pages; their ratios count, the machine may be another one.
    pages : int
        How many are denoised one after the other, each with all stages.
    limit : float or None
        Seconds after which all will be done, whatever the stages take.
    clock : callable
        Seconds on a monotonic scale.

    Notes
    -----
    A stage that has taken s seconds for a share p of the whole image takes

        (s + e r) / (p + e)

    in all, e = `TRUST` and r what is expected of it; expectations are in proportion to the
    forecast, scaled by what has been measured in all stages together.
    """

    def __init__(
        self,
        expected: StageSeconds,
        *,
        pages: int = 1,
        limit: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.visit, self.pages, self.limit, self.clock = expected.visit, pages, limit, clock
        self.expected = {
            Stage.TRAINING: expected.training,
            Stage.REBUILDING: expected.rebuilding,
            Stage.REFINING: expected.refining,
        }
        self.done, self.spent = dict.fromkeys(Stage, 0.0), dict.fromkeys(Stage, 0.0)
        self.measured = self.forecast = 0.0  # seconds of the same work
        self.between = 0.0  # before epochs: reading the noise, and what coarser scales lead to
        self.page, self.scale, self.scales = 0, 0, 0
        self.started = self.last = clock()
        self.shown = 0.0

    @classmethod
    def of_job(cls, prepared: PreparedJob, settings: RunSettings) -> "ImageProgress":
        """Begin the clock of a job that is about to be run."""
        image, limit = prepared.image, prepared.config.time_limit
        apart = image.is_stack and not settings.joint
        if limit is not None:
            limit -= time.perf_counter() - prepared.started
        return cls(
            forecast_job(prepared, joint=settings.joint),
            pages=len(image.pages) if apart else 1,
            limit=limit,
        )

    def begin_page(self, number: int) -> None:
        """Take in that a page of a stack begins, counted from 1."""
        self.page, self.scale = number - 1, 0
        self._complete(self.page)

    def train(self, report: "EpochReport") -> None:
        """Take in an epoch; where the size has been halved for it, what is larger follows."""
        scale = report.scale
        self.scale, self.scales = scale, max(scale, self.scales)
        works = [HALF_WORK**each for each in range(self.scales, -1, -1)]
        before = sum(works[: self.scales - scale])
        share = (before + report.progress * works[self.scales - scale]) / sum(works)
        self.between += max(self.clock() - self.last - report.seconds, 0.0)
        self._advance(Stage.TRAINING, share, report.seconds, report.patches * self.visit)

    def rebuild(self, share: float) -> None:
        """Take in the share of the reconstruction of a page, or image, that is done."""
        self._end_training()
        if share or self.done[Stage.REBUILDING]:
            self._pass(Stage.REBUILDING, Stage.REBUILDING, share)
        else:
            self.last = self.clock()  # what has gone comes once, not with each tile

    def refine(self, share: float) -> None:
        """Take in the share of the refinement of a page, or image, that is done."""
        self._end_training()
        # What has gone when it begins was work on the estimate that is refined.
        nothing_yet = self._whole(share) <= self.done[Stage.REFINING]
        self._pass(Stage.REFINING, Stage.REBUILDING if nothing_yet else Stage.REFINING, share)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take; None: nothing has been measured yet."""
        if not self.measured:
            return None
        now = self.clock()
        left = {stage: self._predict(stage) * (1 - self.done[stage]) for stage in Stage}
        later = self._predict(Stage.REBUILDING) + self._predict(Stage.REFINING)
        halves = sum(HALF_PIXELS**scale for scale in range(1, self.scale + 1))
        between = self.between / (self.page + 1) * (self.pages - self.page - 1)
        extra = later / self.pages * halves + between
        seconds = max(sum(left.values()) + extra - (now - self.last), 0.0)
        if self.limit is not None:
            seconds = min(seconds, max(self.limit - (now - self.started), 0.0))
        return seconds

    @property
    def share(self) -> float:
        """How much of the work is done, from 0 to 1: the share of its time; it never falls."""
        left = self.seconds_left
        if left is not None:
            elapsed = self.clock() - self.started
            self.shown = max(self.shown, elapsed / max(elapsed + left, 1e-9))
        return self.shown

    def _whole(self, share: float) -> float:
        """Turn the share of a page into that of all of them."""
        return (self.page + share) / self.pages

    def _complete(self, pages: int) -> None:
        """Take in that so many pages are done: one that is constant says nothing itself."""
        for stage in Stage:
            self.done[stage] = max(self.done[stage], pages / self.pages)

    def _end_training(self) -> None:
        """Take in that the training of a page is done, though it may have been cut short."""
        self.done[Stage.TRAINING] = max(self.done[Stage.TRAINING], self._whole(1.0))
        self.scale = 0

    def _pass(self, stage: Stage, payer: Stage, share: float) -> None:
        """Take in a share of a stage, and put down the seconds since the last word to one."""
        seconds = self.clock() - self.last
        step = max(self._whole(share) - self.done[stage], 0.0)
        self.spent[payer] += seconds
        self._advance(stage, share, 0.0, step * self.expected[stage])
        self.measured += seconds

    def _advance(self, stage: Stage, share: float, seconds: float, forecast: float) -> None:
        """Put down what is done of a page, the seconds it took, and what was forecast for it."""
        self.done[stage] = max(self.done[stage], self._whole(share))
        self.spent[stage] += seconds
        self.measured += seconds
        self.forecast += forecast
        self.last = self.clock()

    def _predict(self, stage: Stage) -> float:
        """Tell how long a stage will have taken in all."""
        pace = self.measured / self.forecast if self.forecast else 1.0
        prior = pace * self.expected[stage]
        trust = TRUST if prior else 0.0
        done = self.done[stage] + trust
        return (self.spent[stage] + trust * prior) / done if done else 0.0
