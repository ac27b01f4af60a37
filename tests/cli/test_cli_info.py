"""`evodenoise info`: what is read of a file."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from files import REFUSED_FILES
from kinds import JPEGS, SAME, write
from pictures import add_noise, as_dtype, wave

from evodenoise.cli import main


def run(command: str) -> int:
    return main(shlex.split(command))


def described(capsys: pytest.CaptureFixture[str], command: str) -> dict[str, Any]:
    assert run(f"info --json {command}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    (found,) = json.loads(out)["files"]
    return found


def test_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = np.stack([as_dtype(add_noise(wave(64, 48), 10, seed=k), "uint16") for k in range(3)])
    tifffile.imwrite(tmp_path / "in.tif", pages, imagej=True, metadata={"axes": "TYX"})
    found = described(capsys, f"{tmp_path}/in.tif")
    assert found["noise"] == [pytest.approx(10, rel=0.1)]
    assert found["noise_is_white"]
    expected = {
        "format": "TIFF",
        "dtype": "uint16",
        "shape": [3, 64, 48],
        "axes": "TYX",
        "pages": 3,
        "height": 64,
        "width": 48,
        "channels": 1,
        "opacity": False,
        "minimum": int(pages.min()),
        "maximum": int(pages.max()),
        "missing": 0,
        "warnings": [],
    }
    assert expected.items() <= found.items()
    assert "ImageJ metadata" in found["metadata"]


def test_axes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "in.npy", np.zeros((3, 16, 18)))
    assert described(capsys, f"{tmp_path}/in.npy")["pages"] == 3
    found = described(capsys, f"{tmp_path}/in.npy --axes cyx")
    assert (found["pages"], found["channels"], found["axes"]) == (1, 3, "CYX")


def test_noise_around_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = add_noise(wave(64, 48), 10)
    pixels[5:9, 5:9] = np.nan
    np.save(tmp_path / "in.npy", pixels)
    found = described(capsys, f"{tmp_path}/in.npy")
    assert found["noise"] == [pytest.approx(10, rel=0.2)]
    assert found["missing"] == 16


def test_values_that_are_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.ones((16, 18), np.float32)
    pixels[0, :2] = np.nan, np.inf
    np.save(tmp_path / "in.npy", pixels)
    found = described(capsys, f"{tmp_path}/in.npy")
    assert (found["missing"], found["minimum"], found["maximum"]) == (2, 1, 1)


@pytest.mark.parametrize("name", ["tif OME", "png with texts", "webp with metadata", "fits stack"])
def test_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = write(name, SAME[name], tmp_path)
    assert run(f"info {path}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    names = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert names == ["file", "format", "size", "array", "channels", "values", "noise", "metadata"]


def test_what_is_wrong_with_a_jpeg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("jpg RGB", JPEGS["jpg RGB"], tmp_path)
    assert run(f"info {path}") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "warning JPEG noise is correlated" in out
    assert "metadata EXIF, XMP, ICC profile, comment, resolution" in out


@pytest.mark.parametrize("name", ["text.png", "headless.tif", "sizes.tif", "folder.png"])
def test_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    REFUSED_FILES[name][0](tmp_path / name)
    assert run(f"info {tmp_path}/{name}") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"evodenoise: error: {tmp_path}/{name}: ")
    assert err.count("\n") == 1
