"""A calibration: what `info` finds of the noise is kept, drawn, and used for other images."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import full_disk, snapshot
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage

from evodenoise import estimate_noise, read_model, read_noise_file
from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.record_file import to_json
from evodenoise.noise.spectrum import NoiseSpectrum

QUICK = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --threads 1 --refine none"
NOISY = as_dtype(add_noise(wave(24, 20), 12), "uint8")
DARK = as_dtype(20 + add_noise(np.zeros((96, 96)), 4), "uint8")


def run(command: str) -> int:
    return main(shlex.split(command))


def record(channels: int = 1, **more: Any) -> NoiseEstimate:
    identity = tuple(tuple(row) for row in np.eye(channels).tolist())
    return NoiseEstimate(9.0, (9.0,) * channels, identity, 9.0, 9.0, consistent=True, **more)


LEVELS = (LevelCurve.of_knots((50, 200), (6, 12)),)
SPECTRUM = NoiseSpectrum.of(1 / (1 + np.add.outer(np.arange(32), np.arange(32)))[None])
KEPT = {
    "white": record(),
    "photon": record(curves=(LevelCurve.of_photons(1.5, 2.5),)),
    "signal-dependent": record(curves=LEVELS),
    "coloured": record(curves=LEVELS, spectrum=SPECTRUM),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a noisy image, a dark frame and records of noise."""
    monkeypatch.chdir(tmp_path)
    PillowImage.fromarray(NOISY).save("in.png")
    PillowImage.fromarray(DARK).save("dark.png")
    PillowImage.fromarray(np.dstack([NOISY, NOISY.T[::-1].T, 255 - NOISY])).save("colour.png")
    for name, noise in KEPT.items():
        Path(f"{name}.noise").write_text(to_json(noise))
    return tmp_path


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))


def the_record(capsys: pytest.CaptureFixture[str], command: str) -> dict[str, Any]:
    """Denoise and return the only record of the document."""
    capsys.readouterr()
    assert run(f"{command} --overwrite --json {QUICK}") == 0
    (found,) = json.loads(capsys.readouterr().out)["files"]
    return dict(found)


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("evodenoise: error: ")
    return err.removeprefix("evodenoise: error: ")


# --- keeping it


