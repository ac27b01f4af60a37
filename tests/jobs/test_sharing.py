"""Kept and shared models on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from pictures import add_noise, as_dtype, psnr, wave
from PIL import Image

from evodenoise.cli import main
from evodenoise.denoising import denoise as pipeline

CLEAN = wave(32, 32)
QUICK = ["--preset", "fast", "--threads", "1", "--refine", "none"]
TRAINING = [*QUICK, "--epochs", "8", "--latents", "32", "--hidden", "32", "--patch-size", "6"]


def write(path: Path, seed: int, *, channels: int | None = None) -> Path:
    noisy = add_noise(wave(32, 32, channels=channels), 20, seed=seed)
    Image.fromarray(as_dtype(noisy, "uint8")).save(path)
    return path


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_sibling_is_denoised_by_a_kept_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, sibling = write(tmp_path / "a.png", 1), write(tmp_path / "b.png", 2)
    model, output = tmp_path / "kept.model", tmp_path / "out.png"
    assert main([str(first), *TRAINING, "--save-model", str(model)]) == 0
    epochs = []
    original = pipeline.denoise

    def note(*arguments, **named):
        result = original(*arguments, **named)
        epochs.append(len(result.history))
        return result

    monkeypatch.setattr(pipeline, "denoise", note)
    arguments = [str(sibling), "-o", str(output), *QUICK, "--load-model", str(model)]
    assert main(arguments) == 0
    assert psnr(CLEAN, read(output)) > psnr(CLEAN, read(sibling)) + 4
    assert main([*arguments, "--overwrite", "--epochs", "2"]) == 0
    assert epochs == [0, 2]
    capsys.readouterr()
    # The file is there; it is not replaced unless that is asked for.
    assert main([str(sibling), *TRAINING, "--save-model", str(model)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.usefixtures("forked_workers")
def test_many_images_share_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shots, out, model = tmp_path / "shots", tmp_path / "out", tmp_path / "kept.model"
    shots.mkdir()
    for seed in range(3):
        write(shots / f"{seed}.png", seed)
    (shots / "broken.png").write_bytes(b"no image")
    arguments = [str(shots), "-o", f"{out}/", *TRAINING, "--share-model", "-j", "1", "--json"]
    assert main([*arguments, "--save-model", str(model)]) == 3
    rows = json.loads(capsys.readouterr().out)["files"]
    assert [row["status"] for row in rows].count("done") == 3
    assert {row["epochs"] for row in rows if row["status"] == "done"} == {0}
    for seed in range(3):
        before, after = read(shots / f"{seed}.png"), read(out / f"{seed}.png")
        assert psnr(CLEAN, after) > psnr(CLEAN, before) + 4
    assert model.stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a.png", "--share-model"], "is for many images"),
        (["a.png", "b.png", "--save-model", "m"], "add --share-model"),
        (["a.png", "b.png", "--share-model", "--load-model", "m"], "choose one"),
        (["a.png", "--load-model", "m", "--latents", "32"], "leave out --latents"),
        (["a.png", "--load-model", "absent"], "cannot be read"),
        (["a.png", "--load-model", "a.png"], "not a model"),
        (["a.png", "--save-model", "."], "is a folder"),
        (["a.png", "--save-model", "nowhere/m"], "no such folder"),
        (["a.png", "c.png", "--share-model"], "differ in channels"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.png", "b.png")):
        write(Path(name), seed)
    write(Path("c.png"), 0, channels=3)
    before = sorted(tmp_path.iterdir())
    assert main([*arguments, *QUICK]) == 2
    assert reason in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
