"""Spectra of noise against exact formulae and against noise that was filtered."""

import numpy as np
import numpy.typing as npt
import pytest
from filtered_noise import exact_covariance, exact_spectrum, filtered_noise, wave_variances

from evodenoise.noise.spectrum import FREQUENCIES, LEAST_DENSITY, NoiseSpectrum
from evodenoise.patches.grid import cosine_basis

Floats = npt.NDArray[np.float64]
BLURS = ((0.7, 0.7), (1.5, 1.5), (0.4, 1.2))

# --- white noise


@pytest.mark.parametrize("channels", [1, 3])
def test_a_flat_density_is_white_noise(channels: int) -> None:
    white = NoiseSpectrum.of(np.full((channels, FREQUENCIES, FREQUENCIES), 7.0))
    np.testing.assert_allclose(white.density, 1)
    for side in (1, 5, 8):
        pixels = side * side * channels
        np.testing.assert_allclose(white.profile(side), np.ones(pixels), atol=1e-12)
        np.testing.assert_allclose(white.covariance(side), np.eye(pixels), atol=1e-12)


def test_white_waves_make_a_flat_density() -> None:
    white = NoiseSpectrum.from_wave_variances(np.full((2, 8, 8), 0.3))
    np.testing.assert_allclose(white.density, 1, atol=1e-6)


# --- what a density is


def test_a_density_is_told_relative_to_its_mean_over_channels_and_frequencies() -> None:
    density = np.random.default_rng(0).uniform(1, 3, (3, FREQUENCIES, FREQUENCIES))
    spectrum = NoiseSpectrum.of(density)
    np.testing.assert_allclose(spectrum.density, density / density.mean())
    assert np.trace(spectrum.covariance(6)) == pytest.approx(108)
    assert spectrum.profile(6).mean() == pytest.approx(1)


def test_no_frequency_is_taken_to_be_free_of_noise() -> None:
    density = np.zeros((1, FREQUENCIES, FREQUENCIES))
    density[0, :3, :3] = 1
    spectrum = NoiseSpectrum.of(density)
    assert spectrum.density.mean() == pytest.approx(1)
    assert spectrum.density.min() == pytest.approx(LEAST_DENSITY, rel=0.01)
    assert np.linalg.eigvalsh(spectrum.covariance(8)).min() > 0.5 * LEAST_DENSITY


# --- patches of coloured noise


@pytest.mark.parametrize("side", [5, 8, 16])
@pytest.mark.parametrize("blurs", BLURS)
def test_the_covariance_is_that_of_filtered_noise(blurs: tuple[float, float], side: int) -> None:
    found = exact_spectrum(blurs).covariance(side)
    np.testing.assert_allclose(found, exact_covariance(blurs, side), atol=0.003)
    np.testing.assert_array_equal(found, found.T)
    assert np.linalg.eigvalsh(found).min() > 0


@pytest.mark.parametrize("blurs", BLURS)
def test_the_covariance_is_that_of_patches_seen(blurs: tuple[float, float]) -> None:
    noise = filtered_noise(blurs, 384, 384)
    patches = np.lib.stride_tricks.sliding_window_view(noise, (4, 4)).reshape(-1, 16)
    seen = patches.T @ patches / len(patches)
    np.testing.assert_allclose(exact_spectrum(blurs).covariance(4), seen, atol=0.03)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [4, 7])
def test_a_profile_is_the_diagonal_of_the_covariance_in_the_cosine_basis(
    side: int, channels: int
) -> None:
    """Both lie as the coefficients of patches do, whatever each channel's noise is."""
    density = np.random.default_rng(1).exponential(size=(channels, FREQUENCIES, FREQUENCIES))
    spectrum = NoiseSpectrum.of(density)
    basis = cosine_basis(side, channels).numpy()
    expected = np.diag(basis.T @ spectrum.covariance(side) @ basis)
    np.testing.assert_allclose(spectrum.profile(side), expected, rtol=1e-9)


def test_channels_are_independent() -> None:
    levels = np.array([1.0, 2.0, 6.0])
    spectrum = NoiseSpectrum.of(levels[:, None, None] * np.ones((3, FREQUENCIES, FREQUENCIES)))
    np.testing.assert_allclose(spectrum.covariance(2), np.diag(np.tile(levels / 3, 4)), atol=1e-12)
    np.testing.assert_allclose(spectrum.wave_variances(2)[:, 1, 0], levels / 3)


def test_the_first_frequency_is_the_vertical_one() -> None:
    """Noise that is blurred to the right only is rough from row to row."""
    spectrum = exact_spectrum((0.1, 1.5))
    waves = spectrum.wave_variances(8)[0]
    assert waves[7, 0] > 10 * waves[0, 7]
    covariance = spectrum.covariance(3).reshape(3, 3, 3, 3)
    assert covariance[0, 0, 0, 1] > 0.8
    assert abs(covariance[0, 0, 1, 0]) < 0.05


# --- a density from the variances of waves


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("blurs", BLURS)
def test_the_density_found_gives_the_waves_their_variances(
    blurs: tuple[float, float], side: int
) -> None:
    exact = wave_variances(exact_covariance(blurs, side), side)
    spectrum = NoiseSpectrum.from_wave_variances(100 * exact[None])
    found = spectrum.wave_variances(side)[0]
    readable = exact > 0.02
    np.testing.assert_allclose(found[readable], exact[readable], rtol=0.02)
    np.testing.assert_allclose(found, exact, atol=0.002 * exact.max())


@pytest.mark.parametrize("blurs", BLURS)
def test_the_density_found_is_good_for_patches_of_another_size(
    blurs: tuple[float, float],
) -> None:
    exact = wave_variances(exact_covariance(blurs, 16), 16)
    found = NoiseSpectrum.from_wave_variances(exact[None])
    for side in (5, 7, 8):
        expected = exact_covariance(blurs, side)
        np.testing.assert_allclose(found.covariance(side), expected, atol=0.003)


def test_row_offsets_correlate_pixels_of_a_row_and_no_others() -> None:
    """Half of the noise is white, the other half one value for each row."""
    side = 8
    rows = np.kron(np.eye(side), np.ones((side, side)))
    exact = (np.eye(side * side) + rows) / 2
    found = NoiseSpectrum.from_wave_variances(wave_variances(exact, side)[None])
    covariance = found.covariance(side).reshape(side, side, side, side)
    np.testing.assert_allclose(covariance[0, 0, 0], [1, *[0.5] * (side - 1)], atol=0.03)
    np.testing.assert_allclose(covariance[0, 0, 1:], 0, atol=0.03)
