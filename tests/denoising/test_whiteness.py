"""Whether residuals are told from noise."""

import math

import numpy as np
import pytest
import torch
from pictures import add_noise, wave
from scipy.stats import chi2

from evodenoise.config.settings import DenoiseConfig, Refinement
from evodenoise.denoising.denoise import denoise
from evodenoise.denoising.whiteness import LAGS, LARGEST, structured_share


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape))


def test_the_limit_is_passed_once_in_a_thousand_times() -> None:
    assert len(LAGS) == 12
    assert chi2.sf(LARGEST, len(LAGS)) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-3, 40.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_noise_is_white(channels: int, scale: float) -> None:
    assert structured_share(scale * noise(300, 280, channels)) < 0.006


@pytest.mark.parametrize("period", [2.5, 4.0, 9.0])
def test_structure_is_found_where_it_is(period: float) -> None:
    residual = noise(160, 160, 1)
    across = torch.arange(80)
    residual[:, :80] += torch.sin(2 * math.pi / period * across)[None, :, None]
    assert 0.45 < structured_share(residual) < 0.6


def test_missing_pixels_say_nothing() -> None:
    residual = noise(160, 160, 1)
    missing = torch.rand(160, 160, generator=torch.Generator().manual_seed(0)) < 0.3
    missing[:40, :40] = True
    spoiled = residual.masked_fill(missing[..., None], 1e3)
    assert structured_share(spoiled, missing) < 0.02
    assert structured_share(spoiled) == 1


def test_a_picture_smaller_than_a_window_is_not_judged() -> None:
    assert math.isnan(structured_share(noise(15, 80, 1)))


def test_a_picture_that_was_smoothed_away_shows() -> None:
    """By a model that had no time to learn it; of a plain one nothing is lost."""
    config = DenoiseConfig(
        epochs=3,
        latents=16,
        hidden=(16,),
        states=4,
        patch_size=6,
        refinement=Refinement.GAUSSIAN,
        device="cpu",
    )
    picture, plain = wave(48, 48), np.full((48, 48), 128.0)
    lost, kept = (denoise(add_noise(clean, 8), config).structured for clean in (picture, plain))
    assert lost > 0.5
    assert kept < 0.2
