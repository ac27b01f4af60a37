"""How the denoiser weighs the estimates of a pixel by the patches that cover it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import add_noise, wave
from torch import Tensor

from evodenoise.config.settings import Covariance, DenoiseConfig, Refinement
from evodenoise.denoising.denoise import DenoiseResult, denoise
from evodenoise.patches.aggregation import PatchAggregator

NOISE_STD = 25.0
CONFIG = DenoiseConfig(
    patch_size=5,
    latents=16,
    hidden=(16,),
    states=4,
    epochs=4,
    batch_size=128,
    noise_std=NOISE_STD,
    refinement=Refinement.NONE,
    device="cpu",
)

Added = list[tuple[Tensor, Tensor, Tensor, Tensor]]


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Added:
    """Collect what is added to an image: positions, coefficients, variances and weights."""
    parts: Added = []
    add = PatchAggregator.add

    def note(self: PatchAggregator, *part: Tensor) -> None:
        parts.append(part)
        add(self, *part)

    monkeypatch.setattr(PatchAggregator, "add", note)
    return parts


def run(config: DenoiseConfig, *, channels: int | None = None) -> DenoiseResult:
    return denoise(add_noise(wave(20, 24, channels=channels), NOISE_STD), config, rng=0)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("floor", [0.1, 0.5])
def test_estimates_are_weighted_by_their_precision(
    added: Added, floor: float, channels: int | None
) -> None:
    """Above a floor; the variance of each pixel of a patch is told in units of the noise's."""
    result = run(replace(CONFIG, weight_floor=floor), channels=channels)
    assert result.model is not None
    noise_variance = (NOISE_STD / result.model.scaling.std) ** 2
    positions = torch.cat([part[0] for part in added])
    assert sorted(positions.tolist()) == list(range(16 * 20))
    for _, _, variance, weights in added:
        assert variance.min() < 0.8 * variance.max()
        np.testing.assert_allclose(
            weights.numpy(), 1 / (variance.numpy() / noise_variance + floor), rtol=1e-5
        )


def test_without_a_covariance_all_estimates_count_the_same(added: Added) -> None:
    run(replace(CONFIG, covariance=Covariance.NONE))
    assert added
    for *_, weights in added:
        assert (weights == weights.flatten()[0]).all()
