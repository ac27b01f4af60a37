"""How the noise level follows the signal, read off pictures whose noise is known."""

import numpy as np
import numpy.typing as npt
import pytest
from pictures import blobs
from scipy.ndimage import gaussian_filter

from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.levels import read_level_curve

Floats = npt.NDArray[np.float64]

SEEDS = range(3)
BRIGHTNESS = np.array([50.0, 80.0, 120.0, 160.0])
"""Values that the pictures of these tests have plenty of."""


def picture(seed: int, side: int = 160) -> Floats:
    """Make a clean picture of values from 20 to 220, most of them from 40 to 160."""
    return 20 + 200 * blobs(side, side, seed=seed).astype(np.float64)


def white(shape: tuple[int, ...], seed: int) -> Floats:
    return np.random.default_rng(100 + seed).normal(size=shape)


def photons(clean: Floats, gain: float, seed: int) -> Floats:
    return gain * np.random.default_rng(100 + seed).poisson(clean / gain).astype(np.float64)


def read(plane: Floats, missing: npt.NDArray[np.bool_] | None = None) -> LevelCurve:
    curve = read_level_curve(plane, missing)
    assert curve is not None
    return curve


# --- how the level follows the signal


@pytest.mark.parametrize("std", [3, 20, 60])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_level_everywhere(seed: int, std: float) -> None:
    clean = picture(seed)
    curve = read(clean + std * white(clean.shape, seed))
    assert curve == LevelCurve.constant(curve.stds[0])
    assert curve.stds[0] == pytest.approx(std, rel=0.1)


def test_stars_are_no_bright_places_with_stronger_noise() -> None:
    rng = np.random.default_rng(0)
    sky = np.full((192, 192), 20.0)
    for y in range(12, 180, 18):
        for x in range(12, 180, 18):
            sky[y : y + 2, x : x + 2] += rng.uniform(25, 100)
    curve = read(sky + 5 * white(sky.shape, 0))
    assert curve == LevelCurve.constant(curve.stds[0])
    assert curve.stds[0] == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_a_level_is_told_in_pixel_units(scale: float) -> None:
    noisy = photons(picture(0), 5, 0)
    curve = read(scale * noisy)
    np.testing.assert_allclose(
        curve.std(scale * BRIGHTNESS), scale * read(noisy).std(BRIGHTNESS), rtol=5e-3
    )


@pytest.mark.parametrize("gain", [2, 5, 20])
@pytest.mark.parametrize("seed", SEEDS)
def test_photons_make_a_photon_curve(seed: int, gain: float) -> None:
    curve = read(photons(picture(seed), gain, seed))
    assert curve.photon is not None
    assert curve.photon.gain == pytest.approx(gain, rel=0.2)
    np.testing.assert_allclose(curve.std(BRIGHTNESS), np.sqrt(gain * BRIGHTNESS), rtol=0.1)


