"""Image files: what goes in comes out, and what cannot be handled is refused by name."""

import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from files import COLOUR, GRAY, GRAY16, REFUSED_FILES, full_disk, png, snapshot
from pictures import psnr
from PIL import Image as PillowImage
from PIL import ImageCms

from evodenoise.errors import ImageError, OutputError, WriteError
from evodenoise.images import (
    FORMATS,
    Image,
    Layout,
    Metadata,
    ReadOptions,
    check_output,
    read_image,
    write_image,
)

FLOAT = (GRAY.astype(np.float32) - 100) * 1e4
FLOAT_COLOUR = (COLOUR.astype(np.float32) - 100) * 1e-4
COLOUR16 = COLOUR.astype(np.uint16) * 257

KEPT = [
    *(
        (ending, pixels)
        for ending in (".png", ".tif", ".tiff", ".npy")
        for pixels in (GRAY, COLOUR)
    ),
    *((ending, GRAY16) for ending in (".png", ".tif", ".npy")),
    *(
        (ending, pixels)
        for ending in (".tif", ".npy")
        for pixels in (COLOUR16, FLOAT, FLOAT_COLOUR)
    ),
    *((".npy", pixels) for pixels in (FLOAT.astype(np.float64), (FLOAT / 1e4).astype(np.float16))),
]
kept = pytest.mark.parametrize(
    ("ending", "pixels"),
    [pytest.param(*case, id=f"{case[0]}-{case[1].dtype}-{case[1].ndim}d") for case in KEPT],
)


def image(pixels: np.ndarray, name: str = "NPY") -> Image:
    """Make an image without a file."""
    return Image(pixels, name, Layout.read(pixels.shape))


def save(path: Path, pixels: np.ndarray) -> None:
    """Write a file without the code that is tested."""
    match FORMATS[path.suffix].name:
        case "NPY":
            np.save(path, pixels)
        case "TIFF":
            photometric = "rgb" if pixels.ndim == 3 else "minisblack"
            tifffile.imwrite(path, pixels, photometric=photometric)
        case _:
            PillowImage.fromarray(pixels).save(path)


def load(path: Path) -> np.ndarray:
    """Read a file without the code that is tested."""
    match FORMATS[path.suffix].name:
        case "NPY":
            return np.load(path)
        case "TIFF":
            return tifffile.imread(path)
        case _:
            return np.asarray(PillowImage.open(path))


# --- reading and writing


@kept
def test_reads_what_others_wrote(tmp_path: Path, ending: str, pixels: np.ndarray) -> None:
    save(tmp_path / f"in{ending}", pixels)
    result = read_image(tmp_path / f"in{ending}")
    assert result.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(result.pixels, pixels)
    assert result.format == FORMATS[ending].name


@kept
def test_writes_what_others_read(tmp_path: Path, ending: str, pixels: np.ndarray) -> None:
    path = tmp_path / f"out{ending}"
    check_output(path, image(pixels), source=tmp_path / "in.npy", overwrite=False)
    write_image(path, image(pixels))
    assert load(path).dtype == pixels.dtype
    np.testing.assert_array_equal(load(path), pixels)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".JPG"])
@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_jpeg_comes_back_with_little_loss(tmp_path: Path, ending: str, pixels: np.ndarray) -> None:
    path = tmp_path / f"out{ending}"
    write_image(path, image(pixels))
    result = read_image(path)
    assert (result.format, result.pixels.dtype) == ("JPEG", np.uint8)
    assert psnr(pixels, result.pixels) > 30


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "actually_tiff.png", GRAY16)
    result = read_image(tmp_path / "actually_tiff.png")
    assert result.format == "TIFF"
    np.testing.assert_array_equal(result.pixels, GRAY16)


