"""The blind noise level on scikit-image's own pictures, and on noise it must not trust."""

import io
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.restoration import estimate_sigma

from evodenoise.errors import ImageError
from evodenoise.noise.estimation import estimate_white_noise
from evodenoise.noise.readings import read_plane
from evodenoise.noise.record import NoiseEstimate

Array = npt.NDArray[np.generic]
PICTURES = ["camera", "coins", "page"]


def picture(name: str) -> Array:
    """Read the upper left of a gray picture of 8-bit values, as floats."""
    pixels: Array = getattr(data, name)()[:300, :300].astype(np.float64)
    return pixels


def with_noise(clean: Array, std: float, *, seed: int = 0) -> Array:
    return clean + std * np.random.default_rng(seed).standard_normal(clean.shape)


@pytest.mark.parametrize("std", [15, 25, 50, 75])
@pytest.mark.parametrize("name", PICTURES)
def test_white_noise_on_pictures(name: str, std: float) -> None:
    estimate = estimate_white_noise(with_noise(picture(name), std))
    assert estimate.std == pytest.approx(std, rel=0.025)
    assert estimate.consistent


@pytest.mark.parametrize("name", PICTURES)
def test_little_noise_adds_to_that_of_the_picture(name: str) -> None:
    own = estimate_white_noise(picture(name)).std
    estimate = estimate_white_noise(with_noise(picture(name), 5))
    assert estimate.std == pytest.approx(np.hypot(5, own), rel=0.03)
    assert estimate.consistent


def test_no_bias() -> None:
    """Over realisations the error averages out, on pure noise and on a picture."""
    for clean in (np.full((96, 96), 90.0), picture("camera")[:160, :160]):
        stds = [estimate_white_noise(with_noise(clean, 25, seed=seed)).std for seed in range(12)]
        assert np.mean(stds) == pytest.approx(25, rel=0.01)
        assert np.std(stds) < 0.03 * 25


def test_texture_without_a_flat_patch() -> None:
    assert estimate_white_noise(with_noise(picture("grass"), 50)).std == pytest.approx(50, rel=0.04)


@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_scale_and_offset(scale: float) -> None:
    noisy = with_noise(picture("coins"), 15)
    plain, scaled = estimate_white_noise(noisy), estimate_white_noise(scale * (noisy + 1000))
    assert scaled.std == pytest.approx(scale * plain.std, rel=1e-6)
    assert scaled.wavelet_std == pytest.approx(scale * plain.wavelet_std, rel=1e-6)
    assert scaled.consistent == plain.consistent


def test_all_readings_agree_on_white_noise() -> None:
    estimate = estimate_white_noise(with_noise(np.zeros((256, 256)), 7))
    for std in (estimate.std, estimate.wavelet_std, estimate.coarse_std):
        assert std == pytest.approx(7, rel=0.05)