def test_a_dark_frame_is_kept_and_used_for_another_image(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("info dark.png --save-noise camera.noise") == 0
    kept = read_noise_file("camera.noise")
    assert kept == estimate_noise(DARK)
    assert kept.level == pytest.approx(4, rel=0.1)
    found = the_record(capsys, "in.png --noise-file camera.noise")
    assert (found["noise_source"], found["noise_kind"]) == ("file", "white")
    assert found["noise_std"] == kept.level
    assert run(f"in.png -o out.png --noise-file camera.noise {QUICK}") == 0
    assert f"noise level {kept.level:.4g} (file), " in capsys.readouterr().err


def test_an_image_denoised_by_its_own_record_is_as_without(tmp_path: Path) -> None:
    assert run("info in.png --save-noise own.noise") == 0
    assert run(f"in.png -o a.png {QUICK}") == 0
    assert run(f"in.png -o b.png --noise-file own.noise {QUICK}") == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_files_that_are_there_stay_unless_told(capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(Path())
    for option in ("--save-noise white.noise", "--figure dark.png"):
        assert run(f"info in.png {option}") == 2
        assert "exists already" in the_error(capsys)
    assert snapshot(Path()) == before
    assert run("info in.png --save-noise white.noise --figure dark.png --overwrite") == 0
    assert Path("white.noise").read_text() == to_json(estimate_noise(NOISY))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--save-noise in.png --overwrite", "in.png: is the input itself"),
        ("--save-noise ./in.png", "in.png: is the input itself"),
        ("--figure in.png --overwrite", "in.png: is the input itself"),
        ("--save-noise missing/a.noise", "missing: no such folder"),
        ("--save-noise .", ".: is a folder"),
        ("--figure missing/a.png", "missing: no such folder"),
        ("--figure a.gif", "a.gif: unknown ending; use one of .png"),
        ("--figure a.png --save-noise ./a.png", "a.png: would be written twice"),
        ("--overwrite", "it needs --save-noise or --figure"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_any_work(
    options: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = snapshot(Path())
    with monkeypatch.context() as patch:
        patch.setattr("evodenoise.denoising.noise_level.read_noise", pytest.fail)
        assert run(f"info in.png {options}") == 2
    assert reason in the_error(capsys)
    assert snapshot(Path()) == before


@pytest.mark.parametrize("option", ["--save-noise a.noise", "--figure a.png"])
def test_a_full_disk_leaves_nothing_behind(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(Path())
    with full_disk():
        assert run(f"info in.png {option}") == 1
    assert "cannot be written" in the_error(capsys)
    assert snapshot(Path()) == before


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "bmp"])
def test_the_noise_is_drawn_in_several_formats(ending: str) -> None:
    assert run(f"info in.png --figure figure.{ending}") == 0
    with PillowImage.open(f"figure.{ending}") as picture:
        assert picture.mode == "RGB"
        assert picture.width > 800
        assert np.asarray(picture).mean() > 200, "light"


def test_no_noise_can_be_kept_and_both_sides_say_what_that_means(
    capsys: pytest.CaptureFixture[str],
) -> None:
    PillowImage.fromarray(np.full((12, 12), 7, np.uint8)).save("black.png")
    assert run("info black.png --save-noise none.noise") == 0
    assert capsys.readouterr().err == (
        "warning: black.png: no noise was found; with none.noise images come back as they are\n"
    )
    assert run(f"in.png -o out.png --noise-file none.noise {QUICK}") == 0
    err = capsys.readouterr().err
    assert "warning: the file of the noise says that there is none; nothing was removed\n" in err
    assert "noise level 0, " in err
    with PillowImage.open("out.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), NOISY)


# --- using it


@pytest.mark.parametrize("kind", KEPT)
def test_the_record_tells_kind_and_source(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = the_record(capsys, f"in.png --noise-file {kind}.noise")
    assert (found["noise_source"], found["noise_kind"]) == ("file", kind)
    photon = (1.5, 2.5) if kind == "photon" else (None, None)
    assert (found["gain"], found["readout"]) == photon
    assert run(f"in.png -o out.png --noise-file {kind}.noise {QUICK}") == 0
    words = "(file)" if kind == "white" else f"(file, {kind})"
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("forked_workers")
def test_it_reaches_the_workers_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    command = f"in.png dark.png -o out/ -j 2 --noise-file coloured.noise --report r.csv {QUICK}"
    assert run(command) == 0
    assert capsys.readouterr().err.count("(file, coloured), ") == 2
    with Path("r.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["noise_source"] for row in rows] == ["file", "file"]
    assert [row["noise_kind"] for row in rows] == ["coloured", "coloured"]
    assert run(f"in.png -o alone.png --noise-file coloured.noise {QUICK}") == 0
    assert Path("alone.png").read_bytes() == Path("out/in.png").read_bytes()


@pytest.mark.parametrize("mode", ["pages", "joint"])
def test_it_is_used_for_the_pages_of_a_stack(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("stack.npy", np.stack([NOISY, NOISY[::-1]]).astype(np.float32))
    found = the_record(capsys, f"stack.npy --noise-file white.noise --stack {mode}")
    assert (found["noise_source"], found["noise_std"]) == ("file", 9.0)


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("kind", ["white", "photon"])
def test_a_model_for_all_images_learns_by_it_and_each_is_denoised_by_it(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    PillowImage.fromarray(NOISY[::-1]).save("again.png")
    options = f"-o out/ -j 1 --share-model --save-model m --noise-file {kind}.noise --json"
    assert run(f"in.png again.png {options} {QUICK}") == 0
    rows = json.loads(capsys.readouterr().out)["files"]
    assert [row["noise_source"] for row in rows] == ["file", "file"]
    if kind == "white":
        assert [row["noise_std"] for row in rows] == [9.0, 9.0]
    else:
        learned = read_model("m").levelling
        assert learned is not None
        assert [one.curve for one in learned.maps] == list(KEPT[kind].curves)


BESIDE = {
    "--sigma 5": "--noise-file says what the noise is; leave out --sigma",
    "--gain 2": "leave out --gain",
    "--gain 2 --readout 1": "leave out --gain",
    "--readout 1": "leave out --readout",
    "--offset 1": "leave out --offset",
    "--noise white": "leave out --noise",
    "--noise coloured": "leave out --noise",
    "--load-model some.model": "--load-model brings what it has learned of the noise; leave out",
    "--strength 0": "strength is 0.0",
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("files", ["in.png -o out.png", "in.png dark.png -o out/"])
@pytest.mark.parametrize("options", BESIDE)
def test_what_says_the_same_twice_is_refused(
    files: str, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(Path())
    assert run(f"{files} --noise-file white.noise {options}") == 2
    assert BESIDE[options] in the_error(capsys)
    assert snapshot(Path()) == before


@pytest.mark.usefixtures("no_training")
def test_to_name_the_usual_kind_beside_it_is_no_contradiction() -> None:
    assert run("in.png --noise-file white.noise --noise auto --dry-run") == 0


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("files", ["in.png -o out.png", "in.png dark.png -o out/"])
@pytest.mark.parametrize("extra", ["", "--dry-run"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.noise", "missing.noise: cannot be read: No such file"),
        ("dark.png", "dark.png: is damaged or not a record of noise"),
        ("torn.noise", "torn.noise: is damaged or not a record of noise"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_any_work(
    files: str, extra: str, name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("torn.noise").write_text(to_json(KEPT["coloured"])[:5000])
    before = snapshot(Path())
    assert run(f"{files} --noise-file {name} {extra}") == 2
    assert reason in the_error(capsys)
    assert snapshot(Path()) == before


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", ["colour.png", "colours.npy"])
@pytest.mark.parametrize("mode", ["pages", "joint"])
def test_a_record_of_other_channels_is_refused_before_the_image_is_denoised(
    name: str, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a stack every page counts, though the last one alone has colours."""
    grays = np.stack([NOISY] * 3, axis=-1)
    np.save("colours.npy", np.stack([grays, grays * [1, 2, 3]]))
    assert run(f"{name} -o out.npy --noise-file white.noise --stack {mode}") == 2
    assert "white.noise: the noise is known of 1 channel, the image has 3" in the_error(capsys)
    assert not Path("out.npy").exists()


def test_equal_channels_count_once(capsys: pytest.CaptureFixture[str]) -> None:
    PillowImage.fromarray(np.stack([NOISY] * 3, axis=-1)).save("grays.png")
    assert the_record(capsys, "grays.png --noise-file white.noise")["noise_std"] == 9.0
