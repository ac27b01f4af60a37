"""The options of the command that concern files, and images at the edge of what there is."""

import shlex
import sys
from pathlib import Path

import numpy as np
import png as pypng
import pytest
import tifffile
from files import COLOUR, GRAY, full_disk, png, snapshot
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage

from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline
from evodenoise.system import scratch

USUAL = {
    **{"--epochs": "1", "--latents": "16", "--hidden": "16", "--states": "4"},
    **{"--device": "cpu", "--refine": "none"},
}
QUICK = " ".join(f"{name} {value}" for name, value in USUAL.items())
FULL = "--refine full"
"""What can fail on values that are out of the ordinary: every stage is to see them."""

STACK = as_dtype(np.stack([add_noise(wave(20, 24), seed=k) for k in range(3)]), "uint8")


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quick(options: str) -> str:
    """Make a run short, but for what the options say themselves."""
    others = [f"{name} {value}" for name, value in USUAL.items() if name not in options.split()]
    return " ".join([options, *others])


def denoised(pixels: np.ndarray, options: str = "") -> np.ndarray:
    """Send an array through the command."""
    np.save("in.npy", pixels)
    assert run(f"in.npy -o out.npy --overwrite {quick(options)}") == 0
    result = np.load("out.npy")
    assert result.shape == pixels.shape
    return result


def picture(name: str) -> tuple[np.ndarray, dict[str, object]]:
    """Read pixels and metadata by Pillow."""
    with PillowImage.open(name) as opened:
        return np.asarray(opened), opened.info


# --- options


@pytest.mark.parametrize("dtype", ["same", "uint8", "uint16", "float32"])
def test_dtype(dtype: str) -> None:
    result = denoised(as_dtype(add_noise(wave(20, 24)) + 100, "uint16"), f"--dtype {dtype}")
    assert result.dtype == {"same": "uint16"}.get(dtype, dtype)
    assert result.mean() == pytest.approx(228, abs=30)  # not rescaled
    if dtype == "float32":
        assert (result != result.round()).any()  # and not rounded on the way


def test_strip() -> None:
    PillowImage.fromarray(COLOUR).save("in.png", dpi=(300, 300))
    assert run(f"in.png -o kept.png {QUICK}") == 0
    assert run(f"in.png -o bare.png --strip {QUICK}") == 0
    assert "dpi" in picture("kept.png")[1]
    assert picture("bare.png")[1] == {}


def test_what_another_format_does_not_keep_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite("in.tif", GRAY, resolution=(300, 300), description="Scope", metadata=None)
    assert run(f"in.tif -o out.png {QUICK}") == 0
    assert (
        "warning: in.tif: a PNG file does not keep: tag ImageDescription" in capsys.readouterr().err
    )
    assert picture("out.png")[1]["dpi"] == pytest.approx((300, 300), abs=0.02)
    assert run(f"in.tif -o bare.png --strip {QUICK}") == 0
    assert "does not keep" not in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["pages", "joint"])
def test_stack(capsys: pytest.CaptureFixture[str], mode: str) -> None:
    tifffile.imwrite("in.tif", STACK, photometric="minisblack")
    assert run(f"in.tif -o out.tif --stack {mode} {QUICK} -v") == 0
    result = tifffile.imread("out.tif")
    assert (result.shape, result.dtype) == (STACK.shape, np.uint8)
    assert (result != STACK).any(axis=(1, 2)).all()
    err = capsys.readouterr().err
    assert "axes QYX: 3 pages of 24 x 20 pixels; --axes says otherwise" in err
    assert err.count("free energy") == {"pages": 3, "joint": 1}[mode]
    assert ("page 3, epoch" in err) == (mode == "pages")


