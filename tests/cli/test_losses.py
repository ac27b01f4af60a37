"""What is said where more than noise was taken away, and how sure a result is."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage

from evodenoise.cli import main

QUICK = [
    *("--epochs", "2", "--latents", "16", "--hidden", "16", "--states", "4"),
    *("--device", "cpu", "--threads", "1", "--refine", "gaussian"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a picture and a plain one."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, clean in {"picture": wave(40, 40), "plain": np.full((40, 40), 128.0)}.items():
        PillowImage.fromarray(as_dtype(add_noise(clean, 8), "uint8")).save(f"in/{name}.png")
    return tmp_path


def test_a_picture_that_was_smoothed_away_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Two epochs teach a model nothing of it."""
    assert main(["in/picture.png", "-o", "a.png", *QUICK]) == 0
    err = capsys.readouterr().err
    assert err.count("note: structure was removed in ") == 1
    assert "% of the picture, or the noise is not what it was taken for; --residual" in err
    assert main(["in/plain.png", "-o", "b.png", *QUICK]) == 0
    assert "structure" not in capsys.readouterr().err


@pytest.mark.usefixtures("forked_workers")
def test_records_tell_how_sure_results_are(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["-o", "out/", "--uncertainty", "page", "--format", "tif", "-j", "1", "--json"]
    assert main(["in/picture.png", "in/plain.png", *options, *QUICK]) == 0
    out, err = capsys.readouterr()
    picture, plain = json.loads(out)["files"]
    assert f"{100 * picture['structured']:.0f} % of in/picture.png, or" in err
    assert picture["structured"] > plain["structured"]
    for record in (picture, plain):
        with tifffile.TiffFile(record["output"]) as file:
            std = file.pages[1].asarray()
        expected = 20 * np.log10(255 / np.sqrt(np.mean(std.astype(float) ** 2)))
        assert record["estimated_psnr"] == pytest.approx(expected)
        assert f"PSNR about {expected:.1f} dB (estimated)" in err


def test_error_bars_need_a_file_that_holds_them(capsys: pytest.CaptureFixture[str]) -> None:
    for options, reason in {
        "page": "a.png: --uncertainty page needs a TIFF result; add --format tif",
        "u.png": "u.png: unknown ending; use .tif or .tiff or .npy",
        "in/u.tif": "in/u.tif: exists already",
    }.items():
        Path("in/u.tif").touch()
        command = ["in/picture.png", "-o", "a.png", "--uncertainty", options]
        assert main([*command, *QUICK]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert reason in err
        assert main([*command, "--dry-run"]) == 2
        capsys.readouterr()
    assert not Path("a.png").exists()
    assert main(["in/picture.png", "-o", "a.tif", "--uncertainty", "a.tif", *QUICK]) == 2
    assert "a.tif: would be written twice" in capsys.readouterr().err
