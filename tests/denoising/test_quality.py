"""How good the pictures are: every preset on a small crop, held to a floor in dB.

A floor lies 0.3 dB below what the preset reached when it was written down; seeds differ by 0.1 dB
at most (0.4 dB for the published settings). What each part of the method gives, in dB:

- refinement: 0.7 (fast) to 1.5 (balanced), of which low-rank groups 0.6 (balanced);
- precision as the weight of overlapping patches 0.4, the covariance 0.7 (fast, unrefined, print).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pictures import Array, add_noise, psnr
from skimage import data

from evodenoise.config.presets import preset_config
from evodenoise.config.settings import Refinement
from evodenoise.denoising.denoise import denoise


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


TRIPOD = data.camera()[208:256, 258:306]
COAT = data.camera()[200:264, 250:314]
PRINT = data.page()[100:164, 200:264]
FACE = data.astronaut()[60:108, 180:228]


@pytest.mark.parametrize(
    ("preset", "crop", "noise_std", "changes", "floor"),
    [
        pytest.param("fast", COAT, 25.0, {}, 27.55, id="fast"),
        pytest.param("fast", FACE, 25.0, {}, 29.04, id="fast, colour"),
        # Refinement mends much of what goes wrong before it.
        pytest.param(
            "fast", PRINT, 15.0, {"refinement": Refinement.NONE}, 31.84, id="fast, unrefined"
        ),
        pytest.param("balanced", TRIPOD, 25.0, {}, 27.38, id="balanced"),
        # Fewer epochs than usual, for the sake of time.
        pytest.param("best", TRIPOD, 25.0, {"epochs": 40}, 27.44, id="best"),
        pytest.param("paper", TRIPOD[2:34, 2:34], 25.0, {"epochs": 10}, 27.3, id="paper"),
    ],
)
def test_a_preset_reaches_its_floor(
    preset: str, crop: Array, noise_std: float, changes: dict[str, Any], floor: float
) -> None:
    clean = crop.astype(np.float64)
    config = replace(preset_config(preset, clean.shape), noise_std=noise_std, **changes)
    result = denoise(add_noise(clean, noise_std), config, rng=0)
    assert psnr(clean, result.image) > floor
