"""What is said of an image, and stands in its record: its noise, warnings, gaps."""

import csv
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage

from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline

QUICK = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --threads 1 --refine none"
NOISY = as_dtype(add_noise(wave(20, 24)), "uint8")
GAPS = np.arange(NOISY.size).reshape(NOISY.shape) % 8 == 0


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a noisy image."""
    monkeypatch.chdir(tmp_path)
    PillowImage.fromarray(NOISY).save("in.png")
    return tmp_path


def the_record(capsys: pytest.CaptureFixture[str], command: str) -> dict[str, object]:
    """Denoise and return the only record of the document."""
    capsys.readouterr()
    assert run(f"{command} --overwrite --json {QUICK}") == 0
    (record,) = json.loads(capsys.readouterr().out)["files"]
    return dict(record)


# --- where the noise level comes from


@pytest.mark.parametrize(
    ("pixels", "option", "source", "level"),
    [
        (NOISY, "--sigma 20", "given", 20),
        (NOISY, "", "estimated", None),
        (np.full((12, 10), 7, np.uint8), "", "none", 0),
        (np.full((12, 10), 7, np.uint8), "--sigma 20", "none", 0),
    ],
)
def test_the_source_of_the_noise_level_is_told(
    capsys: pytest.CaptureFixture[str],
    pixels: np.ndarray,
    option: str,
    source: str,
    level: float | None,
) -> None:
    PillowImage.fromarray(pixels).save("some.png")
    record = the_record(capsys, f"some.png {option}")
    assert record["noise_source"] == source
    if level is not None:
        assert record["noise_std"] == level
    assert run(f"some.png {option} --overwrite {QUICK}") == 0
    said = capsys.readouterr().err
    shown = f"noise level {record['noise_std']:.4g}"
    assert (f"{shown} ({source})," if source != "none" else f"{shown}, ") in said


def test_how_well_the_noise_level_is_known_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("some.npy", 100 + add_noise(wave(64, 66), 20))
    found = the_record(capsys, "some.npy --report r.csv")
    assert 0 < found["noise_uncertainty"] < 0.2 * found["noise_std"]
    assert f",{found['noise_uncertainty']}," in Path("r.csv").read_text()
    assert run("info some.npy --save-noise some.noise") == 0
    capsys.readouterr()
    kept = the_record(capsys, "some.npy --noise-file some.noise")
    assert kept["noise_uncertainty"] == found["noise_uncertainty"]
    assert the_record(capsys, "some.npy --sigma 20")["noise_uncertainty"] is None
    assert the_record(capsys, "some.npy --gain 2")["noise_uncertainty"] is None
    assert the_record(capsys, "in.png")["noise_uncertainty"] is None  # too small to tell


def let_the_estimate_be(monkeypatch: pytest.MonkeyPatch, **reading: object) -> None:
    """Replace what an image is said to tell of its noise, but not what is made of it."""
    original = pipeline.denoise

    def denoise(*arguments: Any, **named: Any) -> pipeline.DenoiseResult:
        result = original(*arguments, **named)
        return replace(result, noise_estimate=replace(result.noise_estimate, **reading))

    monkeypatch.setattr(pipeline, "denoise", denoise)


@pytest.mark.parametrize(
    ("options", "kind", "photon"),
    [
        ("--sigma 20", "white", (None, None)),
        ("--gain 2 --readout 3", "photon", (2, 3)),
        ("--gain 2", "photon", (2, 0)),
    ],
)
def test_the_kind_of_the_noise_is_told(
    capsys: pytest.CaptureFixture[str],
    options: str,
    kind: str,
    photon: tuple[float | None, float | None],
) -> None:
    record = the_record(capsys, f"in.png {options} --report r.jsonl")
    assert (record["noise_kind"], record["gain"], record["readout"]) == (kind, *photon)
    (written,) = map(json.loads, Path("r.jsonl").read_text().splitlines())
    assert written["noise_kind"] == kind
    assert run(f"in.png {options} --overwrite {QUICK}") == 0
    words = "(given)" if kind == "white" else "(given, photon)"
    assert f" {words}, " in capsys.readouterr().err


def test_without_noise_there_is_no_kind_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    PillowImage.fromarray(np.full((12, 10), 7, np.uint8)).save("some.png")
    record = the_record(capsys, "some.png --gain 2")
    assert (record["noise_kind"], record["gain"], record["readout"]) == ("none", None, None)


def test_of_pages_the_noisiest_one_tells(capsys: pytest.CaptureFixture[str]) -> None:
    """Not the first one, if that is constant."""
    np.save("some.npy", np.stack([np.full((20, 24), 7.0), 100 + add_noise(wave(20, 24))]))
    assert the_record(capsys, "some.npy --gain 2")["noise_kind"] == "photon"


# --- clipped values


@pytest.mark.usefixtures("forked_workers")
def test_what_becomes_of_clipped_values_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    clipped = as_dtype(
        add_noise(np.where(np.arange(24) < 12, 250.0, 100.0) * np.ones((20, 1)), 20), "uint8"
    )
    PillowImage.fromarray(clipped).save("some.png")
    for option, value in (("", "keep"), ("--clipped restore", "restore")):
        assert the_record(capsys, f"some.png --sigma 20 {option}")["clipped"] == value
        words = {"keep": "kept", "restore": "restored"}[value]
        assert run(f"some.png in.png -o out -j 1 --overwrite --sigma 20 {option} {QUICK}") == 0
        assert re.search(rf"some.png: .*, clipped values {words}, ", capsys.readouterr().err)
        assert run(f"some.png --sigma 20 --overwrite {option} {QUICK}") == 0
        assert f" (given), clipped values {words}, " in capsys.readouterr().err


def test_nothing_is_said_of_clipped_values_that_are_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Black and white are no clipping where there is no noise, nor are impulses."""
    blank = np.zeros((24, 24), np.uint8)
    blank[::2, ::3] = 255
    PillowImage.fromarray(blank).save("drawing.png")
    peppered = as_dtype(add_noise(wave(64, 64), 5), "uint8")
    peppered[::9, ::7] = 255
    PillowImage.fromarray(peppered).save("peppered.png")
    for name in ("in.png", "drawing.png", "peppered.png"):
        record = the_record(capsys, name)
        assert record["clipped"] is None, name
    assert record["impulses"] == (peppered == 255).sum()
    assert run(f"in.png --overwrite {QUICK}") == 0
    assert "clipped" not in capsys.readouterr().err


