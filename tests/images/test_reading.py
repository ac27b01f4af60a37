"""What the user says about a file is followed or refused, never passed over."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from files import COLOUR, GRAY
from PIL import Image as PillowImage

from evodenoise.errors import ImageError
from evodenoise.images import ReadOptions, read_image

ENDINGS = ("png", "jpg", "bmp", "webp")


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for ending in ENDINGS:
        PillowImage.fromarray(GRAY).convert("RGB").save(f"colour.{ending}")
    PillowImage.fromarray(GRAY).save("gray.png")
    np.save("gray.npy", GRAY)
    tifffile.imwrite("gray.tif", GRAY)
    PillowImage.fromarray(COLOUR).quantize(16).save("palette.tif")


@pytest.mark.parametrize(
    ("name", "axes"),
    [(f"colour.{ending}", axes) for ending in ENDINGS for axes in ("TYX", "YX", "CYX", "TYXC")]
    + [(f"gray.{ending}", axes) for ending in ("png", "npy", "tif") for axes in ("TYX", "YXC")],
)
def test_axes_that_a_file_does_not_have_are_refused(name: str, axes: str) -> None:
    with pytest.raises(ImageError, match=rf"{name}: .*axes"):
        read_image(Path(name), ReadOptions(axes=axes))


@pytest.mark.parametrize(
    ("name", "axes"),
    [(f"colour.{ending}", "yxc") for ending in ENDINGS]
    + [(f"gray.{ending}", "YX") for ending in ("png", "npy", "tif")]
    + [("palette.tif", "YX")],
)
def test_axes_that_a_file_has_may_be_said(name: str, axes: str) -> None:
    said, silent = read_image(Path(name), ReadOptions(axes=axes)), read_image(Path(name))
    np.testing.assert_array_equal(said.pixels, silent.pixels)
    assert said.axes == silent.axes