@pytest.mark.parametrize("options", [{"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_kinds_of_tiff(tmp_path: Path, options: dict[str, Any], compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "in.tif", GRAY16, compression=compression, **options)
    result = read_image(tmp_path / "in.tif")
    assert result.pixels.dtype == np.uint16
    np.testing.assert_array_equal(result.pixels, GRAY16)


@pytest.mark.parametrize("ending", [".png", ".tif", ".npy"])
def test_byte_order_does_not_matter(tmp_path: Path, ending: str) -> None:
    np.save(tmp_path / "in.npy", GRAY16.astype(">u2"))
    result = read_image(tmp_path / "in.npy")
    write_image(tmp_path / f"out{ending}", result)
    np.testing.assert_array_equal(load(tmp_path / f"out{ending}"), GRAY16)


ARRANGEMENTS = {
    "planes first": (np.moveaxis(COLOUR, 2, 0), "CYX", COLOUR),
    "columns first": (COLOUR.swapaxes(0, 1), "XYC", COLOUR),
    "turned": (GRAY.T, "XY", GRAY),
    "one channel last": (GRAY[..., None], "YXC", GRAY),
    "one channel first": (GRAY[None], "CYX", GRAY),
}


@pytest.mark.parametrize("ending", [".png", ".webp", ".bmp", ".tif", ".jpg"])
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_the_arrangement_of_the_source_does_not_matter(
    tmp_path: Path, name: str, ending: str
) -> None:
    array, axes, expected = ARRANGEMENTS[name]
    source, target = tmp_path / "in.npy", tmp_path / f"out{ending}"
    np.save(source, np.ascontiguousarray(array))
    result = read_image(source, ReadOptions(axes=axes))
    check_output(target, result, source=source, overwrite=False)
    write_image(target, result)
    if ending == ".jpg":
        assert psnr(expected, load(target)) > 30
    elif ending == ".webp":  # has no gray
        shown = load(target) if expected.ndim == 3 else load(target)[..., 0]
        np.testing.assert_array_equal(shown, expected)
    else:
        np.testing.assert_array_equal(load(target), expected)


@pytest.mark.parametrize("pixels", [COLOUR, COLOUR16], ids=["uint8", "uint16"])
def test_separate_planes_of_a_tiff_go_into_a_png(tmp_path: Path, pixels: np.ndarray) -> None:
    source, target = tmp_path / "in.tif", tmp_path / "out.png"
    planes = np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(source, planes, photometric="rgb", planarconfig="separate")
    result = read_image(source)
    check_output(target, result, source=source, overwrite=False)
    write_image(target, result)
    np.testing.assert_array_equal(read_image(target).pixels, pixels)


# --- metadata


def colour_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_png_and_jpeg_keep_their_metadata(tmp_path: Path, ending: str) -> None:
    source, result = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    exif = PillowImage.Exif()
    exif[0x010F], exif[0x0112] = "A maker", 6
    PillowImage.fromarray(COLOUR).save(
        source, dpi=(300, 150), icc_profile=colour_profile(), exif=exif
    )
    write_image(result, read_image(source))
    with PillowImage.open(result) as picture:
        assert picture.info["icc_profile"] == colour_profile()
        assert picture.info["dpi"] == pytest.approx((300, 150), abs=0.02)
        assert dict(picture.getexif()) == {0x010F: "A maker", 0x0112: 6}


def test_tiff_keeps_resolution_and_colour_profile(tmp_path: Path) -> None:
    source, result = tmp_path / "in.tif", tmp_path / "out.tif"
    PillowImage.fromarray(COLOUR).save(source, dpi=(300, 150), icc_profile=colour_profile())
    write_image(result, read_image(source))
    with PillowImage.open(result) as picture:
        assert picture.info["icc_profile"] == colour_profile()
        assert picture.info["dpi"] == (300, 150)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_tiff_keeps_what_is_white(tmp_path: Path, photometric: str) -> None:
    tifffile.imwrite(tmp_path / "in.tif", GRAY, photometric=photometric)
    write_image(tmp_path / "out.tif", read_image(tmp_path / "in.tif"))
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.pages.first.photometric.name.lower() == photometric
        np.testing.assert_array_equal(file.asarray(), GRAY)


def test_metadata_of_another_format_is_left_out(tmp_path: Path) -> None:
    PillowImage.fromarray(GRAY).save(tmp_path / "in.png", dpi=(300, 300))
    write_image(tmp_path / "out.tif", read_image(tmp_path / "in.png"))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), GRAY)


# --- files that are refused


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_refuses_a_file(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED_FILES[name]
    make(tmp_path / name)
    with pytest.raises(ImageError) as refusal:
        read_image(tmp_path / name)
    assert str(refusal.value).startswith(f"{tmp_path / name}: ")
    assert reason in str(refusal.value)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "missing.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_refuses_an_unreadable_file(tmp_path: Path) -> None:
    save(tmp_path / "in.png", GRAY)
    (tmp_path / "in.png").chmod(0)
    with pytest.raises(ImageError, match="Permission denied"):
        read_image(tmp_path / "in.png")


def whole_file(kind: str) -> bytes:
    """Make a small file in memory."""
    buffer = io.BytesIO()
    match kind:
        case "png":
            return png(GRAY, 0)
        case "jpeg":
            PillowImage.fromarray(GRAY).save(buffer, format="JPEG")
        case "webp":
            PillowImage.fromarray(COLOUR).save(buffer, format="WEBP", lossless=True)
        case "bmp":
            PillowImage.fromarray(COLOUR).save(buffer, format="BMP")
        case "png 16":
            return png(COLOUR16, 2)
        case "fits":
            fits.PrimaryHDU(GRAY16).writeto(buffer)
        case "npy":
            np.save(buffer, GRAY)
        case "tiff":
            tifffile.imwrite(buffer, GRAY16, rowsperstrip=3)
        case "packed tiff":
            tifffile.imwrite(buffer, GRAY16, compression="zlib")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind", ["png", "png 16", "jpeg", "webp", "bmp", "fits", "npy", "tiff", "packed tiff"]
)
def test_a_truncated_file_is_refused_or_whole(tmp_path: Path, kind: str) -> None:
    """Wherever a file breaks off, no pixel may be made up."""
    path, data = tmp_path / "file", whole_file(kind)
    path.write_bytes(data)
    expected = read_image(path).pixels
    refused = 0
    for length in {*range(0, len(data), 7), *range(len(data) - 40, len(data))}:
        path.write_bytes(data[:length])
        try:
            np.testing.assert_array_equal(read_image(path).pixels, expected)
        except ImageError:
            refused += 1
    assert refused > len(data) // 25


def test_a_truncated_tile_is_refused(tmp_path: Path) -> None:
    """With exactly as many bytes as the visible part of the last tile has, tifffile makes do."""
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, np.zeros((40, 40), np.uint16), tile=(16, 16))
    tile, visible = 16 * 16 * 2, 8 * 8 * 2
    path.write_bytes(path.read_bytes()[: visible - tile])
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)


