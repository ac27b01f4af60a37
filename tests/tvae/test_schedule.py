"""How long a training goes on, by a clock of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evodenoise.config.settings import LearningRateConfig, Schedule
from evodenoise.tvae.schedule import Budget, Convergence, StopReason, learning_rate

LOW, HIGH = 1e-4, 1e-2
ANNEALED = LearningRateConfig(minimum=LOW, maximum=HIGH, warm_up=2.0)
CYCLIC = LearningRateConfig(schedule=Schedule.CYCLIC, minimum=LOW, maximum=HIGH, period=20.0)


# --- learning rate


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, LOW),
        (1.0, (LOW + HIGH) / 2),
        (2.0, HIGH),
        (51.0, (LOW + HIGH) / 2),  # half-way down
        (100.0, LOW),
        (120.0, LOW),
    ],
)
def test_annealed(progress: float, expected: float) -> None:
    assert learning_rate(ANNEALED, progress, 100) == pytest.approx(expected)


def test_annealed_rises_and_then_falls() -> None:
    rates = [learning_rate(ANNEALED, step / 4, 30) for step in range(121)]
    assert rates[:9] == sorted(rates[:9])
    assert rates[8:] == sorted(rates[8:], reverse=True)


@pytest.mark.parametrize("epochs", [1, 2, 3, 8])
def test_a_short_run_warms_up_for_a_quarter_of_it(epochs: int) -> None:
    assert learning_rate(ANNEALED, min(2.0, epochs / 4), epochs) == pytest.approx(HIGH)
    assert learning_rate(ANNEALED, epochs, epochs) == pytest.approx(LOW)


def test_without_warm_up_it_starts_high() -> None:
    config = LearningRateConfig(minimum=LOW, maximum=HIGH, warm_up=0.0)
    assert learning_rate(config, 0.0, 10) == pytest.approx(HIGH)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0, LOW), (5, (LOW + HIGH) / 2), (10, HIGH), (15, (LOW + HIGH) / 2), (20, LOW), (30, HIGH)],
)
def test_cyclic(progress: float, expected: float) -> None:
    assert learning_rate(CYCLIC, progress, 500) == pytest.approx(expected)


@given(
    st.sampled_from([ANNEALED, CYCLIC, LearningRateConfig(minimum=HIGH, maximum=HIGH)]),
    st.floats(0, 1000),
    st.integers(1, 1000),
)
def test_the_rate_stays_within_its_bounds(
    config: LearningRateConfig, progress: float, epochs: int
) -> None:
    rate = learning_rate(config, progress, epochs)
    assert config.minimum * (1 - 1e-9) <= rate <= config.maximum * (1 + 1e-9)


# --- budget


class Clock:
    """Time goes by when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_without_a_deadline_epochs_count_and_no_clock_is_read() -> None:
    def clock() -> float:
        raise AssertionError("the clock was read")

    budget = Budget(3, clock=clock)
    assert [budget.progress(done) for done in (0, 0.5, 2.5)] == [0, 0.5, 2.5]
    assert [budget.over(done) for done in (0, 2, 3)] == [None, None, StopReason.EPOCHS]


def test_a_run_that_keeps_up_with_its_deadline_is_left_alone() -> None:
    clock = Clock()
    budget = Budget(10, deadline=clock.now + 1000, clock=clock)
    for done in range(10):
        assert budget.progress(done) == done
        assert budget.over(done) is None
        clock.now += 10
    assert budget.over(10) is StopReason.EPOCHS


def test_a_run_that_is_too_long_is_compressed() -> None:
    clock = Clock()
    budget = Budget(100, deadline=clock.now + 50, clock=clock)
    seen = []
    for done in range(1000):
        seen.append(budget.progress(done))
        if budget.over(done):
            break
        clock.now += 5
    assert budget.over(done) is StopReason.TIME_LIMIT
    assert seen == pytest.approx([10.0 * done for done in range(11)])  # evenly, to its very end
    assert clock.now == 1050


