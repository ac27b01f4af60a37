"""Pixel values to unit variance and back."""

import numpy as np
import pytest
from pictures import wave

from evodenoise.denoising.scaling import Scaling, mixing_matrix
from evodenoise.noise.record import NoiseEstimate


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e6, 1e200, 1e-200])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_there_and_back(factor: float, offset: float) -> None:
    image = (wave() + offset) * factor
    scaling = Scaling.of(image[..., None])
    scaled = scaling.apply(image[..., None])
    assert scaled.mean() == pytest.approx(0, abs=1e-3)
    assert scaled.std() == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(scaling.undo(scaled)[..., 0], image, rtol=1e-4)
    assert scaling.std == pytest.approx((wave() + offset).std() * factor)


def test_densities_of_pixel_values() -> None:
    """A density per unit of the scaled values becomes one per unit of the pixels."""
    image = wave()
    scaling = Scaling.of(image[..., None])
    assert scaling.log_density(-50, 64) == pytest.approx(-50 - 64 * np.log(image.std()))


def noise_of(levels: tuple[float, ...], correlation: float) -> NoiseEstimate:
    count = len(levels)
    matrix = np.full((count, count), correlation) + (1 - correlation) * np.eye(count)
    std = float(np.sqrt(np.mean(np.square(levels))))
    return NoiseEstimate(std, levels, tuple(map(tuple, matrix.tolist())), std, std, True)


@pytest.mark.parametrize(
    ("levels", "correlation"),
    [((1.0,), 0.0), ((3.0, 3.0, 3.0), 0.0), ((1.0, 2.0, 4.0), 0.5), ((5.0, 9.0), -0.7)],
)
def test_noise_becomes_white(levels: tuple[float, ...], correlation: float) -> None:
    noise = noise_of(levels, correlation)
    covariance = np.array(noise.correlation) * np.outer(levels, levels)
    mixing = mixing_matrix(len(levels), noise)
    whitened = mixing.T @ covariance @ mixing
    np.testing.assert_allclose(whitened, noise.std**2 * np.eye(len(levels)), atol=1e-9)


def test_equal_noise_leaves_an_orthonormal_mixture() -> None:
    mixing = mixing_matrix(3)
    np.testing.assert_allclose(mixing.T @ mixing, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.abs(mixing[:, 0]), 1 / np.sqrt(3))


def test_channels_with_the_same_noise_give_finite_values() -> None:
    assert np.isfinite(mixing_matrix(3, noise_of((2.0, 2.0, 2.0), 1.0))).all()
    assert np.isfinite(mixing_matrix(2, noise_of((2.0, 0.0), 0.0))).all()


def test_colours_there_and_back() -> None:
    image = wave(channels=3) * [1, 2, 0.5] + [0, 50, 100]
    scaling = Scaling.of(image, noise_of((1.0, 2.0, 4.0), 0.3))
    scaled = scaling.apply(image)
    assert np.square(scaled).mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(scaling.undo(scaled), image, rtol=1e-4, atol=1e-3)


def test_deviations_follow_the_mixture() -> None:
    scaling = Scaling.of(wave(channels=3), noise_of((1.0, 2.0, 4.0), 0.3))
    variance = np.array([0.5, 0.1, 0.3])
    draws = np.random.default_rng(0).standard_normal((200_000, 3)) * np.sqrt(variance)
    spread = scaling.undo(draws).std(0)
    np.testing.assert_allclose(scaling.undo_std(variance[None])[0], spread, rtol=0.01)
