"""Predicted errors: against what they are known to be, and what they must not depend on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import add_noise, wave
from torch import Tensor

from evodenoise.config.settings import Covariance, DenoiseConfig, Refinement
from evodenoise.denoising.denoise import denoise, denoise_stack
from evodenoise.denoising.error_bars import LEVELS, TAILS, error_variance

VARIANCE = 0.2
NOISE = 20.0
QUICK = DenoiseConfig(
    epochs=5, latents=16, hidden=(16,), states=4, refinement=Refinement.GAUSSIAN, device="cpu"
)
CLEAN = wave(32, 36)
SMALL = 4**0.2
"""Over what is promised for pictures of the usual size, of a quarter of it and less."""


def features(
    height: int = 30, width: int = 34, channels: int = 1, lacking: float = 0.5
) -> tuple[Tensor, ...]:
    """Make posterior variances, disagreement, and a residual that lacks so much of the noise."""
    generator = torch.Generator().manual_seed(0)
    first, second, third = torch.rand(3, height, width, channels, generator=generator)
    residual = torch.where(third > 0.5, 1.0, -1.0) * ((1 - lacking) * VARIANCE) ** 0.5
    return VARIANCE * (0.1 + first), 0.03 * VARIANCE * second, residual


@pytest.mark.parametrize("refinement", Refinement)
@pytest.mark.parametrize("shape", [(30, 34, 1), (9, 80, 1), (4, 5, 3)])
@pytest.mark.parametrize("lacking", [0.2, 0.7])
def test_the_sum_mixes_what_the_model_promises_and_what_the_residual_lacks(
    refinement: Refinement, shape: tuple[int, int, int], lacking: float
) -> None:
    variance, disagreement, residual = features(*shape, lacking=lacking)
    found = error_variance(variance, disagreement, residual, VARIANCE, refinement)
    promised = variance.mean((0, 1)) / VARIANCE
    small = SMALL if shape[2] == 1 else 1.0
    beyond = (lacking / promised).clamp(min=1)
    expected = LEVELS[refinement] * small * promised**1.1 * lacking**0.1 * beyond**0.3 * VARIANCE
    torch.testing.assert_close(found.mean((0, 1)), TAILS * expected)
    assert (found > 0).all()


def test_where_the_posterior_is_wide_errors_are_large() -> None:
    variance, _, residual = features()
    found = error_variance(variance, 0 * residual, residual, VARIANCE, Refinement.FULL)
    ranks = [each.flatten().argsort().argsort().double() for each in (variance, found)]
    assert np.corrcoef(*(each.numpy() for each in ranks))[0, 1] > 0.99


@pytest.mark.parametrize(("lacking", "believed"), [(-0.5, 1 / 4), (1.0, 4.0)])
def test_a_residual_is_believed_within_limits(lacking: float, believed: float) -> None:
    """A level of the noise that is off must not lead to error bars of zero, nor to huge ones."""
    variance, disagreement, residual = features(90, 90)
    variance = 0.1 * variance
    residual = residual * (2 * (1 - lacking)) ** 0.5
    found = error_variance(variance, disagreement * 0, residual, VARIANCE, Refinement.FULL)
    promised = float(variance.mean()) / VARIANCE
    expected = TAILS * LEVELS[Refinement.FULL] * SMALL * promised**1.2 * believed**0.1
    expected *= max(1.0, believed) ** 0.3
    beyond = max(0.0, 1 - lacking - 1.1 - expected)
    assert float(found.mean()) / VARIANCE == pytest.approx(expected + beyond, rel=1e-3)


def test_of_large_pictures_less_is_known_by_heart() -> None:
    parts = features(64, 64)
    means = []
    for times in (1, 2, 4, 8, 12):
        larger = [each.repeat(times, times, 1) for each in parts]
        found = error_variance(*larger, VARIANCE, Refinement.FULL)
        means.append(float(found.mean()))
    assert means[0] == pytest.approx(means[1], rel=1e-3), "as small as was measured"
    assert means[1] == pytest.approx(4**0.2 * means[2], rel=1e-3)
    assert means[2] == pytest.approx(4**0.2 * means[3], rel=1e-3)
    assert means[3] == pytest.approx(means[4], rel=1e-3), "as large as was measured"


def test_missing_pixels_do_not_tell_of_the_others() -> None:
    """Their variance is that of the picture, and their residual is none."""
    variance, disagreement, residual = features()
    expected = error_variance(variance, disagreement, residual, VARIANCE, Refinement.FULL)
    missing = torch.zeros(variance.shape[:2], dtype=torch.bool)
    missing[3:6, 4:8] = True
    wider = variance.where(~missing[..., None], 5 * VARIANCE)
    left = residual.where(~missing[..., None], 0)
    found = error_variance(wider, disagreement, left, VARIANCE, Refinement.FULL, missing)
    known = [each[~missing].mean().item() for each in (found, expected)]
    assert known[0] == pytest.approx(known[1], rel=0.1)
    assert found[missing].mean() > 3 * expected[missing].mean()


def test_a_level_of_its_own_for_each_part_of_the_picture() -> None:
    """Of two halves alike but for the disagreement, the one with more of it is surer."""
    variance = torch.full((100, 160, 1), 0.3 * VARIANCE)
    disagreement = torch.zeros_like(variance)
    disagreement[:, :80] = 0.8 * variance[:, :80]
    nothing = torch.zeros_like(variance)
    found = error_variance(variance, disagreement, nothing, VARIANCE, Refinement.FULL)
    left, right = found[:, :40].mean(), found[:, -40:].mean()
    assert 2 * left < right < 3.4 * left


def test_units_do_not_matter() -> None:
    """Nothing but the ratio of noise to signal does, which stays."""
    parts = features()
    doubled = [4 * parts[0], 4 * parts[1], 2 * parts[2]]
    found = error_variance(*parts, VARIANCE, Refinement.NONE)
    # At this ratio the power is capped, and the same for both.
    high = error_variance(*doubled, 4 * VARIANCE, Refinement.NONE)
    assert high.mean() == pytest.approx(4 * float(found.mean()), rel=1e-5)


def test_a_model_that_knows_nothing_is_told_by_its_residual() -> None:
    """Trained for a moment it would promise errors of a tenth of what they are."""
    variance, disagreement, _ = features()
    generator = torch.Generator().manual_seed(1)
    residual = (9 * VARIANCE) ** 0.5 * torch.randn(variance.shape, generator=generator)
    found = error_variance(variance, disagreement, residual, VARIANCE, Refinement.FULL)
    assert 7.3 * VARIANCE < found.mean() < 8.7 * VARIANCE
    missing = torch.zeros(variance.shape[:2], dtype=torch.bool)
    missing[::2] = True
    seen = residual.where(~missing[..., None], 0)
    half = error_variance(variance, disagreement, seen, VARIANCE, Refinement.FULL, missing)
    assert 7.3 * VARIANCE < half.mean() < 8.7 * VARIANCE


# --- of results


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("refinement", [Refinement.NONE, Refinement.GAUSSIAN])
def test_errors_are_about_as_large_as_predicted(
    channels: int | None, refinement: Refinement
) -> None:
    clean = wave(32, 36, channels=channels)
    noisy = add_noise(clean, NOISE)
    result = denoise(noisy, replace(QUICK, refinement=refinement))
    errors = (result.image - clean) / result.std
    assert 0.5 < np.sqrt(np.mean(errors**2)) < 2
    rmse = float(np.sqrt(np.mean((result.image - clean) ** 2)))
    assert result.estimated_rmse == pytest.approx(rmse, rel=0.5)
    assert result.estimated_psnr(255) == pytest.approx(20 * np.log10(255 / result.estimated_rmse))


def test_what_is_missing_is_less_certain() -> None:
    missing = np.zeros(CLEAN.shape, bool)
    missing[10:15, 20:26] = True
    quick = replace(QUICK, patch_size=6)
    result = denoise(np.where(missing, np.nan, add_noise(CLEAN, NOISE)), quick)
    assert np.isfinite(result.std).all()
    assert result.std[missing].mean() > result.std[~missing].mean()


def test_pages_have_bars_of_their_own() -> None:
    flat = np.full_like(CLEAN, 128.0)
    pages = np.stack([add_noise(CLEAN, NOISE), add_noise(flat, NOISE)])
    result = denoise_stack(pages, QUICK)
    assert result.std.shape == pages.shape
    assert (result.std.mean((1, 2)) > 0.5).all()
    assert result.estimated_rmse == pytest.approx(np.sqrt(np.mean(result.std**2)), rel=1e-5)


def test_without_a_covariance_nothing_is_known() -> None:
    result = denoise(add_noise(CLEAN, NOISE), replace(QUICK, covariance=Covariance.NONE))
    assert result.noise_std
    assert not result.std.any()
    assert np.isnan(result.estimated_rmse)
    assert np.isnan(result.estimated_psnr())


def test_the_estimated_psnr_takes_the_span_of_the_type() -> None:
    noisy = np.clip(np.rint(add_noise(CLEAN, NOISE)), 0, 255).astype(np.uint8)
    result = denoise(noisy, QUICK)
    assert result.estimated_psnr() == result.estimated_psnr(255)
    in_floats = replace(result, image=result.image.astype(float))
    assert in_floats.estimated_psnr() == result.estimated_psnr(float(np.ptp(result.image)))
