"""A dry run says what the run would say, and leaves nothing behind."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from files import COLOUR, GRAY, snapshot
from PIL import Image as PillowImage

from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with good and bad images, where nothing is denoised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))
    PillowImage.fromarray(GRAY).save("good.png")
    PillowImage.fromarray(COLOUR).save("colour.png")
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:-40])
    np.save("zero.npy", np.array(1.0))
    np.save("complex.npy", GRAY * 1j)
    np.save("float.npy", GRAY.astype(np.float32))
    np.save("tiny.npy", GRAY[:3])
    Path("file").touch()
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "cut.png",
        "zero.npy",
        "complex.npy",
        "tiny.npy",
        "missing.png",
        "good.png -o good.png",
        "good.png -o good.png --overwrite",
        "good.png -o colour.png",
        "good.png -o nowhere/out.png",
        "good.png -o file/",
        "good.png -o file/deeper/",
        f"good.png -o {'x' * 300}/",
        f"good.png -o new/ --suffix {'x' * 300}",
        "float.npy -o new/ --format png",
        "good.png -o new/ --quality 50",
        "good.png --reference colour.png",
        "good.png --mask cut.png",
        "good.png --patch-size 11",
        "good.png --epochs 0",
        "good.png --seed -1",
        "good.png --preset nope",
        "good.png --device cuda:99",
        "good.png --load-model good.png",
        "good.png --residual nowhere/r.npy",
        "good.png colour.png -o new/ --mask cut.png",
        "good.png colour.png -o new/ --seed -1",
        "good.png colour.png -o new/ --device cuda:99",
    ],
)
def test_it_is_refused_as_the_run_is(capsys: pytest.CaptureFixture[str], command: str) -> None:
    before = snapshot(Path())
    assert run(f"{command} --dry-run") == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert snapshot(Path()) == before
    assert run(command) == 2
    expected = capsys.readouterr().err
    assert said.count("\n") == 1
    if "file/" not in command:  # there the system has words of its own
        assert said == expected
    else:
        assert said.partition("cannot be created")[0] == expected.partition("cannot be created")[0]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ("good.png colour.png", 0),
        ("good.png cut.png", 3),
        ("cut.png zero.npy", 1),
        ("good.png float.npy --format png", 3),
    ],
)
def test_the_exit_code_of_many_is_that_of_the_run(inputs: str, code: int) -> None:
    before = snapshot(Path())
    assert run(f"{inputs} -o new/deep/ --figure pictures --dry-run") == code
    assert snapshot(Path()) == before


def test_each_image_has_a_line_and_its_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    few = np.where(np.arange(GRAY.size).reshape(GRAY.shape) % 4 == 0, np.nan, GRAY)
    np.save("few.npy", few)
    np.save("many.npy", np.where(np.isnan(few), GRAY, np.nan))
    assert run("good.png few.npy many.npy complex.npy -o new/ --dry-run") == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "good.png -> new/good.png",
        "few.npy -> new/few.npy  (25 % missing)",
        "many.npy -> new/many.npy  (75 % missing)",
        "complex.npy: would fail: values of type complex128; integers or floats are needed",
    ]
    warning, summary = err.splitlines()
    assert warning.startswith("warning: many.npy: more than half of the pixels are missing")
    assert summary.startswith("3 to do, 1 would fail; about ")
    assert summary.endswith(" on one core; nothing was done")


def test_a_refusal_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cut.png --dry-run --json") == 2
    out, err = capsys.readouterr()
    assert '"status": "failed"' in out
    assert "truncated" in out
    assert err.count("\n") == 1


def test_it_knows_of_no_temporary_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("good.png").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run("- --dry-run") == 0
    assert "- -> stdout\n" in capsys.readouterr().err
