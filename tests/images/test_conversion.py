"""What is denoised and what is written: values rounded and clipped, never rescaled."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from evodenoise.errors import ConfigError, ImageError
from evodenoise.images import ReadOptions, convert
from evodenoise.images.conversion import Conversion, FileSettings


def read(folder: Path, pixels: np.ndarray, **settings: object) -> Conversion:
    np.save(folder / "in.npy", pixels)
    return Conversion.read(folder / "in.npy", FileSettings(**settings))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32", "float64"])
def test_the_same_by_default(tmp_path: Path, dtype: str) -> None:
    pixels = np.arange(80).reshape(8, 10).astype(dtype)
    conversion = read(tmp_path, pixels)
    assert conversion.noisy.dtype == conversion.result(pixels).pixels.dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", [0, 0, 2, 255, 255]),
        ("uint16", [0, 0, 2, 300, 65535]),
        ("float32", [-7, 0.5, 1.5, 300, 1e6]),
    ],
)
def test_rounded_and_clipped(tmp_path: Path, dtype: str, expected: list[float]) -> None:
    conversion = read(tmp_path, np.array([[-7, 0.5, 1.5, 300, 1e6]]), dtype=dtype)
    assert conversion.noisy.dtype == np.float64  # as exact as it came
    result = conversion.result(conversion.noisy).pixels
    assert result.dtype == dtype
    assert result.tolist() == [expected]


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_the_largest_integer_does_not_become_the_smallest(dtype: str) -> None:
    white = np.iinfo(dtype).max
    assert convert(np.array([2.0**64, float(white)]), dtype).tolist() == [white, white]


def test_integers_are_denoised_as_floats_for_a_float_result(tmp_path: Path) -> None:
    conversion = read(tmp_path, np.full((8, 10), 7, np.uint16), dtype="float32")
    assert conversion.noisy.dtype == np.float32
    assert (conversion.noisy == 7).all()


def test_opacity_keeps_its_share(tmp_path: Path) -> None:
    pixels = np.full((8, 10, 4), 300, np.uint16)
    pixels[..., 3] = np.arange(80).reshape(8, 10) * 257
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    conversion = Conversion.read(tmp_path / "in.tif", FileSettings(dtype="uint8"))
    result = conversion.result(conversion.noisy)
    assert (result.pixels == 255).all()
    np.testing.assert_array_equal(result.alpha, np.arange(80).reshape(8, 10))
    # The input's own is not touched.
    np.testing.assert_array_equal(conversion.image.alpha, pixels[..., 3])


def test_strip(tmp_path: Path) -> None:
    picture = PillowImage.fromarray(np.zeros((8, 10), np.uint8))
    picture.save(tmp_path / "in.png", dpi=(300, 300))
    kept = Conversion.read(tmp_path / "in.png", FileSettings())
    assert kept.image.metadata.names == ("resolution",)
    bare = Conversion.read(tmp_path / "in.png", FileSettings(strip=True))
    assert bare.image.metadata.names == ()


def test_refuses_an_unknown_type() -> None:
    with pytest.raises(ConfigError, match="dtype 'int8' is unknown; use one of same, uint8"):
        FileSettings(dtype="int8")


def test_axes(tmp_path: Path) -> None:
    conversion = read(tmp_path, np.zeros((3, 8, 10)), reading=ReadOptions(axes="CYX"))
    assert conversion.image.pixels.shape == (8, 10, 3)


# --- missing pixels


def test_nothing_is_missing(tmp_path: Path) -> None:
    assert read(tmp_path, np.zeros((8, 10, 3))).missing is None


def test_no_numbers_are_missing(tmp_path: Path) -> None:
    pixels = np.zeros((8, 10, 3), np.float32)
    pixels[2, 3, 1] = np.nan
    missing = read(tmp_path, pixels).missing
    assert np.argwhere(missing).tolist() == [[2, 3]]


def save_see_through(path: Path, alpha: np.ndarray) -> None:
    pixels = np.full((8, 10, 4), 7, np.uint8)
    pixels[..., 3] = alpha
    PillowImage.fromarray(pixels).save(path)


def test_invisible_pixels_are_missing_and_keep_their_colour(tmp_path: Path) -> None:
    alpha = np.full((8, 10), 1, np.uint8)
    alpha[2, 3] = 0
    save_see_through(tmp_path / "in.png", alpha)
    conversion = Conversion.read(tmp_path / "in.png", FileSettings())
    assert np.argwhere(conversion.missing).tolist() == [[2, 3]]
    denoised = np.full((8, 10, 3), 9, np.uint8)
    result = conversion.result(denoised)
    assert (result.pixels[2, 3] == 7).all()
    assert (result.pixels[alpha > 0] == 9).all()
    assert (denoised == 9).all()
    np.testing.assert_array_equal(result.alpha, alpha)


def test_no_opacity_anywhere_says_nothing(tmp_path: Path) -> None:
    save_see_through(tmp_path / "in.png", np.zeros((8, 10), np.uint8))
    assert Conversion.read(tmp_path / "in.png", FileSettings()).missing is None


@pytest.mark.parametrize("shape", [(8, 10), (8, 10, 3), (5, 8, 10)])
@pytest.mark.parametrize("ending", [".npy", ".png"])
def test_a_mask(tmp_path: Path, shape: tuple[int, ...], ending: str) -> None:
    mask = np.zeros((8, 10), np.uint8)
    mask[2, 3] = 1
    mask[4, 5] = 255
    if ending == ".npy":
        np.save(tmp_path / "mask.npy", mask > 0)
    else:
        PillowImage.fromarray(mask).save(tmp_path / "mask.png")
    missing = read(tmp_path, np.zeros(shape), mask=tmp_path / f"mask{ending}").missing
    expected = np.broadcast_to(mask > 0, missing.shape)
    np.testing.assert_array_equal(missing, expected)
    assert missing.shape == shape[: 2 + (shape[0] == 5)]


def test_a_mask_of_pages(tmp_path: Path) -> None:
    mask = np.zeros((5, 8, 10), bool)
    mask[1, 2, 3] = True
    np.save(tmp_path / "mask.npy", mask)
    missing = read(tmp_path, np.zeros((5, 8, 10)), mask=tmp_path / "mask.npy").missing
    np.testing.assert_array_equal(missing, mask)
    with pytest.raises(ImageError, match="the image has 1 pages of 10 x 8 pixels"):
        read(tmp_path, np.zeros((8, 10)), mask=tmp_path / "mask.npy")


def test_all_is_masked(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.ones((8, 10)))
    with pytest.raises(ImageError, match="every pixel is missing"):
        read(tmp_path, np.zeros((8, 10)), mask=tmp_path / "mask.npy")
