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
    ],
)
def test_an_example_measures_a_picture(name: str, options: str, said: str, tmp_path: Path) -> None:
    clean = tmp_path / "clean.png"
    Image.fromarray(as_dtype(wave(20, 24), "uint8")).save(clean)
    command = [sys.executable, str(EXAMPLES / name), str(clean), *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


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
