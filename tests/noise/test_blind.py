"""What kind of noise an image has, told by it alone."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from filtered_noise import filtered_noise
from pictures import Array, blobs
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

from evodenoise.noise.blind import read_blindly
from evodenoise.noise.record import NoiseEstimate, NoiseKind
from evodenoise.noise.shapes import is_striped, levels_off, looks_white, stripes_alone

SIDE = 160
CLEAN = 40 + 160 * blobs(SIDE, SIDE, seed=3) / blobs(SIDE, SIDE, seed=3).max()
RNG = np.random.default_rng(0)
WHITE = RNG.standard_normal((SIDE, SIDE))


def read(pixels: Array, wanted: NoiseKind | None = None) -> NoiseEstimate:
    pages = pixels.reshape(1, SIDE, SIDE, -1)
    return read_blindly(pages, np.zeros(pages.shape[:3], bool), wanted)


def test_white_noise_is_white_and_has_its_level() -> None:
    found = read(CLEAN + 12 * WHITE)
    assert found.kind is NoiseKind.WHITE
    assert found.level == pytest.approx(12, rel=0.05)
    assert found.photons is None


def test_photons_are_told_with_gain_and_read_out() -> None:
    counted = 4 * np.random.default_rng(1).poisson(CLEAN / 4) + 6 * WHITE
    found = read(counted)
    assert found.kind is NoiseKind.PHOTON
    assert found.photons is not None
    assert found.photons[0].gain == pytest.approx(4, rel=0.15)
    variance = found.curves[0].variance(np.array([60.0, 120.0, 180.0]))
    np.testing.assert_allclose(variance, 4 * np.array([60, 120, 180]) + 36, rtol=0.15)


@pytest.mark.parametrize("peak", [120, 400])
def test_photons_of_spots_on_a_black_ground_are_told(peak: int) -> None:
    spots = np.zeros((SIDE, SIDE))
    places = np.random.default_rng(7).integers(SIDE, size=(2, 30))
    spots[tuple(places)] = 1
    clean = gaussian_filter(spots, 4) / gaussian_filter(spots, 4).max()
    found = read(np.random.default_rng(8).poisson(peak * clean).astype(float))
    assert found.kind is NoiseKind.PHOTON
    assert found.photons is not None
    assert found.photons[0].gain == pytest.approx(1, rel=0.1)
    assert found.photons[0].offset == 0


def test_noise_that_falls_with_the_signal_has_a_curve() -> None:
    found = read(CLEAN + (22 - CLEAN / 12) * WHITE)
    assert found.kind is NoiseKind.SIGNAL
    dark, light = found.curves[0].std([60.0, 170.0])
    assert dark == pytest.approx(17, rel=0.2)
    assert light == pytest.approx(7.8, rel=0.25)


@pytest.mark.parametrize("widths", [(1.0, 1.0), (0.8, 0.8)])
def test_blurred_noise_is_coloured_and_has_its_level(widths: tuple[float, float]) -> None:
    found = read(CLEAN + 15 * filtered_noise(widths, SIDE, SIDE, seed=2))
    assert found.kind is NoiseKind.COLOURED
    assert found.spectrum is not None
    assert found.level == pytest.approx(15, rel=0.15)
    low, high = found.spectrum.density[0, :4, :4].mean(), found.spectrum.density[0, -8:, -8:].mean()
    assert low > 20 * high


def test_stripes_are_coloured_along_one_axis() -> None:
    rows = RNG.standard_normal((SIDE, 1))
    found = read(CLEAN + 8 * WHITE + 8 * rows)
    assert found.spectrum is not None
    density = found.spectrum.density[0]
    assert density[8:, 0].mean() > 3 * density[0, 8:].mean()


def test_stripes_that_all_colours_share_are_found() -> None:
    rng = np.random.default_rng(6)
    picture = CLEAN[..., None] * np.array([1.0, 0.8, 0.6])
    noisy = picture + 10 * rng.standard_normal(picture.shape)
    assert read(noisy).kind is NoiseKind.WHITE
    found = read(noisy + 7 * rng.standard_normal((SIDE, 1, 1)))
    assert found.kind is NoiseKind.COLOURED
    assert found.level == pytest.approx(np.hypot(10, 7), rel=0.1)


def test_pages_are_read_together() -> None:
    pages = np.stack([CLEAN, CLEAN.T])[..., None]
    noisy = pages + 12 * np.random.default_rng(3).standard_normal(pages.shape)
    found = read_blindly(noisy, np.zeros(pages.shape[:3], bool))
    assert found.kind is NoiseKind.WHITE
    assert found.level == pytest.approx(12, rel=0.05)


def test_a_kind_that_is_wanted_is_taken() -> None:
    noisy = CLEAN + 12 * WHITE
    assert read(noisy, NoiseKind.COLOURED).spectrum is not None
    photons = 4.0 * np.random.default_rng(1).poisson(CLEAN / 4)
    assert read(photons, NoiseKind.WHITE).kind is NoiseKind.WHITE
    blurred = CLEAN + 15 * filtered_noise((1.0, 1.0), SIDE, SIDE, seed=2)
    assert read(blurred, NoiseKind.WHITE).curves == ()
    assert read(photons, NoiseKind.PHOTON).photons is not None


@pytest.mark.parametrize(
    ("texture", "level"),
    [(data.grass, 25), (data.gravel, 15), (data.gravel, 25), (data.brick, 10)],
)
def test_texture_is_not_read_as_coloured_noise(texture: Callable[[], Array], level: int) -> None:
    picture = texture()[:SIDE, :SIDE].astype(float)
    found = read(picture + level * WHITE)
    assert found.kind is NoiseKind.WHITE
    assert found.level == pytest.approx(level, rel=0.1)
    assert read(picture + level * WHITE, NoiseKind.COLOURED).spectrum is not None
    blurred = read(picture + 2 * level * filtered_noise((0.7, 0.7), SIDE, SIDE, seed=2))
    assert blurred.kind is NoiseKind.COLOURED


def test_stripes_of_the_picture_are_not_those_of_the_noise() -> None:
    bricks = data.brick()[: 2 * SIDE, : 2 * SIDE].reshape(SIDE, 2, SIDE, 2).mean((1, 3))
    noisy = bricks + 15 * np.random.default_rng(1).standard_normal(bricks.shape)
    assert read(noisy).level == pytest.approx(15, rel=0.1)
    found = read(noisy + 15 * RNG.standard_normal((SIDE, 1)))
    assert found.kind is NoiseKind.COLOURED


def test_grain_that_noise_may_hide_in_is_not_removed_as_coloured_noise() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    contrast = 15 * np.exp(2 * np.sin(x / 20) * np.cos(y / 23))
    picture = 120 + contrast * filtered_noise((1.0, 1.0), SIDE, SIDE, seed=5) + 0.5 * WHITE
    assert read(picture).level < 4
    assert read(picture, NoiseKind.COLOURED).level > 8


def test_more_noise_than_there_is_of_everything_is_not_believed() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    blocks = 60 + 120.0 * ((x // 24 + y // 32) % 2)
    noisy = blocks + 20 * filtered_noise((2.0, 2.0), SIDE, SIDE, seed=3)
    for kind in (None, NoiseKind.COLOURED, NoiseKind.PHOTON):
        assert read(noisy, kind).level < noisy.std()


@pytest.mark.parametrize("quality", [50, 30])
def test_noise_that_was_white_before_jpeg_keeps_its_level(quality: int) -> None:
    noisy = (CLEAN + 15 * WHITE).round().clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=quality)
    found = read(np.asarray(Image.open(file)).astype(float))
    assert found.kind is NoiseKind.WHITE
    assert found.consistent
    assert found.level == pytest.approx(15, rel=0.15)


def test_white_waves_are_those_that_are_alike() -> None:
    assert looks_white(np.ones((1, 8, 8)))
    orders = np.hypot(*np.indices((16, 16)))
    assert not looks_white(np.exp(-orders / 4)[None])
    assert not looks_white(np.exp(orders / 4)[None])


def test_what_levels_off_is_texture_and_what_falls_ever_faster_is_noise() -> None:
    rows, columns = np.indices((16, 16))
    orders = np.hypot(rows, columns).clip(1)
    falling, blurred = 300 / orders**2 + 1, np.exp(-((orders / 8) ** 2)) + 1e-3
    assert levels_off(falling)
    assert not levels_off(blurred)
    assert not levels_off(300 / orders**4)
    assert levels_off(falling + 20 * (rows == 0))
    assert is_striped(falling + 20 * (rows == 0))
    assert not is_striped(falling)
    assert levels_off(np.ones((16, 16)))
    assert stripes_alone(falling)[0].max() < 3
    assert stripes_alone(falling + 20 * (rows == 0))[0].min() > 20
    assert not levels_off(orders**2)


def test_texture_is_told_from_the_noise_of_cameras_by_its_colours() -> None:
    picture = data.gravel()[:SIDE, :SIDE, None] * np.array([1.0, 0.8, 0.6])
    noise = np.random.default_rng(4).standard_normal(picture.shape)
    found = read(picture + 15 * noise)
    assert found.kind is NoiseKind.WHITE
    assert found.level == pytest.approx(15, rel=0.1)
    blurred = [filtered_noise((0.8, 0.8), SIDE, SIDE, seed=seed) for seed in range(3)]
    assert read(picture + 30 * np.stack(blurred, -1)).kind is NoiseKind.COLOURED
    one = filtered_noise((0.8, 0.8), SIDE, SIDE, seed=5)[..., None]
    assert read(picture / 4 + 20 * one + 5 * noise).kind is NoiseKind.COLOURED