@pytest.mark.parametrize("black_level", [0, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_photons_read_out_with_noise(seed: int, black_level: float) -> None:
    clean = picture(seed)
    curve = read(black_level + photons(clean, 5, seed) + 10 * white(clean.shape, seed + 50))
    assert curve.photon is not None
    assert curve.photon.gain == pytest.approx(5, rel=0.25)
    expected = np.sqrt(100 + 5 * BRIGHTNESS)
    np.testing.assert_allclose(curve.std(black_level + BRIGHTNESS), expected, rtol=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_texture_in_the_bright_parts_is_no_noise(seed: int) -> None:
    """There is no flat patch as bright as that."""
    clean = picture(seed)
    y, x = np.indices(clean.shape)
    textured = clean + 60 * np.sin(1.9 * y + 1.3 * x) * (clean > 120)
    curve = read(textured + 10 * white(clean.shape, seed))
    np.testing.assert_allclose(curve.std(BRIGHTNESS), 10, rtol=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_speckle_rises_with_the_signal(seed: int) -> None:
    clean = picture(seed)
    curve = read(clean * (1 + 0.15 * white(clean.shape, seed)))
    found = curve.std(BRIGHTNESS[1:]) / (0.15 * BRIGHTNESS[1:])
    np.testing.assert_allclose(found, 1, atol=0.2)
    assert curve.std(150.0) > 2 * curve.std(50.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_that_falls_with_the_signal(seed: int) -> None:
    """As in a negative: no photons make that."""
    curve = read(240 - photons(picture(seed), 10, seed))
    assert curve.photon is None
    found = curve.std(240 - BRIGHTNESS) / np.sqrt(10 * BRIGHTNESS)
    np.testing.assert_allclose(found, 1, atol=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_coloured_noise_has_the_same_curve_but_for_a_factor(seed: int) -> None:
    clean = picture(seed)
    noise = gaussian_filter(white(clean.shape, seed), 0.7)
    noise /= noise.std()
    assert read(clean + 15 * noise).values == LevelCurve.constant(1).values
    curve = read(clean + np.sqrt(4 * clean) * noise)
    ratios = curve.std(BRIGHTNESS) / np.sqrt(BRIGHTNESS)
    np.testing.assert_allclose(ratios / ratios.mean(), 1, atol=0.1)


# --- when there is nothing to read


@pytest.mark.parametrize("shape", [(7, 200), (5, 5), (16, 16)])
def test_a_channel_that_is_too_small(shape: tuple[int, int]) -> None:
    assert read_level_curve(white(shape, 0)) is None


@pytest.mark.parametrize("value", [0.0, 3.0, 1e5 / 3])
def test_a_constant_channel_has_no_noise(value: float) -> None:
    assert read_level_curve(np.full((60, 70), value)) is None


def test_a_drawing_of_few_values_has_no_noise() -> None:
    assert read_level_curve(np.where(blobs() > 0.5, 200.0, 30.0)) is None


# --- pixels that do not count


def test_missing_pixels_may_hold_anything() -> None:
    """Even where the others were clipped, which their extremes would hide."""
    rng, clean = np.random.default_rng(7), picture(1)
    noisy = (1.3 * clean + 35 * white(clean.shape, 1)).clip(0, 255)
    missing = rng.random(clean.shape) < 0.01
    missing[:20] = True
    levels = []
    for fill in (0, -1e3, 300, 1e6, np.nan, rng.normal(0, 1e4, missing.sum())):
        noisy[missing] = fill
        levels.append(read(noisy, missing).stds)
    assert levels == [levels[0]] * len(levels)
    assert levels[0][0] == pytest.approx(35, rel=0.1)


def test_nothing_but_gaps() -> None:
    noisy = white((60, 60), 0)
    assert read_level_curve(noisy, np.ones(noisy.shape, bool)) is None
    missing = np.zeros(noisy.shape, bool)
    missing[::7, ::7] = True  # in every patch
    assert read_level_curve(noisy, missing) is None


@pytest.mark.parametrize("seed", SEEDS)
def test_clipped_values_do_not_lower_the_level(seed: int) -> None:
    """A fifth of the picture lies in the dark, where half of the noise is lost."""
    clean = picture(seed)
    clean -= np.quantile(clean, 0.2)
    noisy = clean.clip(min=0) + 20 * white(clean.shape, seed)
    curve = read(noisy.clip(0, 255))
    assert curve == LevelCurve.constant(curve.stds[0])
    assert curve.stds[0] == pytest.approx(20, rel=0.1)


# --- blank areas


@pytest.mark.parametrize("value", [0, 100, 500])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_a_blank_area_tells_nothing_of_the_noise(share: float, value: float) -> None:
    """Like the frame of a scan, or what has been masked."""
    clean = picture(0)
    noisy = clean + 15 * white(clean.shape, 0)
    noisy[: round(share * len(noisy))] = value
    curve = read(noisy)
    assert curve == LevelCurve.constant(curve.stds[0])
    assert curve.stds[0] == pytest.approx(15, rel=0.1)


@pytest.mark.parametrize("value", [0, 500])
def test_a_blank_area_leaves_a_photon_curve_as_it_is(value: float) -> None:
    noisy = photons(picture(0), 5, 0)
    noisy[:50] = value
    curve = read(noisy)
    assert curve.photon is not None
    np.testing.assert_allclose(curve.std(BRIGHTNESS), np.sqrt(5 * BRIGHTNESS), rtol=0.1)


def test_places_without_a_photon_count() -> None:
    """Those of a dark background are no blank area."""
    shapes = blobs(192, 192)
    rate = np.where(shapes > 0.6, 10 * shapes, 0.1)
    curve = read(np.random.default_rng(0).poisson(rate).astype(np.float64))
    assert curve.photon is not None
    np.testing.assert_allclose(curve.std([0.1, 6.0, 8.0]), np.sqrt([0.1, 6, 8]), rtol=0.1)
