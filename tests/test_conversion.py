"""What is denoised and what is written: values rounded and clipped, never rescaled."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from evodenoise.conversion import Conversion, FileSettings
from evodenoise.errors import ConfigError
from evodenoise.images import ReadOptions


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
