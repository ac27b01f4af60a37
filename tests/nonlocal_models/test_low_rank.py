"""The low-rank model of a group: against numpy, and what it does to an image."""

from dataclasses import asdict, replace

import group_oracle
import numpy as np
import pytest
import torch
from filtered_noise import Blurs, exact_covariance, exact_spectrum, filtered_noise
from pictures import add_noise, psnr, wave

from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.nonlocal_models.low_rank import (
    Colour,
    LowRankSettings,
    low_rank_groups,
    low_rank_settings,
    shrink_groups,
)

SMALL = LowRankSettings(4, 60, 9, iterations=1)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.atleast_3d(pixels).astype(np.float32))


def group_of_rank_two(noise_std: float, members: int = 30) -> np.ndarray:
    """Make a group (M, D) of two directions, a mean and noise."""
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(members, 2)) * (3, 1.5) @ rng.normal(size=(2, 16))
    clean = rng.normal(size=16) + directions
    return np.asarray(clean + rng.normal(0, noise_std, clean.shape))


# --- one group


@pytest.mark.parametrize("members", [10, 30])
@pytest.mark.parametrize("noise_std", [0.05, 0.5, 1.0, 5.0])
def test_singular_values_shrink_as_the_closed_form_says(noise_std: float, members: int) -> None:
    group = group_of_rank_two(noise_std, members)
    expected, rank = group_oracle.shrink(group, noise_std**2)
    shrunk, ranks = shrink_groups(torch.tensor(group)[None], torch.tensor([noise_std**2]))
    np.testing.assert_allclose(shrunk[0].numpy(), expected, atol=1e-6)
    assert ranks.tolist() == [rank]


def test_every_group_has_noise_of_its_own() -> None:
    group = group_of_rank_two(0.5)
    _, ranks = shrink_groups(torch.tensor(np.stack([group] * 3)), torch.tensor([1e-4, 0.25, 1e3]))
    assert ranks[0] == 16 > ranks[1] > 0 == ranks[2]


def test_a_shrunk_singular_value_is_the_best_of_a_fine_grid() -> None:
    """Of the error and the log-sum prior; below half the value lies the pole of the logarithm."""
    noise_std = 0.5
    group = group_of_rank_two(noise_std)
    shrunk, _ = shrink_groups(torch.tensor(group)[None], torch.tensor([noise_std**2]))
    before = np.linalg.svd(group - group.mean(0), compute_uv=False)
    after = np.linalg.svd(shrunk[0].numpy() - group.mean(0), compute_uv=False)
    weight = 2 * np.sqrt(2) * np.sqrt(len(group)) * noise_std**2
    for value, chosen in zip(before, after, strict=True):
        grid = np.linspace(1e-3, 1.2, 200_000) * value
        costs = (value - grid) ** 2 / 2 + weight * np.log(grid)
        inside = grid > value / 2
        best = grid[inside][costs[inside].argmin()]
        if chosen > 1e-6:
            assert chosen == pytest.approx(best, rel=2e-5)
        else:  # no minimum but the pole: the costs rise all the way
            assert (np.diff(costs) > 0).all()
    assert 0 < (after > 1e-6).sum() < len(after)


# --- an image


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("remaining", [0.5, 0.8])
@pytest.mark.parametrize("channels", [1, 3])
def test_iterations_on_a_small_image(iterations: int, remaining: float, channels: int) -> None:
    """The second has noise taken out and fed back, the third new and smaller groups."""
    rng = np.random.default_rng(0)
    clean = (wave(14, 15, channels=channels) - 128) / 50
    noise_variance = 0.25
    noisy = clean + rng.normal(0, np.sqrt(noise_variance), clean.shape)
    pilot = clean + rng.normal(0, 0.2, clean.shape)
    settings = replace(SMALL, iterations=iterations, remaining=remaining)
    estimate = low_rank_groups(tensor(noisy), tensor(pilot), noise_variance, settings)
    chosen = asdict(settings)
    expected = group_oracle.low_rank(
        noisy, pilot, noise_variance, side=chosen.pop("patch_size"), **chosen
    )
    np.testing.assert_allclose(estimate.numpy(), expected, atol=1e-4)


def test_it_denoises_from_a_poor_pilot() -> None:
    clean = wave(40, 44)
    noisy = add_noise(clean, 25)
    settings = replace(low_rank_settings(0.5, 1), radius=8, iterations=6)
    estimate = low_rank_groups(tensor(noisy), tensor(noisy), 625.0, settings)
    assert psnr(clean, estimate[..., 0].numpy()) > psnr(clean, noisy) + 6


# --- coloured noise


