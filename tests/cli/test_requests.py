"""What is asked for and cannot be done, or does nothing, is refused or mentioned."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from files import GRAY, snapshot
from PIL import Image as PillowImage

from evodenoise.cli import main
from evodenoise.cli.output import list_notes
from evodenoise.denoising import denoise as pipeline
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.records import Status, bare_record

QUICK = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --refine none"


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.fixture(autouse=True)
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with an image, and a folder with another one."""
    monkeypatch.chdir(tmp_path)
    Path("shots").mkdir()
    PillowImage.fromarray(GRAY).save("a.png")
    PillowImage.fromarray(GRAY).save("shots/b.png")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("a.png --overwrite --skip-existing", "exclude each other; choose one"),
        ("a.png --rescale", "--rescale does nothing for --dtype same; it needs --dtype uint8"),
        ("a.png -o - --suffix _x", "--suffix is for the name of a file, not for stdout"),
        ("a.png -o - --skip-existing", "--skip-existing looks for files, not at stdout"),
        ("a.png -o b.tif --residual b.tif", "b.tif: would be written twice"),
        ("a.png -o b.png --figure ./b.png", "b.png: would be written twice"),
        ("a.png -o b.png --save-model b.png", "b.png: would be written twice"),
        ("shots -o out --figure out", "out/b.png: would be written twice"),
        ("shots -o out --save-model m", "add --share-model"),
        ("a.png --share-model", "--share-model is for many images; leave it out"),
        ("shots -o out --share-model --load-model m", "choose one"),
        ("a.png --load-model m --latents 9", "leave out --latents"),
        ("benchmark a.png --json --markdown", "two forms of one table; choose one"),
        ("benchmark a.png --skip-existing", "--skip-existing is about the report here; it needs"),
        ("benchmark a.png --overwrite", "--overwrite is about the report here; it needs"),
        ("benchmark a.png --overwrite --skip-existing --report r.csv", "exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    command: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))
    before = snapshot(Path())
    assert run(command) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert len(err.splitlines()) == 1
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ("-r", "note: --recursive does nothing here: no input is a folder"),
        ("-j 2", "note: --jobs does nothing here: there is one image, which has all cores"),
        ("--fail-fast", "note: --fail-fast does nothing here: there is one image"),
        ("--stack joint", "note: --stack joint did nothing: no image has several pages"),
        ("--time-limit 1e-3", "note: the time limit of 0.001 s was too short for start-up"),
    ],
)
def test_what_does_nothing_is_mentioned(
    options: str, note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"a.png {options} {QUICK}") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(lines) == 1
    assert lines[0].startswith(note)


def test_nothing_is_mentioned_without_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"a.png --time-limit 60 --threads 1 --stack pages {QUICK}") == 0
    assert "note" not in capsys.readouterr().err
    assert run("shots -r -j 2 --fail-fast --dry-run") == 0
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize("files", ["a.png -o out/a.png", "shots -o out"])
def test_a_skipped_image_gets_nothing_new_and_that_is_said(
    files: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    PillowImage.fromarray(GRAY).save("out/a.png")
    PillowImage.fromarray(GRAY).save("out/b.png")
    beside = "--figure f.png --residual r.tif" if "a.png" in files else "--figure f --residual r"
    assert run(f"{files} --skip-existing {beside} --reference a.png") == 0
    err = capsys.readouterr().err
    missing = "r.tif" if "a.png" in files else "r/b.tif"
    assert f"note: {missing} and 1 file more: not there, and not made" in err
    assert "note: 1 image skipped and not measured; evodenoise compare does that" in err


def test_threads_on_a_gpu_are_mentioned() -> None:
    job = Job(Path("a.png"), Path("b.png"), Path("a.png"))
    settings = RunSettings(threads=2)
    known: dict[str, Any] = {"pages": 1, "wall_seconds": 1.0}
    for device, notes in (("cpu", 0), ("cuda:0", 1)):
        ledger = Ledger(settings)
        ledger.records[job] = {**bare_record(job, settings, Status.DONE), **known, "device": device}
        assert len(list(list_notes(ledger))) == notes


def test_one_thing_is_counted_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("shots/notes.txt").touch()
    assert run("shots --dry-run") == 0
    assert (
        "1 to do, 1 file passed over; about 5 s on one core; nothing was done"
        in capsys.readouterr().err
    )
    Path("shots/b.png").unlink()
    assert run("shots") == 2
    assert "no images found (1 file passed over)" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_noise_level_is_refused_in_one_sentence_whatever_it_is(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"a.png --sigma {value}") == 2
    sentence = f"noise level is {float(value)}; it must be a finite number above 0"
    assert capsys.readouterr().err == f"evodenoise: error: {sentence}\n"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--gain 0", "gain is 0.0; it must be a finite number above 0"),
        ("--gain nan", "gain is nan; it must be a finite number above 0"),
        ("--gain 1 --readout -1", "readout is -1.0; it must be a finite number, at least 0"),
        ("--readout 2", "readout belongs to photon noise and needs a gain"),
        ("--gain 1 --sigma 5", "sigma says that the noise has one level, gain that it has not"),
        ("--strength 0", "strength is 0.0; it must be a finite number above 0"),
        ("--strength inf", "strength is inf; it must be a finite number above 0"),
        ("--clipped both", "clipped 'both' is unknown; use one of keep, restore"),
        ("--load-model m --gain 1", "--load-model brings its own gain; leave out --gain"),
    ],
)
def test_what_makes_no_sense_of_the_noise_is_refused_in_one_line(
    options: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"a.png {options}") == 2
    err = capsys.readouterr().err
    assert reason in err
    assert err.startswith("evodenoise: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("stream", "command", "reason"),
    [
        ("stdin", "-", "-: stdin is closed; redirect a file to it, or name one"),
        ("stdout", "a.png -o -", "stdout is closed; redirect it to a file, or add -o"),
    ],
)
def test_a_closed_stream_is_refused(
    stream: str,
    command: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which Python knows as None."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, stream, None)
        if stream == "stdin":  # or its image would go to stdout
            command += " -o b.png"
        assert run(command) == 2
    assert capsys.readouterr().err == f"evodenoise: error: {reason}\n"
