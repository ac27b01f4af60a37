"""Every kind of file comes back as it was when denoising is replaced by the identity."""

import io
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from kinds import COLOUR, JPEGS, OTHERWISE, SAME, exif_tiff, values, write
from pictures import psnr
from PIL import Image as PillowImage

from evodenoise.cli import main
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising import denoise as pipeline
from evodenoise.images import ALL, Format
from evodenoise.system import scratch

# They say where in the file the values are.
PLACES = (273, 279, 324, 325)
# Widths of integers, and what is 1 unless told otherwise, are up to the writer.
WIDTHS = (256, 257, 278)
POINTERS = (34665, 34853)
DEFAULTS = {277: 1, 282: (1, 1), 283: (1, 1), 284: 1, 296: 1}


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let images pass as they are: the result of a constant one, with other pixels."""
    unchanged = pipeline.denoise(np.zeros((8, 8)), DenoiseConfig(device="cpu"))

    def denoise(image: np.ndarray, *_: Any, **__: Any) -> pipeline.DenoiseResult:
        return replace(unchanged, image=image.copy())

    monkeypatch.setattr(pipeline, "denoise", denoise)


def run(command: str) -> int:
    return main(shlex.split(command))


def pixels_of(path: Path) -> np.ndarray:
    """Read the values with a library of the tests' own."""
    match path.suffix:
        case ".npy":
            return np.load(path)
        case ".tif":
            return tifffile.imread(path)
        case ".fits":
            return fits.getdata(path, 0)
        case _:
            return np.asarray(PillowImage.open(path))


def metadata_of(path: Path) -> Any:
    """Read all that stands beside the values."""
    match path.suffix:
        case ".npy":
            return path.read_bytes()[:128]
        case ".tif":
            with tifffile.TiffFile(path) as file:
                pages = [{tag.code: _plain(tag) for tag in page.tags} for page in file.pages]
                for tags in pages:
                    for code in PLACES:
                        tags.pop(code, None)
                    for code, value in DEFAULTS.items():
                        tags.setdefault(code, (None, 1, value))
                kinds = [(series.kind, series.axes, series.shape) for series in file.series]
                return pages, kinds, file.imagej_metadata, file.byteorder, file.is_bigtiff
        case ".fits":
            with fits.open(path) as units:
                return [repr(unit.header) for unit in units] + [unit.data for unit in units[1:]]
        case _:
            with PillowImage.open(path) as picture:
                picture.load()
                found = {**picture.info, "mode": picture.mode, "exif tags": dict(picture.getexif())}
                found["exposure"] = dict(picture.getexif().get_ifd(0x8769))
                found.pop("interlace", None)  # of the pixels' order in the file
                return {**found, "text": getattr(picture, "text", None)}


