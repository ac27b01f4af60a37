"""PSNR and SSIM against closed forms, and the references that cannot be compared."""

import math

import numpy as np
import pytest
from pictures import add_noise, psnr, wave
from skimage.metrics import structural_similarity

from evodenoise.errors import ReferenceImageError
from evodenoise.evaluation.metrics import check_reference, measure


@pytest.mark.parametrize(("error", "data_range"), [(1.0, 255.0), (25.0, 255.0), (3.0, 65535.0)])
def test_psnr_of_a_constant_error(error: float, data_range: float) -> None:
    reference = wave(16, 16)
    quality = measure(reference, reference + error, data_range=data_range)
    assert quality.psnr == pytest.approx(20 * math.log10(data_range / error), abs=1e-9)


def test_psnr_follows_its_definition_in_colour() -> None:
    reference = wave(20, 17, channels=3)
    noisy = add_noise(reference)
    expected = psnr(reference, noisy, peak=200.0)
    assert measure(reference, noisy, data_range=200.0).psnr == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("first", "second"), [(40.0, 90.0), (0.0, 255.0), (7.0, 8.0)])
def test_ssim_of_two_flat_images(first: float, second: float) -> None:
    """Without any variance, SSIM is its luminance term."""
    floor = (0.01 * 255) ** 2
    expected = (2 * first * second + floor) / (first**2 + second**2 + floor)
    quality = measure(np.full((9, 9), first), np.full((9, 9), second), data_range=255)
    assert quality.ssim == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("channels", [None, 3])
def test_ssim_is_that_of_scikit_image(channels: int | None) -> None:
    clean = wave(24, 20, channels=channels)
    noisy = add_noise(clean)
    axis = None if channels is None else 2
    expected = structural_similarity(clean, noisy, data_range=255, channel_axis=axis)
    assert measure(clean, noisy, data_range=255).ssim == pytest.approx(expected, abs=1e-12)


def test_identical_images() -> None:
    quality = measure(wave(12, 12), wave(12, 12), data_range=255)
    assert quality.psnr == math.inf
    assert quality.ssim == pytest.approx(1.0)


def test_more_noise_is_worse() -> None:
    clean = wave(32, 32)
    qualities = [measure(clean, add_noise(clean, std), data_range=255) for std in (5, 15, 50)]
    assert qualities == sorted(qualities, key=lambda quality: -quality.psnr)
    assert qualities == sorted(qualities, key=lambda quality: -quality.ssim)


def test_nothing_is_normalised() -> None:
    """An image that is darker or shifted is not like its reference."""
    clean = wave(16, 16)
    assert measure(clean, 0.5 * clean, data_range=255).psnr < 15
    assert measure(clean, clean + 50, data_range=255).psnr < 15


def test_integers_do_not_wrap_around() -> None:
    black, white = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    assert measure(black, white, data_range=255).psnr == pytest.approx(0.0)
    assert measure(white, black, data_range=255).psnr == pytest.approx(0.0)


@pytest.mark.parametrize("shape", [(4, 4), (5, 9), (6, 6, 3), (7, 7), (8, 4, 3)])
def test_images_smaller_than_the_usual_window_of_ssim(shape: tuple[int, ...]) -> None:
    clean = wave(*shape[:2], channels=3 if len(shape) == 3 else None)
    noisy, noisier = add_noise(clean, 5), add_noise(clean, 60)
    near, far = (measure(clean, image, data_range=255).ssim for image in (noisy, noisier))
    assert far < near < 1


@pytest.mark.parametrize(
    ("dtype", "span"), [("uint8", 255.0), ("uint16", 65535.0), ("int16", 65535.0)]
)
def test_data_range_of_integers_is_that_of_the_type(dtype: str, span: float) -> None:
    pixels = wave(8, 8).astype(dtype)
    assert check_reference(pixels, pixels, None, name="gt") == span


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_range_of_floats_is_the_span_of_the_reference(dtype: str) -> None:
    reference = np.linspace(-2.0, 6.0, 64).reshape(8, 8).astype(dtype)
    assert check_reference(reference, 10 * reference, None, name="gt") == 8.0


def test_a_data_range_that_is_given_counts() -> None:
    pixels = wave(8, 8).astype(np.uint8)
    assert check_reference(pixels, pixels, 100.0, name="gt") == 100.0


def test_byte_order_is_no_difference() -> None:
    pixels = wave(8, 8).astype("<u2")
    assert check_reference(pixels, pixels.astype(">u2"), None, name="gt") == 65535.0


@pytest.mark.parametrize(
    ("reference", "image", "span"),
    [
        ("float32", "uint8", 255.0),
        ("uint16", "float32", 65535.0),
        ("uint16", "uint8", 255.0),
        ("uint8", "int16", 65535.0),
        ("float64", "float32", 200.0),
    ],
)
def test_types_may_differ_and_integers_set_the_data_range(
    reference: str, image: str, span: float
) -> None:
    values = np.linspace(0.0, 200.0, 81).reshape(9, 9)
    pair = values.astype(reference), (values + 10).astype(image)
    assert check_reference(*pair, None, name="gt") == span
    error = np.mean((pair[0].astype(float) - pair[1]) ** 2)
    quality = measure(*pair, data_range=span)
    assert quality.psnr == pytest.approx(10 * np.log10(span**2 / error))


IMAGE = wave(8, 8)


@pytest.mark.parametrize(
    ("reference", "data_range", "reason"),
    [
        pytest.param(wave(8, 9), None, "(8, 9)", id="another shape"),
        pytest.param(wave(8, 8, channels=3), None, "(8, 8, 3)", id="colour"),
        pytest.param(np.full((8, 8), 3.0), None, "data range 0", id="a flat float reference"),
        pytest.param(np.where(IMAGE > 128, np.nan, IMAGE), None, "NaN", id="nan"),
        pytest.param(np.where(IMAGE > 128, np.nan, IMAGE), 255.0, "NaN", id="nan and a range"),
        pytest.param(np.where(IMAGE > 128, np.inf, IMAGE), 255.0, "infinite", id="infinite"),
        pytest.param(IMAGE * 1j, None, "complex128 values", id="complex"),
        pytest.param(IMAGE, 0.0, "data range 0", id="no range"),
        pytest.param(IMAGE, -255.0, "data range -255", id="a negative range"),
        pytest.param(IMAGE, math.nan, "data range nan", id="a range of nan"),
        pytest.param(IMAGE, math.inf, "data range inf", id="an infinite range"),
    ],
)
def test_refuses_what_cannot_be_compared(
    reference: np.ndarray, data_range: float | None, reason: str
) -> None:
    with pytest.raises(ReferenceImageError) as refusal:
        check_reference(reference, IMAGE, data_range, name="gt.npy")
    assert str(refusal.value).startswith("gt.npy: ")
    assert reason in str(refusal.value)