# --- outputs that are refused


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    save(path, GRAY)
    return path


@pytest.mark.parametrize(
    ("name", "pixels", "reason"),
    [
        ("out.gif", GRAY, "unknown ending"),
        ("out", GRAY, "unknown ending"),
        (
            "out.png",
            FLOAT,
            "PNG cannot hold float32 values; "
            "write a .tif file or add --dtype uint8 --rescale (or uint16)",
        ),
        (
            "out.jpg",
            GRAY16,
            "JPEG cannot hold uint16 values; write a .png file or add --dtype uint8 --rescale",
        ),
        ("out.bmp", GRAY16, "BMP cannot hold uint16 values; write a .png"),
        ("out.png", GRAY.astype(np.float16), "PNG cannot hold float16 values; write a .tif"),
        ("out.fits", GRAY.astype(np.float16), "FITS cannot hold float16 values; write a .tif"),
        ("out.tif", GRAY.astype(np.int64), "TIFF cannot hold int64 values; add --dtype float32"),
        ("out.png", np.stack([GRAY] * 5), "PNG holds one page, not 5; write a .tif"),
        ("out.png", np.dstack([GRAY, GRAY]), "2 channels"),
        ("missing/out.png", GRAY, "no such folder"),
        ("in.png/out.png", GRAY, "no such folder"),
        ("x" * 300 + ".png", GRAY, "File name too long"),
    ],
)
def test_refuses_an_output(source: Path, name: str, pixels: np.ndarray, reason: str) -> None:
    before = snapshot(source.parent)
    with pytest.raises(OutputError) as refusal:
        check_output(source.parent / name, image(pixels), source=source, overwrite=True)
    assert reason in str(refusal.value)
    assert snapshot(source.parent) == before


