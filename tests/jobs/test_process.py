"""One job from file to file: units, references, folders."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pictures import add_noise, as_dtype, psnr, wave
from PIL import Image as PillowImage

from evodenoise.cli import main
from evodenoise.images.conversion import FileSettings
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.job_result import JobResult
from evodenoise.jobs.process import prepare, run
from evodenoise.jobs.records import result_record

CLEAN = wave(24, 28)
QUICK = {"epochs": 2, "latents": 16, "hidden": (16,), "states": 4, "device": "cpu"}


def do(folder: Path, noisy: np.ndarray, clean: np.ndarray, files: FileSettings) -> JobResult:
    """Denoise an array into a PNG, with everything beside it."""
    np.save(folder / "noisy.npy", noisy)
    np.save(folder / "clean.npy", clean)
    job = Job(
        source=folder / "noisy.npy",
        target=folder / "out.png",
        inside=Path("noisy.npy"),
        reference=folder / "clean.npy",
        residual=folder / "residual.npy",
        figure=folder / "figure.png",
        uncertainty=folder / "uncertainty.npy",
    )
    settings = RunSettings(overrides=QUICK, files=files)
    return run(prepare(job, settings), settings)


@pytest.mark.parametrize(("dtype", "unit"), [("uint16", 257.0), ("float32", 1 / 255)])
def test_a_rescaled_result_is_measured_in_the_units_of_the_input(
    tmp_path: Path, dtype: str, unit: float
) -> None:
    clean = as_dtype(CLEAN * unit, dtype)
    noisy = as_dtype(add_noise(CLEAN, 10) * unit, dtype)
    result = do(tmp_path, noisy, clean, FileSettings(dtype="uint8", rescale=True))
    with PillowImage.open(tmp_path / "out.png") as picture:
        written = np.asarray(picture)
    assert written.dtype == np.uint8
    back = written.astype(np.float64) * unit
    assert psnr(CLEAN, written) > 22
    assert result.denoised.noise_std == pytest.approx(10 * unit, rel=0.5)
    assert result.quality is not None
    # PSNR is that of the result over that of the input, each by its own peak.
    span = 65535 if dtype == "uint16" else float(np.ptp(clean))
    assert result.quality.psnr == pytest.approx(psnr(clean, back, peak=span))
    np.testing.assert_allclose(np.load(tmp_path / "residual.npy"), noisy - back, atol=unit / 100)
    std = np.load(tmp_path / "uncertainty.npy")
    assert std.dtype == np.float32
    np.testing.assert_array_equal(std, result.denoised.std)
    assert unit < std.mean() < 30 * unit


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_error_bars_in_the_result_are_in_its_units(tmp_path: Path, dtype: str) -> None:
    noisy = as_dtype(add_noise(CLEAN, 10) * 257, "uint16")
    np.save(tmp_path / "noisy.npy", noisy)
    target = tmp_path / "out.tif"
    job = Job(tmp_path / "noisy.npy", target, Path("noisy.npy"), uncertainty=target)
    files = FileSettings(dtype=dtype, rescale=dtype == "uint8")
    settings = RunSettings(overrides=QUICK, files=files)
    result = run(prepare(job, settings), settings)
    with tifffile.TiffFile(target) as file:
        image, std = (page.asarray() for page in file.pages)
    assert (image.dtype, std.dtype) == (dtype, np.float32)
    unit = 257 if dtype == "uint8" else 1
    np.testing.assert_allclose(std * unit, result.denoised.std, rtol=1e-5)
    np.testing.assert_array_equal(image, result.written.pixels)


def test_pixels_that_stay_as_they_are_have_no_error_bars(tmp_path: Path) -> None:
    colours = as_dtype(add_noise(wave(24, 28, channels=3), 10), "uint8")
    alpha = np.full((24, 28, 1), 255, np.uint8)
    alpha[:5] = 0
    PillowImage.fromarray(np.concatenate([colours, alpha], 2)).save(tmp_path / "in.png")
    bars = tmp_path / "bars.tif"
    job = Job(tmp_path / "in.png", tmp_path / "out.png", Path("in.png"), uncertainty=bars)
    settings = RunSettings(overrides=QUICK)
    result = run(prepare(job, settings), settings)
    std = tifffile.imread(bars)
    assert not std[:5].any()
    assert (std[5:] > 0).all()
    assert result_record(result, settings)["estimated_psnr"] == result.estimated_psnr
    assert f"PSNR about {result.estimated_psnr:.1f} dB (estimated)" in result.describe()


def test_of_coloured_noise_no_psnr_is_estimated(tmp_path: Path) -> None:
    image = as_dtype(add_noise(wave(40, 40), 10), "uint8")
    PillowImage.fromarray(image).save(tmp_path / "in.png")
    for kind, known in (("coloured", False), ("white", True)):
        job = Job(tmp_path / "in.png", tmp_path / f"{kind}.png", Path("in.png"))
        settings = RunSettings(overrides={**QUICK, "noise": kind})
        result = run(prepare(job, settings), settings)
        assert (result_record(result, settings)["estimated_psnr"] is not None) == known
        assert ("PSNR about" in result.describe()) == known


def test_a_conversion_that_leaves_nothing_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It used to end with a black picture and exit code 0."""
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", (add_noise(CLEAN) / 255).astype(np.float32))
    assert main(shlex.split("in.npy -o out.png --dtype uint8")) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "add --rescale, or keep them with --dtype float32" in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]


def test_what_rounding_costs_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", np.random.default_rng(0).poisson(CLEAN / 100).astype(np.uint8))
    quick = "--epochs 1 --latents 8 --hidden 8 --states 2 --device cpu --refine none"
    assert main(shlex.split(f"in.npy -o out.tif {quick}")) == 0
    err = capsys.readouterr().err
    assert err.count("warning: in.npy: the values vary by less than 2.5 levels") == 1
    assert main(shlex.split(f"in.npy -o fine.tif --dtype float32 {quick}")) == 0
    assert "levels" not in capsys.readouterr().err


def test_a_reference_of_floats_measures_an_integer_result(tmp_path: Path) -> None:
    """The mean of many frames is no integer; nothing of it is lost on the way to the figures."""
    clean, noisy = CLEAN.astype(np.float32), as_dtype(add_noise(CLEAN, 10), "uint8")
    result = do(tmp_path, noisy, clean, FileSettings())
    with PillowImage.open(tmp_path / "out.png") as picture:
        written = np.asarray(picture)
    record = result_record(result, RunSettings())
    assert record["data_range"] == 255  # of what was measured, not of its reference
    assert record["psnr_noisy"] == pytest.approx(psnr(clean, noisy))
    assert record["psnr"] == pytest.approx(psnr(clean, written))
    assert (tmp_path / "figure.png").exists()


@pytest.mark.parametrize("many", [False, True])
def test_a_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    many: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    options = "--epochs 1 --latents 8 --hidden 8 --states 2 --device cpu --refine none"
    Path("file").touch()
    for name in ("in.png", "other.png"):
        PillowImage.fromarray(as_dtype(add_noise(CLEAN), "uint8")).save(name)
    inputs, code = ("in.png other.png", 1) if many else ("in.png", 2)
    assert main(shlex.split(f"{inputs} -o file/deeper/ {options}")) == code
    err = capsys.readouterr().err
    assert "file/deeper: cannot be created: " in err
    assert "Error" not in err
