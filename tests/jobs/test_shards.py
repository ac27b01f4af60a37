"""Shards of a folder: each image in one of them, whoever asks; their records stay apart."""

import csv
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from kill_test import QUICK, make_images

from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline
from evodenoise.errors import ConfigError
from evodenoise.jobs.shards import Shard, list_shard_reports


def run(command: str) -> int:
    return main(shlex.split(command))


def rows(path: str) -> dict[str, dict[str, str]]:
    with Path(path).open() as stream:
        return {row["input"]: row for row in csv.DictReader(stream)}


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work beside a folder with six noisy images, two of them in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "noisy", 6)
    Path("noisy/deep").mkdir()
    for name in ("image004.png", "image005.png"):
        Path("noisy", name).rename(Path("noisy/deep", name))
    return tmp_path


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))


def test_each_path_is_in_one_shard_and_no_shard_is_much_larger() -> None:
    paths = [Path("deep", f"{number}.png") for number in range(3000)]
    shards = [Shard(number, 3) for number in range(3)]
    assert all(sum(shard.holds(path) for shard in shards) == 1 for path in paths)
    assert all(900 < sum(map(shard.holds, paths)) < 1100 for shard in shards)


def test_another_process_finds_the_same_shard() -> None:
    code = (
        "from pathlib import Path; from evodenoise.jobs.shards import Shard\n"
        "print([Shard(1, 2).holds(Path(f'{number}.png')) for number in range(40)])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert told.strip() == str([Shard(1, 2).holds(Path(f"{number}.png")) for number in range(40)])


@pytest.mark.parametrize("text", ["3", "3/", "/3", "a/b", "-1/3", "1/3/5", "1.0/3", "", " 1/3"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(ConfigError, match="is not K/N"):
        Shard.parse(text)


@pytest.mark.usefixtures("shots", "no_training")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("noisy -o out --shard 3/3", "there is no such shard; of N shards, K is 0 to N - 1"),
        ("noisy -o out --shard 0/0", "there is no such shard"),
        ("noisy -o out --shard two", "is not K/N"),
        ("- --shard 0/2", "leave it out with -"),
        ("noisy -o out --shard 0/2 --share-model", "--load-model"),
    ],
)
def test_a_shard_that_cannot_be_is_refused_in_one_line(
    options: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert not Path("out").exists()


@pytest.mark.usefixtures("shots")
def test_shards_together_are_the_whole_and_disjoint(capsys: pytest.CaptureFixture[str]) -> None:
    listed = []
    for number in range(3):
        assert run(f"noisy -r -o out --dry-run --shard {number}/3") == 0
        listed.append(set(capsys.readouterr().out.splitlines()))
    assert run("noisy -r -o out --dry-run") == 0
    assert set.union(*listed) == set(capsys.readouterr().out.splitlines())
    assert sum(map(len, listed)) == 6


@pytest.mark.usefixtures("shots", "no_training")
@pytest.mark.parametrize("more", ["", "--dry-run"])
def test_an_empty_shard_says_so_and_all_is_well(
    more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = next(
        number for number in range(50) if not Shard(number, 50).holds(Path("image000.png"))
    )
    command = f"noisy/image000.png --shard {empty}/50 --report r.csv --json {more}"
    assert run(command) == 0
    out, err = capsys.readouterr()
    assert err == f"shard {empty}/50 is empty: none of 1 image; nothing to do\n"
    assert '"files": []' in out
    assert bool(list_shard_reports(Path("r.csv"))) == (more == "")


@pytest.mark.usefixtures("shots")
def test_shards_at_once_lose_no_record_and_a_last_run_gathers_them() -> None:
    options = f"noisy -r -o out --report r.csv --figure figures {QUICK} --epochs 1"
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "evodenoise", *options.split(), "--shard", f"{number}/2"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    told = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    assert all("contact sheets show all images" in each for each in told)
    parts = [rows("r.0-of-2.csv"), rows("r.1-of-2.csv")]
    assert not set(parts[0]) & set(parts[1])
    assert not Path("figures/contact_sheet.png").exists()

    assert run(f"{options} --skip-existing") == 0
    assert rows("r.csv") == {**parts[0], **parts[1]}
    assert all(row["status"] == "done" and row["epochs"] == "1" for row in rows("r.csv").values())
    assert list(rows("r.csv")) == [
        f"noisy/{name}" for name in (*(f"image00{k}.png" for k in range(4)), "deep/image004.png")
    ] + ["noisy/deep/image005.png"]
    assert Path("figures/contact_sheet.png").exists()


def test_reports_of_shards_are_found_and_no_others(tmp_path: Path) -> None:
    names = ["r[1].0-of-2.csv", "r[1].1-of-2.csv", "r[1].1-of-2.json", "r1.1-of-2.csv", "r[1].csv"]
    for name in (*names, "r[1].old-of-2.csv"):
        (tmp_path / name).touch()
    found = list_shard_reports(tmp_path / "r[1].csv")
    assert [path.name for path in found] == names[:2]
    assert Shard(1, 2).report(tmp_path / "r[1].csv") == found[1]
