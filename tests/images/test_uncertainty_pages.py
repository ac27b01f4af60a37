"""Pages of error bars beside an image, and how such a file is read again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from evodenoise.errors import OutputError
from evodenoise.images import Image, check_output, read_image, write_image
from evodenoise.images.tiff_writing import UNCERTAINTY

SHAPES = {"YX": (9, 8), "YXC": (9, 8, 3), "TYX": (4, 9, 8), "TYXC": (2, 9, 8, 3)}


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 200, shape).astype(dtype)


def pages_of(path: Path) -> np.ndarray:
    """Read the error bars."""
    with tifffile.TiffFile(path) as file:
        found = [page for page in file.pages if UNCERTAINTY in page.aspage().description]
        assert all(page.dtype == np.float32 for page in found)
        return np.stack([page.asarray() for page in found])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("axes", SHAPES)
def test_the_image_comes_back_without_its_error_bars(tmp_path: Path, axes: str, dtype: str) -> None:
    """Floats too, of which tifffile would make one stack."""
    path, pixels = tmp_path / "out.tif", values(SHAPES[axes], dtype)
    std = values(SHAPES[axes], "float32")
    write_image(path, replace(Image.plain(pixels, axes), uncertainty=std))
    np.testing.assert_array_equal(read_image(path).pixels, pixels)
    np.testing.assert_array_equal(pages_of(path), std if "T" in axes else std[None])


@pytest.mark.parametrize("kind", [{"metadata": None}, {}])
def test_what_was_read_of_a_tiff_is_written_with_error_bars(
    tmp_path: Path, kind: dict[str, None]
) -> None:
    stack = values((4, 9, 8), "uint16")
    tifffile.imwrite(tmp_path / "in.tif", stack, photometric="minisblack", **kind)
    image = read_image(tmp_path / "in.tif")
    std = values(image.pixels.shape, "float32")
    result = replace(image, uncertainty=std)
    out = tmp_path / "out.tif"
    check_output(out, result, source=tmp_path / "in.tif", overwrite=False)
    write_image(out, result)
    np.testing.assert_array_equal(read_image(out).pixels, image.pixels)
    np.testing.assert_array_equal(pages_of(out), std.reshape(stack.shape))


@pytest.mark.parametrize("kind", [{"imagej": True}, {"ome": True}], ids=str)
def test_files_that_describe_all_of_their_pages_take_no_more(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    path, pixels = tmp_path / "in.tif", values((2, 9, 8), "uint8")
    tifffile.imwrite(path, pixels, photometric="minisblack", **kind)
    image = read_image(path)
    result = replace(image, uncertainty=values(image.pixels.shape, "float32"))
    with pytest.raises(OutputError, match=r"out.tif: cannot hold pages of error bars: .* --unc"):
        check_output(tmp_path / "out.tif", result, source=path, overwrite=False)


def test_channels_that_are_no_colours_get_a_page_each(tmp_path: Path) -> None:
    pixels, std = values((9, 8, 2), "uint8"), values((9, 8, 2), "float32")
    out = tmp_path / "out.tif"
    write_image(out, replace(Image.plain(pixels, "YXC"), uncertainty=std))
    np.testing.assert_array_equal(pages_of(out), np.moveaxis(std, 2, 0))
    np.testing.assert_array_equal(read_image(out).pixels, pixels)


def test_no_other_format_holds_error_bars(tmp_path: Path) -> None:
    image = replace(Image.plain(values((9, 8), "uint8"), "YX"), uncertainty=values((9, 8), "f4"))
    with pytest.raises(OutputError, match="cannot hold pages of error bars"):
        check_output(tmp_path / "a.png", image, source=tmp_path / "in.png", overwrite=False)
