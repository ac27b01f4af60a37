"""Values whose noise has one level, and the unbiased way back, beside exact sums and samples."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.stabilisation import Stabilisation

Array = npt.NDArray[np.float64]

CURVES = {
    "constant": LevelCurve.constant(5),
    "rising": LevelCurve.of_knots([0, 60, 255], [2, 4, 8]),
    "falling": LevelCurve.of_knots([0, 255], [8, 2]),
    "arched": LevelCurve.of_knots([0, 128, 255], [3, 7, 2]),
    "photons": LevelCurve.of_photons(4),
    "camera": LevelCurve.of_photons(0.8, 3, 20),
    "speckle": LevelCurve.of_knots(np.arange(256.0).tolist(), (0.2 * np.arange(256.0)).tolist()),
}


@pytest.fixture(params=CURVES)
def curve(request: pytest.FixtureRequest) -> LevelCurve:
    return CURVES[request.param]


def samples(curve: LevelCurve, mean: float, *, count: int = 400_000) -> Array:
    """Draw noisy pixels of one mean."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(count)
    if curve.photon is None:
        return mean + float(curve.std(mean)) * noise
    counts = rng.poisson((mean - curve.photon.offset) / curve.photon.gain, count)
    return curve.photon.offset + curve.photon.gain * counts + curve.photon.readout * noise


def test_the_noise_has_a_level_of_one(curve: LevelCurve) -> None:
    stabilisation = Stabilisation.of(curve, 0, 255)
    for mean in (60.0, 100.0, 150.0, 200.0):
        std = stabilisation.apply(samples(curve, mean)).std()
        assert std == pytest.approx(1, abs=0.06), mean


@pytest.mark.parametrize("readout", [0, 0.5, 2, 10])
def test_photons_have_a_level_of_one_from_four_counts_on(readout: float) -> None:
    curve = LevelCurve.of_photons(1, readout)
    stabilisation = Stabilisation.of(curve, 0, 500)
    means = np.array([4.0, 6.0, 10.0, 30.0, 99.0, 101.0, 400.0])
    first = curve.expect(stabilisation.apply, means)
    second = curve.expect(lambda values: stabilisation.apply(values) ** 2, means)
    np.testing.assert_allclose(np.sqrt(second - first**2), 1, atol=0.02)


def test_the_map_of_photons_is_the_generalised_anscombe_transform() -> None:
    stabilisation = Stabilisation.of(LevelCurve.of_photons(3, 4, 50), 0, 1000)
    values = np.array([50.0, 51.0, 80.0, 1000.0, 1e6])
    anscombe = 2 / 3 * np.sqrt(3 * (values - 50) + 3 / 8 * 9 + 16)
    mapped = stabilisation.apply(values)
    np.testing.assert_allclose(mapped - mapped[0], anscombe - anscombe[0], rtol=1e-12)


def test_means_of_mapped_samples_are_mapped_back_to_the_mean(curve: LevelCurve) -> None:
    """Unbiased: to a hundredth of the noise, where the plain inverse misses by several."""
    stabilisation = Stabilisation.of(curve, 0, 255)
    for mean in (30.0, 60.0, 150.0, 220.0):
        back = float(stabilisation.undo(stabilisation.apply(samples(curve, mean)).mean()))
        assert abs(back - mean) < 0.01 * float(curve.std(mean)), mean


@pytest.mark.parametrize("counts", [0.0, 0.1, 0.5, 1.0, 3.0, 10.0, 80.0])
def test_few_photons_are_mapped_back_by_exact_sums(counts: float) -> None:
    stabilisation = Stabilisation.of(LevelCurve.of_photons(2, offset=10), 10, 500)
    mean = poisson(counts).expect(lambda count: stabilisation.apply(10 + 2 * count))
    assert float(stabilisation.undo(np.float64(mean))) == pytest.approx(10 + 2 * counts, abs=2e-3)


def test_less_than_no_light_is_none() -> None:
    stabilisation = Stabilisation.of(LevelCurve.of_photons(1, 2, offset=30), 0, 100)
    below = stabilisation.apply(np.array([-50.0, 20.0, 29.0]))
    np.testing.assert_array_equal(stabilisation.undo(below), 30)


def test_any_float_is_mapped_monotonically_and_back(curve: LevelCurve) -> None:
    stabilisation = Stabilisation.of(curve, 0, 255)
    values = np.concatenate([-np.geomspace(1e9, 1e-3, 200), np.geomspace(1e-3, 1e9, 300)])
    mapped = stabilisation.apply(values)
    assert (np.diff(mapped) > 0).all()
    assert (np.diff(stabilisation.undo(mapped)) >= 0).all()
    assert np.isfinite(stabilisation.undo(mapped)).all()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=6), st.floats(-300, 600))
