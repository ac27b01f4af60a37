"""What is refused once for all images of a run."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage

from evodenoise.cli import main

QUICK = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --threads 1 --refine none"
NOISY = as_dtype(add_noise(wave(20, 24)), "uint8")
GAPS = np.arange(NOISY.size).reshape(NOISY.shape) % 8 == 0


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a noisy image."""
    monkeypatch.chdir(tmp_path)
    PillowImage.fromarray(NOISY).save("in.png")
    return tmp_path


def save_mask(name: str, *channels: np.ndarray) -> None:
    planes = [np.where(marked, 255, 0).astype(np.uint8) for marked in channels]
    PillowImage.fromarray(np.dstack(planes)).save(name)


def test_a_mask_whose_channels_disagree_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Red on black, for example: is red missing, or black?"""
    save_mask("red.png", GAPS, GAPS & False, GAPS & False)
    assert run(f"in.png --mask red.png {QUICK}") == 2
    assert "red.png: its 3 channels mark different pixels; save the mask as a gray" in (
        capsys.readouterr().err
    )
    assert run(f"in.png in.png -o out/ --mask red.png {QUICK}") == 2
    assert "red.png: its 3 channels mark different pixels" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_mask_whose_channels_agree_is_as_good_as_a_gray_one() -> None:
    save_mask("rgb.png", GAPS, GAPS, GAPS)
    PillowImage.fromarray(GAPS).save("gray.png")
    for name in ("rgb", "gray"):
        assert run(f"in.png -o {name}_out.png --mask {name}.png {QUICK}") == 0
    assert Path("rgb_out.png").read_bytes() == Path("gray_out.png").read_bytes()
