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


def features(height: int = 30, width: int = 34, channels: int = 1) -> tuple[Tensor, ...]:
    """Make posterior variances, disagreement, how far the estimate was moved, and a residual."""
    generator = torch.Generator().manual_seed(0)
    first, second, third = torch.rand(3, height, width, channels, generator=generator)
    return (
        VARIANCE * (0.1 + first),
        0.03 * VARIANCE * second,
        0.1 * VARIANCE**0.5 * third,
        0 * third,
    )


@pytest.mark.parametrize("refinement", Refinement)
@pytest.mark.parametrize("shape", [(30, 34, 1), (9, 80, 1), (4, 5, 3)])
def test_the_sum_is_what_patches_say_less_what_they_differ_and_what_was_removed(
    refinement: Refinement, shape: tuple[int, int, int]
) -> None:
    variance, disagreement, moved, residual = features(*shape)
    found = error_variance(variance, disagreement, moved, residual, VARIANCE, refinement)
    own, removed = LEVELS[refinement]
    level = own * (variance - disagreement) - removed * moved.square()
    torch.testing.assert_close(found.mean((0, 1)), TAILS * level.mean((0, 1)))
    assert (found > 0).all()


def test_where_the_posterior_is_wide_errors_are_large() -> None:
    variance, _, _, residual = features()
    found = error_variance(variance, residual, residual, residual, VARIANCE, Refinement.FULL)
    ranks = [each.flatten().argsort().argsort().double() for each in (variance, found)]
    assert np.corrcoef(*(each.numpy() for each in ranks))[0, 1] > 0.99


def test_it_is_never_below_a_tenth_of_the_posterior_variance() -> None:
    """Whatever the refinement moved: an error bar of zero would be a promise."""
    variance, disagreement, moved, residual = features()
    found = error_variance(variance, disagreement, 10 + moved, residual, VARIANCE, Refinement.FULL)
    assert found.mean() == pytest.approx(0.1 * TAILS * float(variance.mean()), rel=1e-4)


def test_a_level_of_its_own_for_each_part_of_the_picture() -> None:
    """Of two halves alike but for the disagreement, the one with more of it is surer."""
    variance = torch.full((100, 160, 1), 0.3 * VARIANCE)
    disagreement = torch.zeros_like(variance)
    disagreement[:, :80] = 0.8 * variance[:, :80]
    nothing = torch.zeros_like(variance)
    found = error_variance(variance, disagreement, nothing, nothing, VARIANCE, Refinement.FULL)
    left, right = found[:, :40].mean(), found[:, -40:].mean()
    assert 2 * left < right < 4 * left


def test_units_do_not_matter() -> None:
    """Nothing but the ratio of noise to signal does, which stays."""
    parts = features()
    doubled = [4 * parts[0], 4 * parts[1], 2 * parts[2], parts[3]]
    found = error_variance(*parts, VARIANCE, Refinement.NONE)
    # At this ratio the power is capped, and the same for both.
    high = error_variance(*doubled, 4 * VARIANCE, Refinement.NONE)
    assert high.mean() == pytest.approx(4 * float(found.mean()), rel=1e-5)


def test_a_model_that_knows_nothing_is_told_by_its_residual() -> None:
    """Trained for a moment it would promise errors of a tenth of what they are."""
    variance, disagreement, moved, _ = features()
    generator = torch.Generator().manual_seed(1)
    residual = (9 * VARIANCE) ** 0.5 * torch.randn(variance.shape, generator=generator)
    found = error_variance(variance, disagreement, moved, residual, VARIANCE, Refinement.FULL)
    assert 7.3 * VARIANCE < found.mean() < 8.7 * VARIANCE
    missing = torch.zeros(variance.shape[:2], dtype=torch.bool)
    missing[::2] = True
    seen = residual.where(~missing[..., None], 0)
    half = error_variance(variance, disagreement, moved, seen, VARIANCE, Refinement.FULL, missing)
    assert 7.3 * VARIANCE < half.mean() < 8.7 * VARIANCE


def test_residuals_as_large_as_the_noise_say_nothing() -> None:
    *parts, _ = features(90, 90)
    generator = torch.Generator().manual_seed(1)
    residual = VARIANCE**0.5 * torch.randn(parts[0].shape, generator=generator)
    plain, with_residual = (
        error_variance(*parts, each, VARIANCE, Refinement.FULL) for each in (0 * residual, residual)
    )
    torch.testing.assert_close(plain, with_residual)


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