@pytest.fixture
def no_astropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "astropy.io", None)


@pytest.mark.usefixtures("no_astropy")
def test_fits_without_its_library(source: Path) -> None:
    """It used to be the metadata that seemed damaged."""
    mend = r"\.fits: FITS files need astropy; install it with: python -m pip install 'evod"
    with pytest.raises(OutputError, match=mend):
        check_output(source.with_name("out.fits"), image(GRAY), source=source, overwrite=False)
    source.with_name("in.fits").write_bytes(b"SIMPLE  =                    T")
    with pytest.raises(ImageError, match=mend):
        read_image(source.with_name("in.fits"))


def test_damaged_metadata_is_told_from_pixels_that_cannot_be_written(source: Path) -> None:
    profile = Metadata(("ICC profile",), {"ICC profile": "no bytes"})
    fine, empty = image(GRAY), replace(image(COLOUR), pixels=COLOUR[:, :0])
    target = source.with_name("out.jpg")
    with pytest.raises(OutputError, match=r"metadata of the input seems damaged.*add --strip"):
        check_output(target, replace(fine, metadata=profile), source=source, overwrite=False)
    with pytest.raises(OutputError, match=r"out\.jpg: cannot be written as JPEG: ") as refusal:
        check_output(target, replace(empty, metadata=profile), source=source, overwrite=False)
    assert "strip" not in str(refusal.value)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("link", ["none", "symlink", "hard link", "detour"])
def test_the_input_is_never_overwritten(source: Path, link: str, overwrite: bool) -> None:
    target = source.parent / "out.png"
    match link:
        case "none":
            target = source
        case "symlink":
            target.symlink_to(source)
        case "hard link":
            target.hardlink_to(source)
        case "detour":
            target = source.parent / ".." / source.parent.name / source.name
    with pytest.raises(OutputError, match="is the input itself"):
        check_output(target, image(GRAY), source=source, overwrite=overwrite)


def test_an_existing_output_needs_permission(source: Path) -> None:
    target = source.parent / "out.png"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        check_output(target, image(GRAY), source=source, overwrite=False)
    check_output(target, image(GRAY), source=source, overwrite=True)
    assert target.read_bytes() == b"precious"


def test_a_folder_is_no_output(source: Path) -> None:
    (source.parent / "out.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(source.parent / "out.png", image(GRAY), source=source, overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes all")
def test_refuses_a_folder_that_cannot_be_written_to(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        check_output(folder / "out.png", image(GRAY), source=source, overwrite=False)


def test_what_the_check_lets_pass_can_be_written(source: Path) -> None:
    """A name as long as the file system allows: the partial file's name must not be longer."""
    target = source.parent / ("x" * 251 + ".png")
    check_output(target, image(GRAY), source=source, overwrite=False)
    write_image(target, image(GRAY))
    np.testing.assert_array_equal(load(target), GRAY)


@pytest.mark.skipif(sys.platform == "win32", reason="open files are locked there")
def test_an_output_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Whoever has the old file open never sees a part of the new one."""
    target = tmp_path / "out.png"
    target.write_bytes(b"the old result")
    with target.open("rb") as reader:
        write_image(target, image(GRAY))
        assert reader.read() == b"the old result"
    np.testing.assert_array_equal(load(target), GRAY)


# --- writing that fails


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are a thing of Unix")
@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".npy"])
@pytest.mark.parametrize("existing", [b"", b"the old result"])
def test_a_full_disk_leaves_things_as_they_were(
    tmp_path: Path, ending: str, existing: bytes
) -> None:
    """Pillow used to write a part of a JPEG and call it a success."""
    target = tmp_path / f"out{ending}"
    if existing:
        target.write_bytes(existing)
    before = snapshot(tmp_path)
    with full_disk(), pytest.raises(WriteError, match="cannot be written"):
        write_image(target, image(GRAY))
    assert snapshot(tmp_path) == before


def test_a_folder_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No such file"):
        write_image(tmp_path / "gone" / "out.png", image(GRAY))