@pytest.mark.parametrize("side", [4, 6])
@pytest.mark.parametrize("blurs", [(0.5, 0.5), (0.1, 0.7)])
def test_noise_is_made_white_and_coloured_again(blurs: Blurs, side: int) -> None:
    like = torch.zeros(1, dtype=torch.float64)
    colour = Colour.of(exact_spectrum(blurs), side, like)
    whiten, restore, identity = colour.whiten.numpy(), colour.restore.numpy(), np.eye(side**2)
    covariance = exact_covariance(blurs, side)
    np.testing.assert_allclose(whiten.T @ covariance @ whiten, identity, atol=0.02)
    np.testing.assert_allclose(restore.T @ restore, covariance, atol=0.003)
    np.testing.assert_allclose(whiten @ restore, identity, atol=1e-9)


def test_noise_of_coloured_channels_is_made_white() -> None:
    rng = np.random.default_rng(0)
    density = rng.uniform(0.2, 3, (3, FREQUENCIES, FREQUENCIES)) * [[[1]], [[0.3]], [[2]]]
    spectrum = NoiseSpectrum.of(density)
    colour = Colour.of(spectrum, 4, torch.zeros(1, dtype=torch.float64))
    patches = rng.multivariate_normal(np.zeros(48), spectrum.covariance(4), 4000)
    whitened = patches @ colour.whiten.numpy()
    np.testing.assert_allclose(whitened.T @ whitened / 4000, np.eye(48), atol=0.1)
    np.testing.assert_allclose(whitened @ colour.restore.numpy(), patches, atol=1e-9)
    exact = colour.whiten.numpy().T @ spectrum.covariance(4) @ colour.whiten.numpy()
    np.testing.assert_allclose(exact, np.eye(48), atol=1e-9)


def test_noise_without_fine_waves_is_not_blown_up() -> None:
    """Of waves that it has next to nothing of, rounding errors would be all that is seen."""
    colour = Colour.of(exact_spectrum((3.0, 3.0)), 6, torch.zeros(1))
    assert colour.whiten.abs().max() < 40
    torch.testing.assert_close(colour.whiten @ colour.restore, torch.eye(36), rtol=0, atol=1e-3)


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_groups_are_shrunk_where_their_noise_is_white(iterations: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    density = rng.uniform(0.2, 3, (channels, FREQUENCIES, FREQUENCIES))
    density[:, :, 6:] *= 0.3
    spectrum = NoiseSpectrum.of(density)
    clean = (wave(14, 15, channels=channels) - 128) / 50
    noisy, pilot = clean + rng.normal(0, [[[[0.5]]], [[[0.2]]]], (2, *clean.shape))
    settings = replace(SMALL, iterations=iterations)
    estimate = low_rank_groups(tensor(noisy), tensor(pilot), 0.25, settings, spectrum)
    chosen = asdict(settings)
    expected = group_oracle.low_rank(
        noisy,
        pilot,
        0.25,
        side=chosen.pop("patch_size"),
        relative=spectrum.covariance(4),
        **chosen,
    )
    np.testing.assert_allclose(estimate.numpy(), expected, atol=1e-4)


def test_a_flat_spectrum_is_white_noise() -> None:
    noisy = tensor(add_noise(wave(20, 22), 25)) / 50
    settings = replace(SMALL, iterations=3, radius=6)
    white = low_rank_groups(noisy, noisy, 0.25, settings)
    flat = NoiseSpectrum.of(np.ones((1, FREQUENCIES, FREQUENCIES)))
    found = low_rank_groups(noisy, noisy, 0.25, settings, flat)
    torch.testing.assert_close(found, white, rtol=0, atol=1e-3)


@pytest.mark.parametrize("blurs", [(0.8, 0.8), (0.1, 1.2)])
def test_the_spectrum_of_the_noise_is_worth_knowing(blurs: Blurs) -> None:
    """Beside the same total variance taken for white."""
    clean = wave(40, 44)
    noisy = clean + 25 * filtered_noise(blurs, 40, 44)
    pilot = clean + 0.4 * (noisy - clean)
    settings = replace(low_rank_settings(0.5, 1), radius=8, iterations=3)
    white, coloured = (
        low_rank_groups(tensor(noisy), tensor(pilot), 625.0, settings, spectrum)
        for spectrum in (None, exact_spectrum(blurs))
    )
    gain = psnr(clean, coloured[..., 0].numpy()) - psnr(clean, white[..., 0].numpy())
    assert gain > 2


# --- extremes


@pytest.mark.parametrize("peak", [1e2, 1e4, 1e6])
def test_an_outlier_far_above_the_noise(peak: float) -> None:
    image = 0.1 * torch.randn(20, 22, 3, generator=torch.Generator().manual_seed(0))
    image[5, 6, 1] = peak
    settings = replace(SMALL, members=12, radius=5)
    assert low_rank_groups(image, image, 1e-9, settings).isfinite().all()


def test_more_noise_asks_for_larger_patches_and_groups() -> None:
    chosen = [low_rank_settings(ratio, 1) for ratio in (0.1, 0.5, 2.0)]
    assert [each.patch_size for each in chosen] == sorted({each.patch_size for each in chosen})
    assert chosen[0].members <= chosen[1].members <= chosen[2].members