def _plain(tag: tifffile.TiffTag) -> tuple[Any, ...]:
    value = tag.value.tolist() if isinstance(tag.value, np.ndarray) else tag.value
    loose = tag.code in {*WIDTHS, *DEFAULTS, *POINTERS}
    return (None if loose else int(tag.dtype), tag.count, value)


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("name", SAME)
def test_the_same_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    source = write(name, SAME[name], tmp_path)
    target = tmp_path / f"out{source.suffix}"
    assert run(f"{source} -o {target} --device cpu") == 0
    before, after = pixels_of(source), pixels_of(target)
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    np.testing.assert_array_equal(after, before)
    np.testing.assert_equal(metadata_of(target), metadata_of(source))
    assert "warning" not in capsys.readouterr().err


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("name", [name for name in SAME if name[:3] in ("tif", "npy", "fit")])
def test_the_same_comes_back_of_large_files(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Every array is taken for one that is too large for the memory, and for several pieces."""
    monkeypatch.setattr(scratch, "MAPPED_FROM", 1)
    monkeypatch.setattr(scratch, "PIECE", 100)
    test_the_same_comes_back(tmp_path, capsys, name)


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("name", OTHERWISE)
def test_what_comes_back_otherwise_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    make, reason = OTHERWISE[name]
    source = write(name, make, tmp_path)
    target = tmp_path / f"out{source.suffix}"
    assert run(f"{source} -o {target} --device cpu") == 0
    assert reason in capsys.readouterr().err
    if source.suffix == ".fits":
        np.testing.assert_array_equal(fits.getdata(target), fits.getdata(source))
    elif "16" in str(tifffile.imread(target).dtype if source.suffix == ".tif" else ""):
        pytest.fail("deeper than the source")
    elif "JPEG" in name:
        np.testing.assert_array_equal(tifffile.imread(target), tifffile.imread(source))
    else:
        colours = [np.asarray(PillowImage.open(path).convert("RGBA")) for path in (source, target)]
        if "colour" not in name:  # of 16 bits, which Pillow cannot show
            np.testing.assert_array_equal(*colours)


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_keeps_its_metadata(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = write(name, JPEGS[name], tmp_path)
    target = tmp_path / "out.jpg"
    assert run(f"{source} -o {target} --device cpu") == 0
    assert "correlated" in capsys.readouterr().err
    assert psnr(pixels_of(source), pixels_of(target)) > 35
    before, after = metadata_of(source), metadata_of(target)
    for found in (before, after):
        found.pop("progressive", None)
        found.pop("progression", None)
    assert after == before


@pytest.mark.usefixtures("identity")
def test_quality(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", values("uint8", 64, 64, 3))
    for options in ("", "--quality 95", "--quality 50"):
        assert run(f"{tmp_path}/in.npy -o '{tmp_path}/out{options}.jpg' {options}") == 0
        assert run(f"{tmp_path}/in.npy -o '{tmp_path}/out{options}.webp' {options}") == 0
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["out.jpg"] == sizes["out--quality 95.jpg"] > sizes["out--quality 50.jpg"]
    assert sizes["out.webp"] > sizes["out--quality 95.webp"] > sizes["out--quality 50.webp"]


# --- from format to format

PHOTOGRAPHS = {
    "png with profile and EXIF": SAME["png with profile and EXIF"],
    "jpg RGB": JPEGS["jpg RGB"],
    "webp with metadata": SAME["webp with metadata"],
    "tif EXIF": SAME["tif EXIF"],
    # Of 16 bits, but no brighter than 8 bits can be.
    "tif EXIF big-endian": exif_tiff(values("uint8").astype(">u2")),
}


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_keeps_its_orientation_exposure_and_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, ending: str
) -> None:
    source = write(name, PHOTOGRAPHS[name], tmp_path)
    target = tmp_path / f"out.{ending}"
    assert run(f"{source} -o {target} --device cpu --dtype uint8") == 0
    err = capsys.readouterr().err
    assert "EXIF" not in err
    assert "GPS" not in err
    with PillowImage.open(source) as before, PillowImage.open(target) as after:
        # Not loaded: of a TIFF, Pillow would turn the pixels and forget the orientation.
        assert after.getexif()[0x0112] == before.getexif()[0x0112] == 6
        for code in (0x8769, 0x8825):
            assert dict(after.getexif().get_ifd(code)) == dict(before.getexif().get_ifd(code))
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
    assert pixels_of(target).shape[:2] == pixels_of(source).shape[:2]  # not turned


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize(("ending", "kept"), [("png", True), ("jpg", True), ("tif", False)])
def test_a_thumbnail_in_exif_is_not_lost_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str, kept: bool
) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for size in (8, 4):
            writer.write(np.zeros((size, size), np.uint8), software="a camera", metadata=None)
    block = b"Exif\0\0" + stream.getvalue()
    PillowImage.fromarray(values("uint8", *COLOUR)).save(tmp_path / "in.jpg", exif=block)
    assert run(f"{tmp_path}/in.jpg -o {tmp_path}/out.{ending} --device cpu") == 0
    assert ("does not keep: the thumbnail in EXIF" in capsys.readouterr().err) == (not kept)
    with PillowImage.open(tmp_path / f"out.{ending}") as picture:
        assert picture.getexif()[0x0131] == "a camera"
        if kept:
            assert picture.info["exif"] == block


# --- what the documentation says


def row(known: Format) -> str:
    """Describe a format as the documentation does."""
    colours = [{1: "gray", 3: "RGB"}.get(count, f"{count} channels") for count in known.channels]
    cells = [
        f"{known.name} ({', '.join(f'`{ending}`' for ending in known.endings)})",
        ", ".join(known.dtypes),
        ", ".join(colours) or "1 to 4 channels",
        "yes" if known.alpha else "no",
        "yes" if known.pages else "no",
        ", ".join(sorted(known.shared)) or "nothing",
    ]
    return f"| {' | '.join(cells)} |"


def test_the_table_of_formats_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/formats.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- formats:begin -->")[2].partition("<!-- formats:end -->")[0]
    header, _, *rows = shown.strip().splitlines()
    assert header.count("|") == 7
    assert rows == [row(known) for known in ALL]
