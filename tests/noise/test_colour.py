"""How noise is spread over frequency, read off pictures whose noise is known."""

import numpy as np
import numpy.typing as npt
import pytest
from filtered_noise import Blurs, exact_covariance, filtered_noise, wave_variances
from pictures import blobs

from evodenoise.noise.colour import orders_of, read_wave_variances

Floats = npt.NDArray[np.float64]

SIZES = ((96, 8), (192, 16))
"""Sides of pictures, and of the patches that are cut from them."""

STD = 15.0
SEEDS = range(3)
WHITE: Blurs = (0.01, 0.01)


def picture(seed: int, side: int) -> Floats:
    """Make a picture of shading and cells with edges, values from 20 to 220."""
    return 20 + 200 * blobs(side, side, seed=seed, scale=24).astype(np.float64)


def exact(blurs: Blurs, side: int) -> Floats:
    return STD**2 * wave_variances(exact_covariance(blurs, side), side)


def over_orders(variances: Floats) -> Floats:
    """Average the orders that can be read, from 2 to p - 2."""
    orders = np.rint(orders_of(len(variances)))
    return np.array([variances[orders == each].mean() for each in range(2, len(variances) - 1)])


def read(plane: Floats, missing: npt.NDArray[np.bool_] | None = None) -> Floats:
    found = read_wave_variances(plane[..., None], missing)
    assert len(found) == 1
    return found[0]


# --- noise in pictures


@pytest.mark.parametrize("blurs", [WHITE, (0.5, 0.5), (0.7, 0.7)])
@pytest.mark.parametrize(("side", "patch_size"), SIZES)
@pytest.mark.parametrize("seed", SEEDS)
def test_blurred_noise(seed: int, side: int, patch_size: int, blurs: Blurs) -> None:
    noisy = picture(seed, side) + STD * filtered_noise(blurs, side, side, seed=seed + 10)
    found, expected = read(noisy), exact(blurs, patch_size)
    assert found.shape == (patch_size, patch_size)
    np.testing.assert_allclose(over_orders(found) / over_orders(expected), 1, atol=0.25)
    assert found.mean() == pytest.approx(expected.mean(), rel=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_coarse_noise(seed: int) -> None:
    """Of the finest waves next to nothing is there: it is read in sum."""
    side, blurs = 192, (1.0, 1.0)
    noisy = picture(seed, side) + STD * filtered_noise(blurs, side, side, seed=seed + 10)
    found, expected = read(noisy), exact(blurs, 16)
    np.testing.assert_allclose(over_orders(found) / over_orders(expected), 1, atol=0.25)
    finest = orders_of(16) >= 14.5
    assert found[finest].mean() < 2 * expected[finest].mean() < 0.05 * expected.mean()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("side", "patch_size"), SIZES)
