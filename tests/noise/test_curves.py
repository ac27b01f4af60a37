"""Noise whose level follows the signal: curves of it, and expectations under it."""

import numpy as np
import pytest
from scipy.stats import norm, poisson

from evodenoise.noise.curves import LevelCurve, PhotonNoise


def test_between_knots_the_variance_is_a_straight_line_and_beyond_them_constant() -> None:
    curve = LevelCurve.of_knots([10, 20], [1, 3])
    np.testing.assert_allclose(curve.variance([0, 10, 15, 20, 90]), [1, 1, 5, 9, 9])
    np.testing.assert_allclose(curve.std([15, 20]), [np.sqrt(5), 3])


def test_photon_noise_grows_with_the_signal_above_the_black_level() -> None:
    curve = LevelCurve.of_photons(gain=2, readout=3, offset=100)
    np.testing.assert_allclose(curve.variance([0, 100, 101, 1100]), [9, 9, 11, 2009])


def test_a_constant_level_is_one_everywhere() -> None:
    np.testing.assert_array_equal(LevelCurve.constant(7).std([-1e6, 0, 1e6]), 7)


def test_noise_that_vanishes_somewhere_keeps_a_floor() -> None:
    curve = LevelCurve.of_knots([0, 100], [0, 20])
    assert curve.std(0.0) > 0


def test_the_level_over_pixels_is_the_root_mean_square() -> None:
    assert LevelCurve.of_photons(1).level(np.array([[4.0, 12.0]])) == pytest.approx(np.sqrt(8))


def test_the_mean_of_a_gaussian_pixel_above_a_threshold_is_the_tail() -> None:
    curve = LevelCurve.constant(5)
    means = np.array([-3.0, 0.0, 4.0])
    clipped = curve.expect(lambda values: values.clip(min=0), means)
    exact = means * norm.cdf(means / 5) + 5 * norm.pdf(means / 5)
    np.testing.assert_allclose(clipped, exact, atol=5e-3)


def test_expectations_over_counts_are_poisson_sums() -> None:
    curve = LevelCurve.of_photons(gain=2, offset=10)
    counts = np.array([0.0, 0.3, 2.0, 17.0])
    exact = [poisson(mean).expect(lambda count: np.sqrt(2 * count)) for mean in counts]
    roots = curve.expect(lambda values: np.sqrt(values - 10), 10 + 2 * counts)
    np.testing.assert_allclose(roots, exact, rtol=1e-6)


def test_expectations_over_read_counts_have_both_variances() -> None:
    curve = LevelCurve.of_photons(gain=2, readout=3)
    means = np.array([0.0, 1.0, 50.0, 190.0, 210.0, 5000.0])
    squares = curve.expect(np.square, means)
    np.testing.assert_allclose(squares, means**2 + 2 * means + 9, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "stds"),
    [([], []), ([1], [1, 2]), ([2, 1], [1, 1]), ([1, 1], [1, 1]), ([0, 1], [1, np.inf])],
)
def test_knots_that_make_no_curve_are_refused(values: list[float], stds: list[float]) -> None:
    with pytest.raises(ValueError, match="curve"):
        LevelCurve(tuple(values), tuple(stds))


@pytest.mark.parametrize(("gain", "readout"), [(0, 1), (-1, 1), (np.nan, 1), (1, -1), (1, np.inf)])
def test_photon_noise_out_of_range_is_refused(gain: float, readout: float) -> None:
    with pytest.raises(ValueError, match=r"gain|readout"):
        PhotonNoise(gain, readout)
