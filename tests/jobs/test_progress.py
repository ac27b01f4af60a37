"""The time left, by a clock that is moved by hand: right within a fifth from a quarter on."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from evodenoise.jobs.forecast import StageSeconds
from evodenoise.jobs.progress import ImageProgress
from evodenoise.tvae.training import EpochReport

EPOCHS, PATCHES = 20, 500
FORECAST = StageSeconds(10.0, 2.0, 3.0, visit=10.0 / EPOCHS / PATCHES)
"""As of a small image."""


@dataclass
class Run:
    """A run on a made-up machine.

    Attributes
    ----------
    training, rebuilding, refining : float
        How many times the forecast each stage takes.
    start : float
        Seconds before the first epoch.
    parts : int
        Tiles.
    steps : int
        Words from each stage of a part, but for the training.
    """

    training: float = 1.0
    rebuilding: float = 1.0
    refining: float = 1.0
    start: float = 0.5
    pages: int = 1
    parts: int = 1
    steps: int = 10
    epochs: int = EPOCHS
    limit: float | None = None
    forecast: StageSeconds = FORECAST
    now: float = 100.0
    shown: list[tuple[float, float | None, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.image = ImageProgress(
            self.forecast, pages=self.pages, limit=self.limit, clock=lambda: self.now
        )

    def look(self) -> None:
        self.shown.append((self.now - 100.0, self.image.seconds_left, self.image.share))

    def train(self, scale: int = 0) -> None:
        each = self.training * self.forecast.training / EPOCHS / self.pages * 0.5**scale
        for epoch in range(1, self.epochs + 1):
            self.now += each
            last = epoch == self.epochs
            self.image.train(report(epoch, 1.0 if last else epoch / EPOCHS, each, scale))
            self.look()

    def follow(self) -> None:
        rebuilding = self.rebuilding * self.forecast.rebuilding / self.pages / self.parts
        refining = self.refining * self.forecast.refining / self.pages / self.parts
        for part in range(self.parts):
            for step in range(self.steps + 1):
                self.now += rebuilding / self.steps if step else 0.0
                self.image.rebuild((part + step / self.steps) / self.parts)
                self.look()
            for step in range(self.steps + 1):
                self.now += refining / self.steps if step else 0.0
                self.image.refine((part + step / self.steps) / self.parts)
                self.look()

    def whole(self) -> "Run":
        for page in range(1, self.pages + 1):
            if self.pages > 1:
                self.image.begin_page(page)
            self.now += self.start
            self.train()
            self.follow()
        return self

    def errors(self, begin: float = 0.25) -> Iterator[float]:
        """Compare each total that was predicted from a share of the time on with the true one."""
        total = self.now - 100.0
        for elapsed, left, _ in self.shown:
            if elapsed >= begin * total:
                assert left is not None
                yield abs((elapsed + left) / total - 1)


def report(epoch: int, progress: float, seconds: float, scale: int) -> EpochReport:
    """Make a report; at half the size half as much is visited."""
    visited = round(PATCHES * 0.5**scale)
    return EpochReport(epoch, progress, visited, -1.0, 0.1, 3.0, 0.1, 1e-3, seconds, None, scale)


@pytest.mark.parametrize(
    "run",
    [
        Run(),
        Run(training=3, rebuilding=3, refining=3),
        Run(training=0.1, rebuilding=0.1, refining=0.1, start=0.1),
        Run(rebuilding=2),
        Run(refining=2),
        Run(training=1.6),
        Run(training=3, rebuilding=3, refining=6),
        Run(steps=1),
        Run(parts=12, refining=2, forecast=StageSeconds(10, 40, 60, FORECAST.visit)),
        Run(parts=12, rebuilding=0.5, refining=1, forecast=StageSeconds(10, 40, 60, 1e-3)),
        Run(pages=5, refining=2, start=2),
        Run(pages=5, training=3, epochs=10),
        Run(epochs=0, refining=2, parts=9),
    ],
)
def test_from_a_quarter_on_it_is_right_within_a_fifth(run: Run) -> None:
    assert max(run.whole().errors()) < 0.2
    assert run.shown[-1][1] == pytest.approx(0, abs=1e-6)


def test_what_was_forecast_wrong_is_made_good_by_the_first_tile() -> None:
    """A tenth of the time is enough."""
    forecast = StageSeconds(1, 40, 60, FORECAST.visit / 10)
    run = Run(parts=20, refining=5, training=2, forecast=forecast).whole()
    assert max(run.errors(0.1)) < 0.05


def test_a_training_cut_short_is_made_good_when_it_ends() -> None:
    run = Run(epochs=8).whole()
    assert max(run.errors(begin=4.5 / (run.now - 100))) < 0.2


def test_nothing_is_said_before_anything_is_measured() -> None:
    run = Run()
    run.now += 5
    assert run.image.seconds_left is None
    assert run.image.share == 0


def test_the_share_is_that_of_the_time_and_never_falls() -> None:
    run = Run(refining=4, training=0.5).whole()
    shares = [share for *_, share in run.shown]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    even = Run(start=0).whole()
    for elapsed, _, share in even.shown:
        assert share == pytest.approx(elapsed / 15, abs=1e-6)


def test_between_two_words_the_time_left_runs_down() -> None:
    run = Run()
    run.train()
    left = run.image.seconds_left
    assert left is not None
    assert left == pytest.approx(5)
    run.now += 2
    assert run.image.seconds_left == pytest.approx(left - 2)
    run.now += 100
    assert run.image.seconds_left == 0


def test_coarser_scales_come_first_and_the_finer_ones_are_counted_in() -> None:
    run = Run()
    for scale in (2, 1, 0):
        run.train(scale)
        run.now += 10.0 * 0.25**scale if scale else 0.0
    run.follow()
    assert max(run.errors()) < 0.2


def test_a_time_limit_bounds_it_and_what_was_trained_less_is_no_quicker_machine() -> None:
    """Epochs that were left out for want of time make the training short, not the rest."""
    assert max(Run(limit=15.5, start=0.5, refining=1).whole().errors(0)) < 0.05
    bounded = Run(limit=12.0)
    bounded.train()
    assert bounded.image.seconds_left == pytest.approx(2)
    short = Run(epochs=4, start=0)
    short.train()
    assert short.image.seconds_left == pytest.approx(5)


def test_without_a_forecast_the_stages_count_as_measured() -> None:
    run = Run(forecast=FORECAST, start=0)
    run.image = ImageProgress(StageSeconds.unknown(), clock=lambda: run.now)
    run.train()
    assert run.shown[4][1] == pytest.approx(7.5)
    assert run.image.seconds_left == pytest.approx(0)