@pytest.mark.parametrize("seed", SEEDS)
def test_stripes_are_told_from_noise_of_their_order(
    seed: int, side: int, patch_size: int, axis: int
) -> None:
    """Of offsets of rows as strong as 0.8 of the noise, all is in the waves without a column."""
    rng = np.random.default_rng(seed + 10)
    noise = rng.normal(size=(side, side)) + 0.8 * rng.normal(size=(side, 1))
    found = read(picture(seed, side) + STD * (noise if axis == 0 else noise.T))
    found = found if axis == 0 else found.T
    along, across = found[patch_size // 4 :, 0], found[0, patch_size // 4 :]
    assert along.mean() == pytest.approx(STD**2 * (1 + 0.64 * patch_size), rel=0.35)
    assert across.mean() == pytest.approx(STD**2, rel=0.25)
    inside = found[patch_size // 4 :, patch_size // 4 :]
    assert inside.mean() == pytest.approx(STD**2, rel=0.15)


def test_every_channel_has_a_spectrum_of_its_own() -> None:
    levels, blurs = (20.0, 5.0), (WHITE, (0.7, 0.7))
    clean = picture(0, 128)
    planes = [
        share * clean + level * filtered_noise(blur, 128, 128, seed=seed)
        for seed, (share, level, blur) in enumerate(zip((1, 0.1), levels, blurs, strict=True))
    ]
    found = read_wave_variances(np.stack(planes, axis=2))
    for variances, level, blur in zip(found, levels, blurs, strict=True):
        expected = (level / STD) ** 2 * exact(blur, 16)
        np.testing.assert_allclose(over_orders(variances) / over_orders(expected), 1, atol=0.25)


def test_colours_are_taken_for_those_of_a_camera() -> None:
    """Texture in brightness looks like noise, but of no camera; uneven noise of colours counts."""
    y, _ = np.mgrid[:128, :128]
    white = [filtered_noise(WHITE, 128, 128, seed=seed) for seed in range(4)]
    coarse = 60 * filtered_noise((2.0, 2.0), 128, 128, seed=9)
    uneven = np.where(y % 64 < 32, 1.0, 3.0)
    planes = np.stack([10 * white[0] + coarse, 10 * uneven * white[1], 10 * white[2]], axis=2)
    brightness, red_blue, green = (over_orders(each) for each in read_wave_variances(planes))
    alone = over_orders(read_wave_variances(planes[..., :1])[0])
    assert brightness[0] < 0.05 * alone[0]
    np.testing.assert_allclose(brightness[7:] / 100, 1, atol=0.25)
    assert 150 < red_blue[6:].mean() < 550
    np.testing.assert_allclose(green / 100, 1, atol=0.35)


@pytest.mark.parametrize("seed", SEEDS)
def test_shading_does_not_count(seed: int) -> None:
    """It looks like noise in the lowest orders, where the noise is taken to go on as above."""
    y, x = np.mgrid[:128, :128] / 20
    noise = STD * filtered_noise(WHITE, 128, 128, seed=seed)
    found = read(noise + 200 * np.sin(x + 0.3 * seed) * np.cos(y))
    assert found[:2, :2].max() < 1.5 * STD**2


@pytest.mark.parametrize("seed", SEEDS)
def test_texture_in_a_part_of_the_picture_does_not_count(seed: int) -> None:
    clean = picture(seed, 128)
    y, x = np.indices(clean.shape)
    clean += 60 * np.sin(1.1 * y + 0.7 * x) * (clean > np.quantile(clean, 0.7))
    found = read(clean + STD * filtered_noise(WHITE, 128, 128, seed=seed))
    np.testing.assert_allclose(over_orders(found) / STD**2, 1, atol=0.25)


# --- what is no noise


@pytest.mark.parametrize(("side", "patch_size"), SIZES)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_a_blank_area_tells_nothing(side: int, patch_size: int, share: float) -> None:
    """Of the same brightness throughout, it may be more than any other."""
    noisy = picture(0, side) + STD * filtered_noise((0.7, 0.7), side, side)
    noisy[: round(share * side)] = 0
    ratios = over_orders(read(noisy)) / over_orders(exact((0.7, 0.7), patch_size))
    np.testing.assert_allclose(ratios, 1, atol=0.3)


def test_missing_pixels_may_hold_anything() -> None:
    side = 96
    noisy = picture(1, side) + STD * filtered_noise((0.7, 0.7), side, side)
    missing = np.random.default_rng(0).random(noisy.shape) < 0.01
    missing[20:30, 40:50] = True
    readings = []
    for fill in (0.0, 1e6, np.random.default_rng(1).normal(0, 1e4, missing.sum())):
        noisy[missing] = fill
        readings.append(read(noisy, missing))
    for reading in readings:
        np.testing.assert_array_equal(reading, readings[0])
    ratios = over_orders(readings[0]) / over_orders(exact((0.7, 0.7), 8))
    np.testing.assert_allclose(ratios, 1, atol=0.25)


@pytest.mark.parametrize("value", [0.0, 1 / 3])
def test_a_constant_picture_has_next_to_no_noise(value: float) -> None:
    found = read(np.full((40, 50), value))
    assert np.isfinite(found).all()
    assert found.max() < 1e-24


# --- sizes


@pytest.mark.parametrize("shape", [(4, 4), (4, 60), (8, 8), (15, 9)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    found = read(STD * np.random.default_rng(0).normal(size=shape))
    assert found.shape == (min(8, *shape),) * 2
    assert 0.3 * STD**2 < found.mean() < 3 * STD**2
    assert found.min() > 0


def test_the_unit_of_the_values_does_not_matter() -> None:
    noisy = picture(0, 96) + STD * filtered_noise((0.7, 0.7), 96, 96)
    np.testing.assert_allclose(read(1e4 * noisy - 7), 1e8 * read(noisy), rtol=1e-6)