# --- warnings


def test_warnings_stand_in_the_record(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert the_record(capsys, "in.png")["warnings"] == []
    let_the_estimate_be(monkeypatch, std=3.0, coarse_std=7.0, consistent=False)
    tifffile.imwrite("in.tif", NOISY, description="Scope", metadata=None)
    warnings = the_record(capsys, "in.tif -o out.png")["warnings"]
    assert isinstance(warnings, list)
    lost, correlated = warnings
    assert lost.startswith("a PNG file does not keep")
    assert correlated.startswith("the noise may be correlated")
    assert correlated.endswith("; --sigma sets its level")
    told = the_record(capsys, "in.tif -o out.png --sigma 30")["warnings"]
    assert "--sigma" not in str(told)  # there is nothing to advise


@pytest.mark.usefixtures("forked_workers")
def test_warnings_of_a_batch_stand_in_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        tifffile.imwrite(f"{name}.tif", NOISY, description="Scope", metadata=None)
    command = f"a.tif b.tif -o out/ -j 1 --format png --report r.csv {QUICK}"
    assert run(command) == 0
    err = capsys.readouterr().err
    lost = "a PNG file does not keep: tag ImageDescription"
    assert f"warning: a.tif: {lost}\nwarning" not in err  # each below the line of its image
    assert re.search(rf"a.tif: noise .*\nwarning: a.tif: {lost}", err)
    with Path("r.csv").open() as stream:
        records = list(csv.DictReader(stream))
    assert all(record["warnings"].startswith(lost) for record in records)
    assert {record["noise_source"] for record in records} == {"estimated"}
    written = Path("r.csv").read_bytes()
    assert run(f"{command} --skip-existing") == 0
    assert "warning" not in capsys.readouterr().err
    assert Path("r.csv").read_bytes() == written


# --- impulses


@pytest.mark.usefixtures("forked_workers")
def test_the_number_of_impulses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = add_noise(wave(40, 40), 5)
    pixels[10, 20] = pixels[30, 5] = 500
    np.save("some.npy", pixels)
    assert the_record(capsys, "some.npy")["impulses"] == 2
    assert the_record(capsys, "some.npy --impulses off")["impulses"] == 0
    assert the_record(capsys, "in.png")["impulses"] == 0
    assert run(f"some.npy --overwrite {QUICK}") == 0
    assert " (estimated), 2 impulses, " in capsys.readouterr().err
    assert run(f"some.npy in.png -o out/ -j 1 --report r.csv {QUICK}") == 0
    err = capsys.readouterr().err
    assert re.search(r"some.npy: noise .*, 2 impulses, ", err)
    assert err.count("impulse") == 1
    with Path("r.csv").open() as stream:
        records = {record["input"]: record for record in csv.DictReader(stream)}
    assert records["some.npy"]["impulses"] == "2"


# --- gaps


def test_the_share_of_missing_pixels_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("some.npy", np.where(GAPS, np.nan, NOISY))
    assert run(f"some.npy {QUICK}") == 0
    err = capsys.readouterr().err
    assert "12.5 % of the pixels are missing and will be filled\n" in err
    assert "warning" not in err
    assert the_record(capsys, "some.npy")["missing_share"] == 0.125
    assert the_record(capsys, "in.png")["missing_share"] == 0
    assert "missing" not in capsys.readouterr().err


def test_beyond_one_half_there_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("some.npy", np.where(GAPS, NOISY, np.nan))
    assert run(f"some.npy {QUICK}") == 0
    err = capsys.readouterr().err
    assert "87.5 % of the pixels are missing and will be filled\n" in err
    assert "warning: some.npy: more than half of the pixels are missing" in err


def test_invisible_pixels_are_not_said_to_be_filled(capsys: pytest.CaptureFixture[str]) -> None:
    opacity = np.where(GAPS, 0, 255).astype(np.uint8)
    PillowImage.fromarray(np.dstack([NOISY, opacity]), mode="LA").save("some.png")
    assert run(f"some.png {QUICK}") == 0
    err = capsys.readouterr().err
    assert "12.5 % of the pixels are invisible and stay as they are" in err
    assert "filled" not in err
