"""Impulses: found in noise of every kind, and nowhere else."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from pictures import add_noise, as_dtype, wave
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from skimage import data

from evodenoise.noise import impulses
from evodenoise.noise.impulses import find_impulses
from evodenoise.noise.windows import rank_neighbours

Array = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]

CAMERA = data.camera()[::2, ::2]  # 256 x 256
COLOUR = data.astronaut()[100:300, 150:350]
FLAT = np.full((128, 128), 100.0)
ROWS, COLUMNS = np.indices(FLAT.shape)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- what they are


def with_salt_and_pepper(image: Array, share: float) -> tuple[Array, Mask]:
    """Set a share of the pixels to 0 or 255, of all channels together."""
    chance = generator(1).random(image.shape[:2])
    hit = image.copy()
    hit[chance < share / 2], hit[chance > 1 - share / 2] = 0, 255
    return hit, (chance < share / 2) | (chance > 1 - share / 2)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("std", [0, 10, 25])
def test_salt_and_pepper(std: float, share: float) -> None:
    clean = wave(128, 128)
    noisy, hit = with_salt_and_pepper(add_noise(clean, std), share)
    found = find_impulses(noisy)
    assert (found & hit).sum() > 0.97 * hit.sum()
    assert not (found & ~hit).any()


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_salt_and_pepper_of_a_photograph(share: float) -> None:
    noisy, hit = with_salt_and_pepper(CAMERA, share)
    found = find_impulses(noisy)
    assert (found & hit).sum() > 0.98 * hit.sum()
    assert (found & ~hit).sum() < 0.01 * hit.sum()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("levels", "rate"), [(9, 0.75), (12, 0.95), (20, 1.0)])
def test_hot_and_dead_pixels(levels: float, rate: float, sign: int) -> None:
    hit = generator(1).random(FLAT.shape) < 0.001
    found = find_impulses(add_noise(FLAT, 10) + sign * levels * 10 * hit)
    assert (found & hit).sum() >= rate * hit.sum()
    assert not (found & ~hit).any()


def test_one_hot_pixel_of_many_types() -> None:
    for dtype in ("uint8", "uint16", "int16", "float32", "float64"):
        image = as_dtype(add_noise(wave(40, 44), 5), dtype)
        image[20, 9] = 250
        assert np.argwhere(find_impulses(image)).tolist() == [[20, 9]]


@pytest.mark.parametrize("peak", [1e6, 1e103, 1e308, -1e308])
def test_a_pixel_far_beyond_all_others(peak: float) -> None:
    image = add_noise(wave(40, 44), 5) / 1000
    image[20, 9] = peak
    assert np.argwhere(find_impulses(image)).tolist() == [[20, 9]]


def test_hot_pixels_among_photons() -> None:
    hit = generator(1).random(FLAT.shape) < 0.001
    found = find_impulses(generator().poisson(4, FLAT.shape) + 40 * hit)
    np.testing.assert_array_equal(found, hit)


def test_hot_pixels_among_stars() -> None:
    sky = add_noise(np.pad(stars(1.5), 64), 5)
    hit = generator(1).random(sky.shape) < 0.001
    found = find_impulses(sky + 100 * hit)
    assert (found & hit).sum() > 0.7 * hit.sum()
    assert not (found & ~hit).any()


def test_tracks_of_cosmic_rays() -> None:
    clean, hit = np.full((256, 256), 100.0), np.zeros((256, 256), bool)
    for number in range(12):
        places = np.linspace(0, 8 + number, 9 + number).round().astype(int)
        slope = number / 11
        y, x = 20 + 70 * (number // 4), 20 + 60 * (number % 4)
        hit[y + (slope * places).round().astype(int), x + places] = True
    found = find_impulses(add_noise(clean, 5) + 100 * hit)
    assert (found & hit).sum() > 0.9 * hit.sum()
    assert not (found & ~hit).any()


def test_a_pixel_is_an_impulse_if_any_of_its_channels_is() -> None:
    image = add_noise(wave(64, 64, channels=3), 5)
    image[30, 30, 1], image[50, 9, 2] = 0, 255
    assert np.argwhere(find_impulses(image)).tolist() == [[30, 30], [50, 9]]


def test_neither_the_missing_nor_their_neighbours_are_found() -> None:
    image, missing = add_noise(wave(64, 64), 5), np.zeros((64, 64), bool)
    missing[20:30, 20:40] = True
    image[missing] = 1e6
    image[5, 5:9] = np.nan
    image[50, 50] = 255
    before = image.copy()
    assert np.argwhere(find_impulses(image, missing)).tolist() == [[50, 50]]
    np.testing.assert_array_equal(image, before)


def test_scale_and_offset_do_not_matter() -> None:
    noisy, _ = with_salt_and_pepper(add_noise(wave(64, 64), 10), 0.05)
    noisy[9, 9] = 1000
    expected = find_impulses(noisy)
    for scale, offset in [(1e-9, 0), (-3, 7), (1e6, -1e8), (1e300, 0), (2.0**-1000, 0)]:
        np.testing.assert_array_equal(find_impulses(noisy * scale + offset), expected)


def test_bands_find_what_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, hit = with_salt_and_pepper(add_noise(np.full((400, 100), 90.0), 5), 0.05)
    hit[30:390:24, 50] = True
    noisy[30:390:24, 50] = 300
    monkeypatch.setattr(impulses, "BAND_PIXELS", 10_000)
    found = find_impulses(noisy)
    assert (found & hit).sum() > 0.99 * hit.sum()
    assert not (found & ~hit).any()


# --- what they are not


def stars(width: float) -> Array:
    """Put stars of a full width at half maximum between pixels as well as on them."""
    sky, spread = np.zeros(FLAT.shape), width / np.sqrt(8 * np.log(2))
    for number, place in enumerate(np.ndindex(6, 6)):
        y, x = 12 + 20 * np.array(place) + generator(number).random(2)
        distance = (ROWS - y) ** 2 + (COLUMNS - x) ** 2
        sky += 40 * (1 + number) * np.exp(-distance / (2 * spread**2))
    return sky


def written(ink: int, paper: int) -> Array:
    page = Image.new("L", FLAT.shape, paper)
    pen = ImageDraw.Draw(page)
    for line in range(2, 120, 12):
        pen.text((2, line), "i.e. this: 1,234; or. That!", fill=ink)
    return np.asarray(page)


def drawn(ink: int, paper: int) -> Array:
    page = Image.new("L", FLAT.shape, paper)
    pen = ImageDraw.Draw(page)
    for number in range(20):
        ends = generator(number).integers(0, 128, 4).tolist()
        pen.line(ends, fill=ink)
    return np.asarray(page)


def grains() -> Array:
    spots = np.zeros(FLAT.shape)
    for y, x in generator().integers(2, 124, (40, 2)):
        spots[y : y + 2, x : x + 2] = 150
    return spots


def blurred(width: float) -> Array:
    noise = gaussian_filter(generator().standard_normal(FLAT.shape), width)
    return wave(128, 128) + 25 * noise / noise.std()


CLIPPED = as_dtype(add_noise(wave(128, 128), 60), "uint8")
HARMLESS: dict[str, Callable[[], Array]] = {
    "photograph with noise": lambda: add_noise(CAMERA.astype(float), 15),
    "photograph in colour": lambda: COLOUR,
    "constant": lambda: FLAT,
    "two values": lambda: np.where(generator().random(FLAT.shape) < 0.01, 0, 255),
    "clipped": lambda: CLIPPED,
    "mostly clipped": lambda: as_dtype(add_noise(FLAT - 110, 12), "uint8"),
    "amplified photons": lambda: as_dtype(30.0 * generator().poisson(1, FLAT.shape), "uint8"),
    "speckle": lambda: FLAT * generator().gamma(1, 1, FLAT.shape),
    "rows": lambda: add_noise(wave(128, 128), 5) + 20 * generator(1).standard_normal((128, 1)),
    "letters": lambda: written(0, 255),
    "bright letters": lambda: written(255, 0),
    "letters with noise": lambda: add_noise(written(60, 200), 5),
    "lines": lambda: drawn(0, 255),
    "lines with noise": lambda: add_noise(drawn(200, 60), 10),
    "checkerboard": lambda: (ROWS + COLUMNS) % 2 * 255,
    "checkerboard with noise": lambda: add_noise((ROWS + COLUMNS) % 2 * 100.0, 10),
    "regular dots": lambda: np.where(ROWS % 6 + COLUMNS % 6, 100, 255) + ROWS // 4,
    "regular dots with noise": lambda: add_noise(np.where(ROWS % 6 + COLUMNS % 6, 50, 255), 10),
    "dithered": lambda: np.asarray(Image.fromarray(CAMERA).convert("1")) * 255,
    "dithered in colour": lambda: np.asarray(
        Image.fromarray(COLOUR).convert("P", palette=Image.Palette.WEB).convert("RGB")
    ),
    "grains": lambda: add_noise(FLAT + grains(), 10),
    "grains without noise": lambda: FLAT + grains() + ROWS / 8,
    **{f"photons {mean}": lambda mean=mean: generator().poisson(wave(128, 128) / 128 * mean)
       for mean in (0.02, 0.3, 1, 4, 30)},
    **{f"blurred {width}": lambda width=width: blurred(width) for width in (0.5, 0.7, 1.5)},
    **{f"stars of {width}": lambda width=width: add_noise(FLAT + stars(width), 5)
       for width in (1.5, 2.0, 3.0)},
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_no_impulse_is_seen_in(name: str) -> None:
    assert not find_impulses(HARMLESS[name]()).any()


def test_what_ends_at_the_edge_is_none() -> None:
    image = add_noise(wave(64, 64), 5)
    image[0, 0] = image[0, 30] = image[40, 63] = 400
    assert not find_impulses(image).any()


def test_white_noise_has_none() -> None:
    for seed in range(20):
        assert not find_impulses(add_noise(FLAT, 10, seed=seed)).any()
        assert not find_impulses(as_dtype(add_noise(FLAT[:40, :50], 10, seed=seed), "uint8")).any()


def test_a_tiny_image_tells_nothing() -> None:
    image = add_noise(FLAT[:7, :9], 1)
    image[3, 3] = 1000
    assert not find_impulses(image).any()
    assert not find_impulses(FLAT, np.ones(FLAT.shape, bool)).any()
    assert not find_impulses(FLAT * np.nan).any()


# --- what it takes


def test_memory_does_not_follow_the_size_of_the_image() -> None:
    image = add_noise(np.full((3000, 1500), 100.0), 10).astype(np.float32)
    tracemalloc.start()
    try:
        find_impulses(image)
        assert tracemalloc.get_traced_memory()[1] < 160e6
    finally:
        tracemalloc.stop()


def test_the_neighbours_are_in_order() -> None:
    plane = generator().standard_normal((9, 11)).astype(np.float32)
    for distance in (1, 3):
        padded, steps = np.pad(plane, distance, mode="reflect"), 2 * distance + 1
        ranked = np.stack(rank_neighbours(plane, distance), axis=-1)
        for y, x in np.ndindex(plane.shape):
            window = padded[y : y + steps : distance, x : x + steps : distance]
            neighbours = np.delete(window.ravel(), 4)
            np.testing.assert_array_equal(ranked[y, x], np.sort(neighbours))
