"""The examples run, on pictures small enough."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import as_dtype, wave
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("convergence.py", "--epochs 1 --budgets 1 --preset fast", "paper, epoch   1:"),
        ("missing_pixels.py", "--refine none", " dB, noise level "),
        ("mixture_pilot.py", "--components 3 --iterations 2 --preset fast", "autoencoder"),
    ],
)
def test_an_example_measures_a_picture(name: str, options: str, said: str, tmp_path: Path) -> None:
    clean = tmp_path / "clean.png"
    Image.fromarray(as_dtype(wave(20, 24), "uint8")).save(clean)
    command = [sys.executable, str(EXAMPLES / name), str(clean), *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_weights_of_mixing_are_learned_from_pictures_that_come_with_scikit_image() -> None:
    """Two pictures: what is learned from one is tried on the other."""
    options = "--pictures coins,brick --levels 25 --side 32 --epochs 1"
    command = [sys.executable, str(EXAMPLES / "learn_mixing.py"), *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for refinement in ("gaussian", "quick", "full"):
        assert re.search(rf"^{refinement}: [+-][\d.]+ dB in the mean", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^  (coins|brick) +[+-][\d.]+$", done.stdout, re.MULTILINE)) == 6


def test_the_library_example_writes_a_better_picture(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "denoise_in_python.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    before, after = re.findall(r"([\d.]+) dB", done.stdout)
    assert float(after) > float(before) + 8
    with Image.open(tmp_path / "denoised.png") as picture:
        assert picture.size == (160, 160)


def test_a_dask_array_is_denoised_block_by_block() -> None:
    pytest.importorskip("dask.array")
    command = [sys.executable, str(EXAMPLES / "dask_array.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    before, after = map(float, re.findall(r"0\.\d+", done.stdout))
    assert after < before / 3


def test_known_noise_is_compared_with_what_is_read() -> None:
    """A row each for nine sorts of noise; white noise of a small picture is read well."""
    options = ["--pictures", "camera", "--side", "96"]
    command = [sys.executable, str(EXAMPLES / "noise_estimates.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    header, _, *rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    assert header[:4] == ["picture", "noise", "level", "read"]
    assert len(rows) == 9
    name, noise, level, read, away, *_ = rows[1]
    assert (name, noise, level) == ("camera", "white, 25", "25")
    value, error = map(float, read.split(" ± "))
    assert value == pytest.approx(25, rel=0.1)
    assert 0 < error < 5
    assert float(away) == pytest.approx((value - 25) / error, abs=0.6)


def test_the_table_of_noise_refuses_unknown_pictures() -> None:
    command = [sys.executable, str(EXAMPLES / "noise_estimates.py"), "--pictures", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "choose from camera, coins" in done.stderr