def test_the_wavelet_reading_is_scikit_images() -> None:
    plane = with_noise(picture("camera"), 20)[:150, :151]
    plane[:50, :60] = 0
    assert read_plane(plane, None).wavelet == pytest.approx(estimate_sigma(plane), rel=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (40, 60), (40, 60, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_constant_image(shape: tuple[int, ...], dtype: str) -> None:
    estimate = estimate_white_noise(np.full(shape, 77, dtype=dtype))
    assert estimate.std == estimate.wavelet_std == estimate.coarse_std == 0
    assert estimate.per_channel == (0.0,) * (shape[2] if len(shape) == 3 else 1)
    assert estimate.consistent


def test_noiseless_image() -> None:
    step = np.zeros((64, 64))
    step[:, 30:] = 1
    assert estimate_white_noise(step).std == 0


@pytest.mark.parametrize("shape", [(4, 4), (4, 5), (5, 4), (7, 9), (8, 8), (4, 100), (100, 4)])
def test_tiny_image(shape: tuple[int, int]) -> None:
    estimates = [
        estimate_white_noise(with_noise(np.zeros(shape), 10, seed=seed)) for seed in range(20)
    ]
    assert np.mean([estimate.std for estimate in estimates]) == pytest.approx(10, rel=0.2)
    assert all(estimate.consistent for estimate in estimates), "too small to be judged"


def test_small_picture() -> None:
    crop = picture("camera")[40:104, 40:104]
    assert estimate_white_noise(with_noise(crop, 25)).std == pytest.approx(25, rel=0.05)


def test_channels_are_measured_apart() -> None:
    clean = data.astronaut()[:200, :200].astype(np.float64)
    noisy = clean + [10, 20, 40] * np.random.default_rng(0).standard_normal(clean.shape)
    estimate = estimate_white_noise(noisy)
    assert estimate.per_channel == pytest.approx((10, 20, 40), rel=0.03)
    assert estimate.std == pytest.approx(np.sqrt((100 + 400 + 1600) / 3), rel=0.03)
    assert estimate.consistent
    assert estimate_white_noise(noisy[:, :, :1]) == estimate_white_noise(noisy[:, :, 0])


@pytest.mark.parametrize(("dtype", "factor"), [("uint8", 1), ("uint16", 200), ("int16", 50)])
def test_integer_image(dtype: str, factor: int) -> None:
    """Clipping at black and white takes the noise from flat areas; they must not count."""
    limits = np.iinfo(dtype)
    noisy = factor * with_noise(picture("camera"), 25)
    noisy = noisy.round().clip(max(0, limits.min), min(255 * factor, limits.max)).astype(dtype)
    assert estimate_white_noise(noisy).std == pytest.approx(25 * factor, rel=0.03)


def test_masked_areas_do_not_count() -> None:
    noisy = with_noise(picture("camera"), 15)
    y, x = np.indices(noisy.shape)
    noisy[np.hypot(y - 150, x - 150) > 130] = 0
    assert estimate_white_noise(noisy).std == pytest.approx(15, rel=0.03)


def blurred(clean: Array, radius: float) -> Array:
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(clean.shape), radius)
    return clean + 25 * noise / noise.std()


def compressed(clean: Array, quality: int) -> Array:
    pixels = with_noise(clean, 10).round().clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def following_the_signal(clean: Array) -> Array:
    return clean * with_noise(np.ones(clean.shape), 0.2)


def impulses(clean: Array) -> Array:
    noisy = with_noise(clean, 2)
    chance = np.random.default_rng(1).random(clean.shape)
    noisy[chance < 0.03], noisy[chance > 0.97] = 0, 255
    return noisy


@pytest.mark.parametrize(
    "spoil",
    [
        lambda clean: blurred(clean, 0.5),
        lambda clean: blurred(clean, 1),
        lambda clean: blurred(clean, 3),
        lambda clean: compressed(clean, 50),
        lambda clean: compressed(clean, 75),
        following_the_signal,
        impulses,
    ],
    ids=["blur 0.5", "blur 1", "blur 3", "JPEG 50", "JPEG 75", "multiplied", "impulses"],
)
@pytest.mark.parametrize("name", ["camera", "coins"])
def test_noise_that_is_not_white_and_gaussian(name: str, spoil: Callable[[Array], Array]) -> None:
    assert not estimate_white_noise(spoil(picture(name))).consistent


def test_one_bad_channel_is_enough() -> None:
    clean = picture("coins")
    channels = [with_noise(clean, 25), blurred(clean, 1), with_noise(clean, 25, seed=1)]
    assert not estimate_white_noise(np.stack(channels, axis=2)).consistent


def test_light_compression_is_harmless() -> None:
    estimate = estimate_white_noise(compressed(picture("coins"), 95))
    assert estimate.consistent
    assert estimate.std == pytest.approx(10, rel=0.08)


def test_input_is_not_modified_and_results_repeat() -> None:
    noisy = with_noise(picture("coins"), 15)
    before = noisy.copy()
    noisy.setflags(write=False)
    assert estimate_white_noise(noisy) == estimate_white_noise(noisy)
    np.testing.assert_array_equal(noisy, before)


def test_a_large_image_costs_little() -> None:
    noisy = np.random.default_rng(0).standard_normal((2400, 3200), dtype=np.float32)
    noisy += np.linspace(0, 50, 3200, dtype=np.float32)
    tracemalloc.start()
    estimate = estimate_white_noise(noisy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert estimate.std == pytest.approx(1, rel=0.02)
    assert estimate.consistent
    assert peak < 150e6


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(16),
        np.zeros((3, 9)),
        np.zeros((2, 8, 8, 3)),
        np.zeros((8, 8, 0)),
        np.full((8, 8), np.nan),
        np.zeros((8, 8), complex),
    ],
    ids=["line", "too small", "4-D", "no channel", "nan", "complex"],
)
def test_what_is_no_image(image: Array) -> None:
    with pytest.raises(ImageError):
        estimate_white_noise(image)


