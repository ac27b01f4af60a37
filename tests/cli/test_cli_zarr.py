"""The command on OME-Zarr: a folder that is one image, and appears whole or not at all."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from files import GRAY, snapshot
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage
from stores import documents, make_store, values_of

from evodenoise.cli import main
from evodenoise.images import ome_zarr

QUICK = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --refine none"
NOISY = as_dtype(add_noise(wave(24, 28)), "uint16")


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a store."""
    monkeypatch.chdir(tmp_path)
    make_store(Path("in.zarr"), [NOISY[None, None], NOISY[None, None, ::2, ::2]], "czyx")
    return tmp_path


def test_a_store_is_denoised_with_all_that_is_beside_it() -> None:
    before = snapshot(Path("in.zarr"))
    beside = "--residual r.npy --figure f.png --save-model m.safetensors --report r.json"
    assert run(f"in.zarr/ -o out.zarr {beside} {QUICK}") == 0
    assert snapshot(Path("in.zarr")) == before
    assert documents(Path("out.zarr")) == documents(Path("in.zarr"))
    result = values_of(Path("out.zarr"))[0, 0].astype(float)
    assert 0 < np.abs(result - NOISY).mean() < 60
    np.testing.assert_allclose(np.load("r.npy"), NOISY - result)
    blocks = result.reshape(12, 2, 14, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(values_of(Path("out.zarr"), "1")[0, 0], blocks, atol=0.51)
    (record,) = json.loads(Path("r.json").read_text())["files"]
    assert (record["status"], record["width"], record["height"]) == ("done", 28, 24)
    names = {path.name for path in Path().iterdir()}
    assert names == {"in.zarr", "out.zarr", "r.npy", "f.png", "m.safetensors", "r.json"}


def test_an_output_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"in.zarr {QUICK}") == 0
    result = Path("in_denoised.zarr")
    Path(result, "stale.txt").write_text("of an older run")
    before = snapshot(Path())
    assert run(f"in.zarr {QUICK}") == 2
    assert "exists already" in capsys.readouterr().err
    assert run(f"in.zarr --skip-existing {QUICK}") == 0
    assert run(f"in.zarr --overwrite --dry-run {QUICK}") == 0
    assert snapshot(Path()) == before
    assert run(f"in.zarr --overwrite -o in_denoised.zarr/ {QUICK}") == 0
    assert not Path(result, "stale.txt").exists()
    assert {path.name for path in Path().iterdir()} == {"in.zarr", "in_denoised.zarr"}


@pytest.mark.usefixtures("forked_workers")
def test_a_folder_of_stores_and_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever lies in a store is a part of it."""
    Path("shots", "sub").mkdir(parents=True)
    Path("in.zarr").rename("shots/sub/a.zarr")
    make_store(Path("shots/b.zarr"), [NOISY], "yx", zarr_format=2)
    PillowImage.fromarray(GRAY).save("shots/c.png")
    PillowImage.fromarray(GRAY).save("shots/b.zarr/thumbnail.png")
    make_store(Path("shots/no_ending"), [NOISY], "yx")
    PillowImage.fromarray(GRAY).save("shots/no_ending/thumbnail.png")
    assert run(f"shots -r -o clean --format zarr --jobs 1 {QUICK}") == 0
    assert documents(Path("clean/sub/a.zarr")) == documents(Path("shots/sub/a.zarr"))
    assert documents(Path("clean/b.zarr")) == documents(Path("shots/b.zarr"))
    assert values_of(Path("clean/c.zarr")).shape == GRAY.shape
    assert {path.name for path in Path("clean").iterdir()} == {"sub", "b.zarr", "c.zarr"}
    assert run(f"'shots/*.zarr' -o clean --skip-existing {QUICK}") == 0
    assert "1 skipped" in capsys.readouterr().err


def test_references_are_stores_too() -> None:
    assert run(f"in.zarr -o out.zarr --reference in.zarr {QUICK}") == 0
    assert run("compare in.zarr out.zarr") == 0
    assert run("info in.zarr") == 0


REFUSED = {
    "in.zarr -o in.zarr --overwrite": "is the input itself",
    "in.zarr -o in.zarr/clean.tif": "lie in each other",
    "in.zarr/0 -o in.zarr --overwrite": "lie in each other",
    "in.zarr -o other.zarr --overwrite": "is there, and no Zarr image",
    "in.zarr picture.png -o out.zarr": "names one image",
    "picture.zarr -o out.zarr": "is not a PNG",
    "absent.zarr -o out.zarr": "cannot be read",
    "in.zarr -o -": "stdout cannot take; --format tif can",
    "empty.zarr -o out.zarr": "holds no Zarr data",
}


@pytest.mark.parametrize("command", REFUSED)
def test_refusals_come_before_any_work(capsys: pytest.CaptureFixture[str], command: str) -> None:
    Path("other.zarr").mkdir()
    Path("empty.zarr").mkdir()
    Path("other.zarr", "thesis.txt").write_text("the only copy")
    PillowImage.fromarray(GRAY).save("picture.png")
    Path("picture.zarr").write_text("a file")
    before = snapshot(Path())
    assert run(f"{command} {QUICK}") == 2
    err = capsys.readouterr().err
    assert REFUSED[command] in err
    assert err.count("\n") == 1
    assert snapshot(Path()) == before


def test_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    PillowImage.fromarray(GRAY).save("in.png")
    for command in ("in.zarr", "in.png -o out.zarr"):
        assert run(f"{command} {QUICK}") == 2
        err = capsys.readouterr().err
        assert "python -m pip install 'evodenoise[zarr]'" in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("output", ["out.zarr", "old.zarr --overwrite"])
def test_a_disk_that_fills_up_half_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    make_store(Path("old.zarr"), [NOISY], "yx")
    before = snapshot(Path())
    shrink, calls = ome_zarr.shrink, []

    def fail_in_the_end(*arguments: object) -> np.ndarray:
        calls.append(1)
        if len(calls) == 2:  # after the rehearsal
            raise OSError(28, "No space left on device")
        return shrink(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ome_zarr, "shrink", fail_in_the_end)
    assert run(f"in.zarr -o {output} {QUICK}") == 1
    assert "cannot be written: No space left" in capsys.readouterr().err
    assert snapshot(Path()) == before


KILLED = """
import os, signal
from pathlib import Path
from evodenoise.images import ome_zarr, read_image, write_image

image = read_image(Path("in.zarr"))
ome_zarr.shrink = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_image(Path("out.zarr"), image)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are a thing of Unix")
def test_a_killed_run_leaves_no_half_result_and_the_next_one_nothing_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    assert not Path("out.zarr").exists()
    assert len(list(Path().iterdir())) == 2  # with what it had begun, hidden
    assert run(f"in.zarr -o out.zarr {QUICK}") == 0
    assert {path.name for path in Path().iterdir()} == {"in.zarr", "out.zarr"}
