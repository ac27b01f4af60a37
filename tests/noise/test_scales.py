"""Half the size and back, and the spectrum of noise on the way, against noise that was made."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from evodenoise.noise.colour import read_wave_variances
from evodenoise.noise.scales import (
    coarse_response,
    double,
    fine_spectrum,
    halve,
    halve_spectrum,
    reaches_far,
)
from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum

Array = npt.NDArray[np.float64]


def make_noise(width: float, *, pages: int = 4, side: int = 128) -> Array:
    """Make noise (T, Y, X, 1) of variance 1 through a Gaussian filter."""
    white = np.random.default_rng(0).normal(size=(pages, side, side))
    blurred = gaussian_filter(white, (0, width, width), mode="wrap") if width else white
    return (blurred / blurred.std())[..., None]


def spectrum_of(width: float) -> NoiseSpectrum:
    """Return the spectrum of that noise: a Gaussian."""
    angles = (np.arange(FREQUENCIES) + 0.5) * np.pi / FREQUENCIES
    along = np.exp(-((width * angles) ** 2))
    return NoiseSpectrum.of(np.outer(along, along)[None])


def test_half_the_size_is_the_mean_of_four_and_fills_gaps() -> None:
    values = np.arange(2 * 5 * 6.0).reshape(2, 5, 6, 1)
    missing = np.zeros((2, 5, 6), bool)
    missing[0, :2, :2] = missing[1, 0, 0] = True
    small, gaps = halve(values, missing)
    assert small.shape == (2, 3, 3, 1)
    blocks = values[:, :4].reshape(2, 2, 2, 3, 2, 1)
    np.testing.assert_allclose(small[:, :2], blocks.mean((2, 4)))
    np.testing.assert_allclose(small[:, 2], values[:, 4].reshape(2, 3, 2, 1).mean(2))
    assert gaps[0, 0, 0]
    assert gaps.sum() == 1


def test_a_smooth_picture_survives_half_the_size() -> None:
    y, x = np.mgrid[:41, :50] / 9
    picture = np.stack([np.sin(x) * np.cos(y), np.cos(x)], axis=-1)[None]
    small, _ = halve(picture, np.zeros(picture.shape[:3], bool))
    back = double(small, picture.shape)
    assert np.abs(back - picture)[:, 4:-4, 4:-4].max() < 0.015


@pytest.mark.parametrize("width", [0.0, 0.7, 1.5, 3.0])
def test_the_spectrum_at_half_the_size_is_that_of_the_noise_there(width: float) -> None:
    noise = make_noise(width)
    small, _ = halve(noise, np.zeros(noise.shape[:3], bool))
    variance, spectrum = halve_spectrum(spectrum_of(width))
    assert variance == pytest.approx(small.var(), rel=0.05)
    expected = variance * spectrum.wave_variances(8)[0]
    patches = np.lib.stride_tricks.sliding_window_view(small[..., 0], (8, 8), (1, 2))[:, ::3, ::3]
    measured = waves(patches.reshape(-1, 8, 8))
    strong = expected > 0.05 * expected.max()
    assert np.abs(np.log(measured / expected))[strong].max() < 0.25


@pytest.mark.parametrize("width", [0.0, 1.5])
def test_what_is_left_when_coarse_noise_is_gone_has_that_spectrum(width: float) -> None:
    noise = make_noise(width, pages=8)
    small, _ = halve(noise, np.zeros(noise.shape[:3], bool))
    rest = noise - double(small, noise.shape)
    variance, spectrum = fine_spectrum(spectrum_of(width), 0.0)
    assert variance == pytest.approx(rest.var(), rel=0.1)
    expected = variance * spectrum.wave_variances(8)[0]
    patches = np.lib.stride_tricks.sliding_window_view(rest[..., 0], (8, 8), (1, 2))[:, ::3, ::3]
    measured = waves(patches.reshape(-1, 8, 8))
    strong = expected > 0.2 * expected.max()
    assert np.abs(np.log(measured / expected))[strong].max() < 0.35


def test_all_of_the_coarse_part_left_is_all_of_the_noise() -> None:
    variance, _ = fine_spectrum(spectrum_of(3.0), 1.0)
    assert variance == pytest.approx(1, abs=0.2)
    less, _ = fine_spectrum(spectrum_of(3.0), 0.3)
    assert less < 0.3


def test_slow_waves_pass_and_the_finest_do_not() -> None:
    response = coarse_response()
    assert response[0] == pytest.approx(1, abs=0.02)
    assert abs(response[-1]) < 0.1
    assert (np.diff(response) < 0.02).all()


def test_noise_reaches_far_if_it_is_mostly_coarse() -> None:
    assert not reaches_far(spectrum_of(0.0))
    assert reaches_far(spectrum_of(1.5))
    both = NoiseSpectrum.of(np.concatenate([spectrum_of(0.0).density, spectrum_of(3.0).density]))
    assert reaches_far(both)


def waves(patches: Array) -> Array:
    """Measure the variance of the DCT coefficients of patches (N, p, p)."""
    from scipy.fft import dctn

    return np.square(dctn(patches, axes=(1, 2), norm="ortho")).mean(0)


def test_pages_tell_the_same_as_one_image_of_them() -> None:
    noise = make_noise(1.0)
    side_by_side = np.concatenate(list(noise), axis=1)
    one, other = read_wave_variances(noise), read_wave_variances(side_by_side)
    assert np.abs(np.log(one / other)).max() < 0.25