def test_axes(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("in.npy", STACK)
    assert run(f"in.npy -o out.npy --axes CYX {QUICK}") == 0
    assert "axes CYX: 24 x 20 pixels in 3 channels" in capsys.readouterr().err
    assert np.load("out.npy").shape == STACK.shape


def test_reference_of_a_stack(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("clean.npy", as_dtype(np.stack([wave(20, 24)] * 3), "uint8"))
    denoised(STACK, "--reference clean.npy")
    assert capsys.readouterr().out.count("PSNR") == 2


CLEAN = wave(32, 32)
NOISY = add_noise(CLEAN, 10)
GAPS = np.random.default_rng(1).random(CLEAN.shape) < 0.2


def error_of(result: np.ndarray, where: np.ndarray) -> float:
    """Root mean squared error; about 50 for a constant, over 100 for what stood in the gaps."""
    return float(np.sqrt(np.mean((result.astype(float) - CLEAN)[where] ** 2)))


@pytest.mark.parametrize("how", ["nan", "mask"])
def test_missing_pixels_are_filled(how: str) -> None:
    PillowImage.fromarray(GAPS).save("mask.png")
    hole, option = {"nan": (np.nan, ""), "mask": (0.0, "--mask mask.png")}[how]
    result = denoised(np.where(GAPS, hole, NOISY), f"--epochs 12 {option}")
    assert error_of(result, GAPS) < 30
    assert error_of(result, ~GAPS) < 25


def test_invisible_pixels_teach_nothing_and_stay() -> None:
    colours = np.dstack([as_dtype(np.where(GAPS, 255, NOISY), "uint8")] * 3)
    opacity = np.where(GAPS, 0, 255).astype(np.uint8)
    PillowImage.fromarray(np.dstack([colours, opacity])).save("in.png")
    assert run(f"in.png -o out.png {quick('--epochs 4')}") == 0
    before, after = picture("in.png")[0], picture("out.png")[0]
    np.testing.assert_array_equal(after[..., 3], opacity)
    np.testing.assert_array_equal(after[GAPS], before[GAPS])
    assert error_of(after[..., 0], ~GAPS) < 25


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("in.png --dtype int8", "dtype 'int8' is unknown; use one of same, uint8"),
        ("in.png --quality 50", "--quality is for JPEG and WebP, not for PNG"),
        ("in.png -o out.jpg --quality 0", "--quality is 0"),
        ("in.png -o out.jpg --quality 101", "--quality is 101"),
        ("in.png --stack all", "--stack 'all' is unknown; use pages or joint"),
        ("stack.npy --axes YX", "stack.npy: axes YX do not fit shape (3, 20, 24)"),
        ("stack.npy -o out.png", "PNG holds one page, not 3; write a .tif"),
        ("in.png --mask nope.png", "nope.png: cannot be read"),
        ("in.png --mask stack.npy", "stack.npy: shape (3, 20, 24), but the image has 1 pages"),
        ("in.png --mask full.npy", "every pixel is missing"),
        ("see_through.png -o out.jpg", "JPEG cannot hold opacity"),
        ("in.png --max-pixels 119", "10 x 12 pixels are more than 119; if you trust the file"),
        ("stack.npy --max-pixels 1439", "3 x 20 x 24 pixels are more than 1439"),
        ("bomb.png", "100000 x 100000 pixels are more than 500000000; if you trust the file, add"),
        ("bomb.tif", "pixels are more than 500000000"),
        ("bomb.npy", "bomb.npy: "),
        ("wide.png", "wide.png: 400 x 1 pixels; at least 4 x 4 are needed"),
        ("thin.png", "thin.png: 1 x 400 pixels; at least 4 x 4 are needed"),
    ],
)
def test_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, reason: str
) -> None:
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))
    PillowImage.fromarray(GRAY).save("in.png")
    PillowImage.fromarray(np.dstack([COLOUR, GRAY])).save("see_through.png")
    PillowImage.fromarray(GRAY[:1].repeat(40, axis=1)).save("wide.png")
    PillowImage.fromarray(GRAY[:, :1].repeat(40, axis=0)[:400]).save("thin.png")
    np.save("stack.npy", STACK)
    np.save("full.npy", np.ones(GRAY.shape))
    save_bombs()
    before = snapshot(Path())
    assert run(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert reason in err
    assert snapshot(Path()) == before


def save_bombs() -> None:
    """Write small files that promise a lot."""
    size = (100_000).to_bytes(4, "big") * 2
    (kind, head), *rest = pypng.Reader(bytes=png(GRAY, 0)).chunks()
    with Path("bomb.png").open("wb") as stream:
        pypng.write_chunks(stream, [(kind, size + head[8:]), *rest])
    tifffile.imwrite("bomb.tif", np.zeros((16, 16), np.uint8), compression="zlib", metadata=None)
    with tifffile.TiffFile("bomb.tif", mode="r+") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages.first.tags[name].overwrite(2**31 - 1)
    with Path("bomb.npy").open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(stream, header)


def test_a_large_file_can_be_let_in() -> None:
    PillowImage.fromarray(GRAY).save("in.png")
    assert run(f"in.png -o out.png --max-pixels 120 {QUICK}") == 0


# --- images at the edge


def test_a_gigantic_aspect_ratio() -> None:
    noisy = add_noise(wave(4, 700))
    assert np.isfinite(denoised(noisy)).all()


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_image(value: int) -> None:
    assert (denoised(np.full((12, 10, 3), value, np.uint8)) == value).all()


def test_a_constant_channel() -> None:
    pixels = COLOUR.copy()
    pixels[..., 1] = 7
    assert (denoised(pixels, FULL)[..., 1] == 7).all()


def test_exactly_one_patch() -> None:
    assert np.isfinite(denoised(add_noise(wave(8, 8)), f"--patch-size 8 {FULL}")).all()


def test_all_black_but_for_a_hot_pixel() -> None:
    pixels = np.zeros((24, 20), np.uint16)
    pixels[5, 6] = 65535
    result = denoised(pixels, FULL)
    assert result[12:].max() < 1000


@pytest.mark.parametrize("peak", [1e6, 1e20, 1e103])
def test_a_pixel_far_above_the_others(peak: float) -> None:
    """Its variance used to swallow that of the noise: a matrix without a factor, then no number."""
    noisy = add_noise(wave(16, 18, channels=3))
    noisy[3, 4, 1] = peak
    assert np.isfinite(denoised(noisy, FULL)).all()


@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_large_and_small_values(scale: float) -> None:
    noisy = add_noise(wave(20, 24))
    expected = denoised(noisy, FULL)
    result = denoised(noisy * scale, FULL) / scale
    np.testing.assert_allclose(result, expected, rtol=0.02)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_saturated_noise(dtype: str) -> None:
    limits = np.iinfo(dtype)
    clean = (wave(24, 20) - 128) / 70 * limits.max
    noisy = as_dtype(clean + np.random.default_rng(0).normal(0, limits.max / 4, clean.shape), dtype)
    result = denoised(noisy, FULL)
    assert (noisy == limits.max).any()
    assert result.dtype == dtype
    assert np.corrcoef(result.ravel(), clean.ravel())[0, 1] > 0.8


def test_names_with_spaces_and_unicode(folder: Path) -> None:
    name = "Zwölf Böxen 写真 'x' [1].png"
    PillowImage.fromarray(GRAY).save(name)
    assert main([f"./{name}", *QUICK.split()]) == 0
    assert {path.name for path in folder.iterdir()} == {name, name.replace(".png", "_denoised.png")}


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are a thing of Unix")
@pytest.mark.parametrize("ending", [".webp", ".bmp", ".fits", ".tif", ".png"])
def test_a_full_disk(capsys: pytest.CaptureFixture[str], ending: str) -> None:
    np.save("in.npy", GRAY)
    before = snapshot(Path())
    with full_disk():
        assert run(f"in.npy -q -o out{ending} {QUICK}") == 1
    assert "cannot be written" in capsys.readouterr().err
    assert snapshot(Path()) == before


@pytest.mark.parametrize("ending", ["npy", "tif", "fits"])
def test_what_is_too_large_for_the_memory_is_denoised_as_what_is_not(
    monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """A picture in a file that is mapped, which nothing may write to."""
    np.save("in.npy", as_dtype(add_noise(wave(20, 24)), "uint16"))
    if ending != "npy":
        assert run(f"in.npy -o in.{ending} {QUICK}") == 0
    before = Path(f"in.{ending}").read_bytes()
    assert run(f"in.{ending} -o small.{ending} {QUICK}") == 0
    monkeypatch.setattr(scratch, "MAPPED_FROM", 1)
    monkeypatch.setattr(scratch, "PIECE", 200)
    assert run(f"in.{ending} -o large.{ending} {QUICK}") == 0
    assert Path(f"large.{ending}").read_bytes() == Path(f"small.{ending}").read_bytes()
    assert Path(f"in.{ending}").read_bytes() == before