@pytest.mark.parametrize(("seconds_per_patch", "training"), [(0.01, 65), (10.0, 25)])
def test_time_for_the_reconstruction_is_set_aside(
    seconds_per_patch: float, training: float
) -> None:
    """35 s, for 3.5 visits of 10 s each, but never more than three quarters."""
    clock = Clock()
    budget = Budget(100, deadline=clock.now + 100, patches=1000, clock=clock)
    budget.record(seconds_per_patch)
    clock.now += training - 1
    assert budget.over(1) is None
    clock.now += 2
    assert budget.over(1) is StopReason.TIME_LIMIT


def test_slow_visits_do_not_make_what_follows_longer() -> None:
    clock = Clock()
    budget = Budget(100, deadline=clock.now + 100, patches=1000, clock=clock)
    budget.record(0.01)
    budget.record(0.02)
    clock.now += 64
    assert budget.over(1) is None


@pytest.mark.parametrize(("seconds_per_patch", "training"), [(0.01, 35), (0.015, 40), (0.02, 25)])
def test_the_longest_work_that_leaves_time_to_train_is_planned_for(
    seconds_per_patch: float, training: float
) -> None:
    """3.5 visits for the reconstruction and 3 more of 10 s each, or half a one of 15 s."""
    clock = Clock()
    passes = (3.0, 0.5)
    budget = Budget(100, deadline=clock.now + 100, patches=1000, later_passes=passes, clock=clock)
    budget.record(seconds_per_patch)
    clock.now += training - 1
    assert budget.over(1) is None
    clock.now += 2
    assert budget.over(1) is StopReason.TIME_LIMIT


def test_a_deadline_that_has_passed_ends_the_run_at_once() -> None:
    clock = Clock()
    budget = Budget(100, deadline=clock.now, clock=clock)
    clock.now += 1
    assert budget.progress(1) == 100
    assert budget.over(1) is StopReason.TIME_LIMIT


# --- convergence


def verdicts(lattices: int, epochs: list[tuple[float, float]]) -> list[bool]:
    convergence = Convergence(lattices)
    return [
        convergence.reached(epoch, free_energy, replaced)
        for epoch, (free_energy, replaced) in enumerate(epochs)
    ]


def test_converged_when_nothing_moves() -> None:
    assert verdicts(1, [(-3.0, 1.0), (-2.0, 0.0), (-2.0, 0.0)]) == [False, False, True]


@pytest.mark.parametrize(
    "epochs",
    [
        [(-3.0, 0.0), (-2.0, 0.0), (-1.0, 0.0), (0.0, 0.0)],  # F rises
        [(-3.0, 0.0), (-3.0, 0.5), (-3.0, 0.5)],  # states change
        [(-1.0, 0.0), (-2.0, 0.0), (-1.0, 0.0), (-2.0, 0.0)],  # F swings
        [(-3.0, 0.0)],
    ],
)
def test_not_converged_while_anything_moves(epochs: list[tuple[float, float]]) -> None:
    assert not any(verdicts(1, epochs))


def test_every_sub_lattice_has_to_stand_still() -> None:
    """Each has a level of its own; one that still moves starts the count anew."""
    levels = [-3.0, -5.0, -4.0]
    still = [(level, 0.0) for level in levels]
    assert verdicts(3, [*still, *still]) == [False] * 5 + [True]
    moving = [still[0], (-4.0, 0.0), still[2]]
    assert verdicts(3, [*still, *moving, *moving]) == [False] * 7 + [True, True]


def test_one_still_lattice_after_a_change_is_not_enough() -> None:
    still = [(-3.0, 0.0), (-5.0, 0.0)]
    assert verdicts(2, [*still, (-3.0, 0.0), (-5.0, 0.7), (-3.0, 0.0)]) == [False] * 5
