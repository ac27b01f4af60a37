"""Many images by the command: nothing lost, nothing done twice, figures at the end."""

import csv
import json
import re
import shlex
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from files import GRAY, snapshot
from kill_test import finish, kill_and_restart, make_images, start
from pictures import add_noise, as_dtype, psnr, wave
from PIL import Image as PillowImage

from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline
from evodenoise.evaluation.figures import GAP, THUMBNAIL_SIDE
from evodenoise.images.conversion import FileSettings
from evodenoise.jobs.contact_sheets import draw_contact_sheets
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.records import COLUMNS, Status, bare_record

QUICK = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --threads 1 --refine none"
CLEAN = as_dtype(wave(16, 20), "uint8")


def run(command: str) -> int:
    return main(shlex.split(command))


def load(path: str) -> np.ndarray:
    with PillowImage.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with noisy images, a bad one, and things that are no images."""
    monkeypatch.chdir(tmp_path)
    for name in ("noisy/a.png", "noisy/deep/b.png"):
        for folder, pixels in (("", as_dtype(add_noise(CLEAN), "uint8")), ("gt/", CLEAN)):
            path = Path(folder + name.replace("noisy/", "") if folder else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            PillowImage.fromarray(pixels).save(path)
    Path("noisy/bad.png").write_text("no image")
    Path("noisy/notes.txt").touch()
    return tmp_path


def test_a_batch_from_end_to_end(shots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "-r -o out/ -j 2 --reference gt --report r.csv --figure figures --residual taken"
    assert run(f"noisy {options} --json {QUICK}") == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    rows = {row["input"]: row for row in document["files"]}
    assert list(rows) == ["noisy/a.png", "noisy/bad.png", "noisy/deep/b.png"]
    assert [row["status"] for row in rows.values()] == ["done", "failed", "done"]
    assert "is not a PNG" in rows["noisy/bad.png"]["error"]
    summary = document["summary"]
    assert (summary["done"], summary["failed"], summary["passed_over"]) == (2, 1, 1)
    assert re.search(r"2 done, 1 failed, 1 file passed over", err)

    noisy, denoised = load("noisy/deep/b.png"), load("out/deep/b.png")
    row = rows["noisy/deep/b.png"]
    assert list(row) == list(COLUMNS)
    assert row["psnr"] == pytest.approx(psnr(CLEAN, denoised))
    assert row["psnr_noisy"] == pytest.approx(psnr(CLEAN, noisy))
    assert (row["width"], row["height"], row["channels"], row["threads"]) == (20, 16, 1, 1)
    assert row["peak_memory"] is None or row["peak_memory"] > 10**7
    assert summary["psnr"] == pytest.approx(row["psnr"])  # both images are the same
    np.testing.assert_array_equal(
        tifffile.imread("taken/deep/b.tif"), noisy.astype("f4") - denoised
    )
    pictures = [str(path) for path in sorted(Path("figures").rglob("*.png"))]
    assert pictures == ["figures/a.png", "figures/contact_sheet.png", "figures/deep/b.png"]
    with Path("r.csv").open() as stream:
        assert [each["status"] for each in csv.DictReader(stream)] == ["done", "failed", "done"]

    # A file alone gives the same bytes, and a restart does what is left and nothing else.
    assert run(f"noisy/a.png -o alone.png -q {QUICK}") == 0
    assert Path("alone.png").read_bytes() == Path("out/a.png").read_bytes()
    before = snapshot(shots / "out")
    PillowImage.fromarray(GRAY).save("noisy/bad.png")
    capsys.readouterr()
    assert run(f"noisy -r -o out/ --report r.csv --skip-existing {QUICK}") == 0
    assert "1 done, 2 skipped" in capsys.readouterr().err
    after = snapshot(shots / "out")
    assert {**after, **before} == after
    assert set(after) - set(before) == {"bad.png"}
    with Path("r.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [each["status"] for each in rows] == ["done"] * 3
    assert float(rows[2]["psnr"]) == summary["psnr"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_killed_and_started_again(tmp_path: Path) -> None:
    """The large version is run by hand: kill_test.py."""
    kill_and_restart(tmp_path, images=2, kills=1, report="r.jsonl", seed=3)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are a thing of Unix")
def test_ctrl_c_finishes_what_was_begun(tmp_path: Path) -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        make_images(tmp_path / "noisy", 3)
        process = start(tmp_path, "out", "r.csv", "--epochs", "40")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert process.stderr
    assert b"image000.png: noise level" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert b"stopping: the images that have been begun are finished" in errors
    assert b"Traceback" not in errors
    with (tmp_path / "r.csv").open() as stream:
        statuses = [row["status"] for row in csv.DictReader(stream)]
    done = statuses.count("done")
    assert statuses == ["done"] * done + ["pending"] * (3 - done)
    assert done < 3
    assert len(list((tmp_path / "out").iterdir())) == done
    finish(start(tmp_path, "out", "r.csv", "--skip-existing"))
    with (tmp_path / "r.csv").open() as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["done"] * 3


# --- what needs no worker


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))


@pytest.mark.usefixtures("shots", "no_training")
def test_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/deep").mkdir(parents=True)
    Path("out/deep/b.png").touch()
    before = snapshot(Path())
    assert run("noisy -r -o out --skip-existing --dry-run") == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "noisy/a.png -> out/a.png",
        "noisy/bad.png: would fail: is not a PNG, JPEG, TIFF, WebP, BMP, NPY or FITS image",
        "noisy/deep/b.png -> out/deep/b.png  (is there: skipped)",
    ]
    assert "1 to do, 1 would fail, 1 there already, 1 file passed over; about" in err
    assert snapshot(Path()) == before
    assert run("noisy -r -o out --skip-existing --dry-run --json") == 3
    document = json.loads(capsys.readouterr().out)
    assert [record["status"] for record in document["files"]] == ["pending", "failed", "skipped"]
    assert (document["files"][0]["width"], document["files"][0]["height"]) == (20, 16)
    assert document["summary"]["forecast_seconds"] > 0


@pytest.mark.usefixtures("shots")
def test_all_that_was_tried_failed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("noisy/a.png").write_text("no image either")
    assert run("noisy -o out --report r.jsonl") == 1
    err = capsys.readouterr().err
    assert "[1/2] noisy/a.png: failed: is not a PNG" in err
    assert not Path("out").exists()
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["failed", "failed"]


@pytest.mark.usefixtures("shots")
def test_fail_fast(capsys: pytest.CaptureFixture[str]) -> None:
    Path("noisy/0.png").write_text("no image either")
    assert run("noisy -o out --fail-fast --report r.jsonl") == 3
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["failed", "pending", "pending"]
    assert "1 failed, 2 pending" in capsys.readouterr().err


@pytest.mark.usefixtures("shots", "no_training")
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("noisy -o noisy", "is the input itself"),
        ("noisy gt/a.png -o out", "noisy/a.png and gt/a.png would both become out/a.png"),
        ("noisy -o gt", "gt/a.png: exists already; add --skip-existing"),
        ("noisy -o out --overwrite --skip-existing", "exclude each other"),
        ("noisy -o out --preset nope", "preset 'nope' is unknown"),
        ("noisy -o out --seed -1", "seed is -1"),
        ("noisy -o out --device cuda:99", "'cuda:99' is not there"),
        ("noisy -o out --reference noisy/notes", "cannot be read"),
        ("noisy -o out --report r.txt", "unknown ending of a report"),
        ("noisy -o out --report no/r.csv", "no such folder"),
        ("noisy -o out --figure f.png", "for several images name a folder"),
        ("noisy/a.png --residual r.png", "unknown ending"),
        ("noisy/a.png -o - --json", "both want stdout"),
        ("- noisy/a.png", "- stands for one image"),
        ("noisy -o out -j 0", "--jobs"),
    ],
)
def test_refuses_before_any_work(
    command: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(Path())
    code = run(command)
    out, err = capsys.readouterr()
    assert reason in err
    assert code == 2
    assert len(err.splitlines()) == 1
    if "--json" not in command:
        assert out == ""
    assert snapshot(Path()) == before


@pytest.mark.usefixtures("shots", "no_training")
def test_an_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("noisy -o noisy --json") == 2
    assert "is the input itself" in json.loads(capsys.readouterr().out)["error"]
    assert run("noisy/bad.png --json") == 2
    (row,) = json.loads(capsys.readouterr().out)["files"]
    assert row["status"] == "failed"
    assert "is not a PNG" in row["error"]


@pytest.mark.usefixtures("shots")
def test_one_image_with_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    options = f"--report r.json --figure f.png --residual r.npy --reference gt/a.png {QUICK}"
    assert run(f"noisy/a.png -o out.png --json {options}") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("r.json").read_text())
    assert np.load("r.npy").dtype == np.float32
    np.testing.assert_array_equal(
        np.load("r.npy"), load("noisy/a.png").astype("f4") - load("out.png")
    )
    with PillowImage.open("f.png") as picture:
        assert picture.width > 1000
    assert run("noisy/a.png -o out.png --report r.json --skip-existing") == 0
    assert "skipped: out.png is there" in capsys.readouterr().err
    assert json.loads(Path("r.json").read_text())["files"][0]["status"] == "done"


def test_from_stdin_to_stdout(
    shots: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (shots / "noisy/a.png").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert run(f"- {QUICK} --reference gt/a.png") == 0
    out, err = capfdbinary.readouterr()
    assert run(f"noisy/a.png -o a.png {QUICK}") == 0
    assert out == Path("a.png").read_bytes()
    assert b"PSNR" in err
    assert b"/tmp" not in err
    with (shots / "noisy/notes.txt").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert run("-") == 2
    assert b"error: -: the file is empty" in capfdbinary.readouterr().err


def test_a_contact_sheet_of_rescaled_results(tmp_path: Path) -> None:
    """Before and after look alike, though their values are of different units."""
    before = CLEAN.astype(np.uint16) * 257
    job = Job(tmp_path / "in.npy", tmp_path / "out.png", Path("in.npy"))
    np.save(job.source, before)
    PillowImage.fromarray(CLEAN).save(job.target)
    settings = RunSettings(files=FileSettings(dtype="uint8", rescale=True))
    ledger = Ledger(settings)
    ledger.ready(job, bare_record(job, settings, Status.DONE))
    draw_contact_sheets(tmp_path, ledger)
    sheet = load(str(tmp_path / "contact_sheet.png"))[GAP : GAP + THUMBNAIL_SIDE, GAP:].astype(int)
    left, right = sheet[:, :THUMBNAIL_SIDE], sheet[:, THUMBNAIL_SIDE + 2 : 2 * THUMBNAIL_SIDE + 2]
    assert np.ptp(left) > 200
    np.testing.assert_allclose(left, right, rtol=0, atol=1)