@settings(deadline=None, max_examples=60)
@given(
    arrays(
        st.sampled_from(["uint8", "int16", "float32", "float64"]),
        array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=24),
        elements=st.integers(0, 100),
    )
)
def test_any_image_has_a_level(image: Array) -> None:
    estimate = estimate_white_noise(image)
    for std in (estimate.std, estimate.wavelet_std, estimate.coarse_std):
        assert 0 <= std <= 4 * np.ptp(image.astype(float))


def test_the_level_of_blurred_noise_is_that_of_coarser_detail() -> None:
    noise = np.random.default_rng(0).standard_normal((128, 128))
    white = estimate_white_noise(100 + 10 * noise)
    assert not white.blurred
    assert white.level == white.std
    soft = estimate_white_noise(100 + 30 * gaussian_filter(noise, 1.2))
    assert soft.blurred
    assert soft.level == soft.coarse_std > 3 * soft.std


ROWS, COLUMNS = np.indices((128, 128))
REPEATED: dict[str, Array] = {
    "stripes of one pixel": COLUMNS % 2 * 255.0,
    "stripes of three": COLUMNS % 3 * 100.0,
    "checkerboard": (ROWS // 8 + COLUMNS // 8) % 2 * 200.0,
    "tiles of random values": np.tile(with_noise(np.zeros((8, 8)), 80), (16, 16)),
    "waves": 128 + 100 * np.sin(2 * np.pi * ROWS / 8) * np.sin(2 * np.pi * COLUMNS / 8),
    "rounded waves": np.round(
        128 + 100 * np.sin(2 * np.pi * ROWS / 8) * np.sin(2 * np.pi * COLUMNS / 8)
    ),
    "drawing": np.where(gaussian_filter(with_noise(0 * ROWS, 1), 3) > 0, 255.0, 0.0),
    "text": np.where(picture("page")[:191] > 140, 255.0, 0.0),
    "letters of three values": np.where(ROWS // 3 % 2, 0, COLUMNS // 5 % 3 * 90.0),
}


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("gaps", [False, True])
def test_what_recurs_or_has_two_values_has_no_noise(name: str, gaps: bool) -> None:
    plane, missing = REPEATED[name].copy(), None
    if gaps:
        missing = np.zeros(plane.shape, bool)
        missing[30:50, 10:90] = True
        plane[missing] = 77.7
    estimate = estimate_white_noise(plane, missing=missing)
    assert estimate.std == estimate.level == 0
    assert estimate.consistent


def test_noise_on_what_recurs_is_read() -> None:
    """Of the tiles of a chequered floor it is known well how they look, but not to this code."""
    for name in ("checkerboard", "waves"):
        estimate = estimate_white_noise(with_noise(REPEATED[name], 10))
        assert 8 < estimate.level < 25, name


def test_copies_of_a_noisy_picture_are_noisy() -> None:
    tile = with_noise(picture("coins")[:100, :100], 20)
    estimate = estimate_white_noise(np.tile(tile, (2, 2)))
    assert estimate.level == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("period", [6.9, 7.3, 9.4])
def test_a_texture_is_not_taken_for_blurred_noise(period: float) -> None:
    """Its energy is in the middle frequencies, with no flat patch to tell it from noise."""
    angle = 2 * np.pi / period
    plane = 128 + 100 * np.sin(angle * ROWS) * np.cos(angle * COLUMNS)
    estimate = estimate_white_noise(plane)
    assert not estimate.blurred
    assert estimate.level < 3 < 0.1 * plane.std()
    assert not estimate.consistent


def test_nothing_fine_at_all_is_no_blurred_noise() -> None:
    estimate = NoiseEstimate(0.0, (0.0,), ((1.0,),), 0.0, 94.0, consistent=False)
    assert not estimate.blurred
    assert estimate.level == 0
