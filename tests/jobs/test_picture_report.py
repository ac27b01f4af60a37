"""A report to look at grows with the run, and a later run goes on with it."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from kill_test import make_images

from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline
from evodenoise.evaluation.views import Views
from evodenoise.jobs import picture_report
from evodenoise.jobs.page import read_page

QUICK = "--preset fast --latents 16 --hidden 16 --states 4 --device cpu --threads 1 --epochs 1"


def run(command: str) -> int:
    return main(shlex.split(command))


def entries(path: str) -> dict[str, tuple[dict[str, Any], Views | None]]:
    found = read_page(Path(path).read_text(encoding="utf-8"))
    return {Path(record["input"]).name: (record, views) for record, views in found}


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work beside a folder with two noisy images, one of an unkind name."""
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "noisy", 2)
    Path("noisy/image001.png").rename("noisy/<b>.png")
    return tmp_path


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))


@pytest.fixture
def copied(shots: Path) -> Path:
    """Pretend that an earlier run without a report has denoised all."""
    shutil.copytree("noisy", "out")
    return shots


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.usefixtures("shots")
def test_a_batch_with_several_reports_and_one_that_goes_on_with_them() -> None:
    Path("noisy/bad.png").write_text("nothing")
    assert run(f"noisy -o out --report r.html --report r.csv -j 1 {QUICK}") == 3
    first = entries("r.html")
    assert {name: each["status"] for name, (each, _) in first.items()} == {
        "<b>.png": "done", "bad.png": "failed", "image000.png": "done",
    }  # fmt: skip
    assert [views is None for _, views in first.values()] == [False, True, False]
    assert first["<b>.png"][0]["noise_std"] > 0
    assert Path("r.csv").read_text().count("\n") == 4
    # Going on makes only what is left, and keeps what the page told and showed.
    Path("noisy/bad.png").unlink()
    shutil.copy("noisy/image000.png", "noisy/new.png")
    assert run(f"noisy -o out --report r.html --report r.jsonl --skip-existing -j 1 {QUICK}") == 0
    second = entries("r.html")
    assert list(second) == ["<b>.png", "image000.png", "new.png"]
    for name in ("<b>.png", "image000.png"):
        assert second[name] == first[name]
    assert second["new.png"][1] is not None
    lines = list(map(json.loads, Path("r.jsonl").read_text().splitlines()))
    assert lines == [record for record, _ in second.values()]
    assert not list(Path().glob(".evodenoise-*"))


@pytest.mark.usefixtures("copied", "no_training")
def test_results_of_earlier_runs_are_drawn_from_their_files() -> None:
    assert run("noisy -o out --report r.html --skip-existing") == 0
    for record, views in entries("r.html").values():
        assert record["status"] == "skipped"
        assert views is not None
        assert (views.noisy.width, views.noisy.height) == (24, 24)


@pytest.mark.usefixtures("copied", "no_training")
def test_one_image_whose_result_is_there() -> None:
    source = shlex.quote("noisy/<b>.png")
    assert run(f"{source} -o out/image000.png --report r.html --skip-existing") == 0
    assert entries("r.html")["<b>.png"][1] is not None


@pytest.mark.usefixtures("copied", "no_training")
def test_shards_have_pages_of_their_own_which_are_gathered() -> None:
    for number in range(2):
        assert run(f"noisy -o out --report r.html --skip-existing --shard {number}/2") == 0
    parts = [entries(f"r.{number}-of-2.html") for number in range(2)]
    assert sum(map(len, parts)) == 2
    shutil.rmtree("noisy")  # so that nothing can be drawn anew
    make_images(Path("noisy"), 1)
    assert run("noisy -o out --report r.html --skip-existing") == 0
    assert entries("r.html") == parts[0] | parts[1]


@pytest.mark.usefixtures("shots")
def test_one_image_with_a_page() -> None:
    assert run(f"noisy/image000.png -o a.png --report r.html {QUICK}") == 0
    ((record, views),) = entries("r.html").values()
    assert record["status"] == "done"
    assert views is not None


@pytest.mark.usefixtures("shots", "no_training")
def test_one_image_that_fails_is_in_the_page() -> None:
    Path("bad.png").write_text("nothing")
    assert run("bad.png -o a.png --report r.html") == 2
    ((record, views),) = entries("r.html").values()
    assert "is not a PNG" in record["error"]
    assert views is None


@pytest.mark.usefixtures("copied", "no_training")
def test_records_that_were_held_back_are_there_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_report, "WRITING_SHARE", 1e-9)
    assert run("noisy -o out --report r.html --skip-existing") == 0
    assert len(entries("r.html")) == 2


@pytest.mark.usefixtures("shots", "no_training")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--report r.csv --report r.csv", "--report r.csv is given 2 times"),
        ("--report r.csv --report r.txt", "unknown ending of a report; use one of .json, .jsonl,"),
        ("--report r.csv --report there.html", "there.html: exists already"),
        ("--report there.html --skip-existing", "there.html: is not a report to go on with"),
    ],
)
def test_refusals(options: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.html").write_text("<html></html>")
    assert run(f"noisy -o out {options}") == 2
    assert reason in capsys.readouterr().err
    assert not Path("r.csv").exists()


@pytest.mark.usefixtures("copied", "no_training")
@pytest.mark.parametrize(
    ("old", "new"), [('"noise_std": null', '"noise_std": "<b>"'), ('"seed"', '"other"')]
)
def test_a_page_with_other_contents_is_not_gone_on_with(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("noisy -o out --report r.html --skip-existing") == 0
    text = Path("r.html").read_text()
    assert old in text
    Path("r.html").write_text(text.replace(old, new))
    assert run("noisy -o out --report r.html --skip-existing") == 2
    assert "r.html: is a report with other columns" in capsys.readouterr().err