def test_any_curve_makes_a_slope_of_one_over_the_level(stds: list[float], value: float) -> None:
    """But for what is added where the variance is steep, so it is never steeper."""
    curve = LevelCurve.of_knots(np.linspace(0, 255, len(stds)).tolist(), stds)
    stabilisation = Stabilisation.of(curve, 0, 255)
    step = 1e-3
    rise = float(np.diff(stabilisation.apply(np.array([value, value + step])))[0])
    levels = curve.std(np.array([value, value + step]))
    assert 0 < rise <= step / levels.min() * (1 + 1e-6)


def test_one_level_is_only_a_change_of_units() -> None:
    stabilisation = Stabilisation.of(LevelCurve.constant(4), 0, 100)
    values = np.array([-300.0, 0.0, 41.0, 999.0])
    np.testing.assert_allclose(stabilisation.apply(values), values / 4)
    np.testing.assert_allclose(stabilisation.undo(values / 4), values, atol=1e-9)
    np.testing.assert_allclose(stabilisation.undo_std(values / 4, np.ones(4)), 4)


def test_errors_grow_with_the_level_on_the_way_back(curve: LevelCurve) -> None:
    stabilisation = Stabilisation.of(curve, 0, 255)
    means = np.array([60.0, 120.0, 200.0])
    std = stabilisation.undo_std(stabilisation.apply(means), np.full(3, 0.1))
    np.testing.assert_allclose(std, 0.1 * curve.std(means), rtol=0.1)


def test_errors_at_the_black_level_are_not_nothing() -> None:
    """The way back ends there: its slope is zero, and a deviation up is still one."""
    stabilisation = Stabilisation.of(LevelCurve.of_photons(4), 0, 255)
    lowest = stabilisation.expected[:1]
    assert stabilisation.undo(lowest - 0.5) == 0
    up = stabilisation.undo(lowest + 0.2)
    for below in (0.0, 0.5):
        found = stabilisation.undo_std(lowest - below, np.full(1, 0.2))
        np.testing.assert_allclose(found, up / np.sqrt(2))


def test_the_log_slope_is_that_of_differences(curve: LevelCurve) -> None:
    stabilisation = Stabilisation.of(curve, 0, 255)
    values = np.array([33.3, 77.7, 200.1])
    slopes = (stabilisation.apply(values + 1e-4) - stabilisation.apply(values - 1e-4)) / 2e-4
    assert stabilisation.log_slope(values) == pytest.approx(np.log(slopes).mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("std", "mean"), list(itertools.product([5, 50, 150], [0.0, 4.0, 40.0, 128.0, 250.0, 255.0]))
)
def test_clipped_values_are_mapped_back_to_their_mean_before_or_after(
    std: float, mean: float
) -> None:
    curve = LevelCurve.constant(std)
    recorded = samples(curve, mean).clip(0, 255)
    restore, keep = (
        Stabilisation.of(curve, 0, 255, bounds=(0, 255), restore=restore)
        for restore in (True, False)
    )
    mapped = restore.apply(recorded)
    np.testing.assert_array_equal(mapped, keep.apply(recorded))
    assert float(restore.undo(mapped.mean())) == pytest.approx(mean, abs=0.015 * std)
    assert float(keep.undo(mapped.mean())) == pytest.approx(recorded.mean(), abs=0.01 * std)
    assert 0.75 < mapped.std() < 1.15


def test_photons_clipped_at_white_only_are_restored() -> None:
    curve = LevelCurve.of_photons(5)
    stabilisation = Stabilisation.of(curve, 0, 255, bounds=(-np.inf, 255), restore=True)
    for mean in (0.0, 10.0, 120.0, 240.0, 255.0):
        recorded = samples(curve, mean).clip(max=255)
        back = float(stabilisation.undo(stabilisation.apply(recorded).mean()))
        assert back == pytest.approx(mean, abs=0.02 * float(curve.std(mean)) + 0.01)


def test_what_is_clipped_altogether_is_not_restored_beyond_half_the_noise() -> None:
    curve = LevelCurve.constant(20)
    stabilisation = Stabilisation.of(curve, 0, 255, bounds=(0, 255), restore=True)
    ends = stabilisation.undo(stabilisation.apply(np.array([0.0, 255.0])))
    np.testing.assert_allclose(ends, [-10, 265], atol=0.1)
