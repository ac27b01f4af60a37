"""The examples run, on pictures small enough."""

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from pictures import as_dtype, wave
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a script as Python does, but here, where torch is loaded already; return what it says."""

    def run_script(script: Path, options: str = "") -> str:
        monkeypatch.setattr(sys, "argv", [str(script), *options.split()])
        capsys.readouterr()
        runpy.run_path(str(script), run_name="__main__")
        return capsys.readouterr().out

    threads = torch.get_num_threads()
    yield run_script
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("convergence.py", "--epochs 1 --budgets 1 --preset fast", "paper, epoch   1:"),
        ("missing_pixels.py", "--refine none", " dB, noise level "),
        ("mixture_pilot.py", "--components 3 --iterations 2 --preset fast", "autoencoder"),
    ],
)
def test_an_example_measures_a_picture(
    name: str, options: str, said: str, tmp_path: Path, run: Run
) -> None:
    clean = tmp_path / "clean.png"
    Image.fromarray(as_dtype(wave(14, 16), "uint8")).save(clean)
    assert said in run(EXAMPLES / name, f"{clean} {options}")


def test_weights_of_mixing_are_learned_from_pictures_that_come_with_scikit_image(run: Run) -> None:
    """Two pictures: what is learned from one is tried on the other."""
    options = "--pictures coins,brick --levels 25 --side 32 --epochs 1"
    said = run(EXAMPLES / "learn_mixing.py", options)
    for refinement in ("gaussian", "quick", "full"):
        assert re.search(rf"^{refinement}: [+-][\d.]+ dB in the mean", said, re.MULTILINE)
    assert len(re.findall(r"^  (coins|brick) +[+-][\d.]+$", said, re.MULTILINE)) == 6


def test_the_library_example_writes_a_better_picture(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a part of its pictures."""
    examples = tmp_path / "examples"
    examples.mkdir()
    script = Path(shutil.copy(EXAMPLES / "denoise_in_python.py", examples))
    for name in ("noisy.png", "clean.png"):
        with Image.open(EXAMPLES / name) as picture:
            assert picture.size == (160, 160)
            picture.crop((52, 52, 108, 108)).save(examples / name)
    monkeypatch.chdir(tmp_path)
    before, after = re.findall(r"([\d.]+) dB", run(script))
    assert float(after) > float(before) + 8
    with Image.open(tmp_path / "denoised.png") as picture:
        assert picture.size == (56, 56)


def test_a_dask_array_is_denoised_block_by_block(tmp_path: Path, run: Run) -> None:
    """A smaller one, of four blocks too."""
    pytest.importorskip("dask.array")
    source = (EXAMPLES / "dask_array.py").read_text(encoding="utf-8")
    sizes = "SIDE, BLOCK, OVERLAP, SIGMA = 192, 96, 16, 0.1\n"
    assert sizes in source
    script = tmp_path / "dask_array.py"
    script.write_text(source.replace(sizes, sizes.replace("192, 96", "80, 40")), encoding="utf-8")
    before, after = map(float, re.findall(r"0\.\d+", run(script)))
    assert after < before / 3


def test_known_noise_is_compared_with_what_is_read(run: Run) -> None:
    """A row each for nine sorts of noise; white noise of a small picture is read well."""
    said = run(EXAMPLES / "noise_estimates.py", "--pictures camera --side 96")
    header, _, *rows = [line.strip("| ").split(" | ") for line in said.splitlines()]
    assert header[:4] == ["picture", "noise", "level", "read"]
    assert len(rows) == 9
    name, noise, level, read, away, *_ = rows[1]
    assert (name, noise, level) == ("camera", "white, 25", "25")
    value, error = map(float, read.split(" ± "))
    assert value == pytest.approx(25, rel=0.1)
    assert 0 < error < 5
    assert float(away) == pytest.approx((value - 25) / error, abs=0.6)


def test_the_table_of_noise_refuses_unknown_pictures() -> None:
    """As a process of its own, as users run examples."""
    command = [sys.executable, str(EXAMPLES / "noise_estimates.py"), "--pictures", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "choose from camera, coins" in done.stderr
