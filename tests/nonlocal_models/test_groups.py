"""Groups of similar patches and the local models fitted to them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import add_noise, psnr, wave

from evodenoise.nonlocal_models.gaussian import GAUSSIAN, gaussian_groups
from evodenoise.nonlocal_models.low_rank import low_rank_groups, low_rank_settings
from evodenoise.nonlocal_models.matching import GroupSettings, match_groups
from evodenoise.patches.grid import PatchGrid, extract_patches

SMALL = GroupSettings(patch_size=4, members=12, radius=5, step=3)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.atleast_3d(pixels).astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_members_are_the_nearest_within_the_window(channels: int) -> None:
    image = torch.rand(17, 20, channels, generator=torch.Generator().manual_seed(0))
    grid = PatchGrid(image.shape, 4)
    patches = extract_patches(image, 4)
    rows, columns = (
        torch.arange(grid.patches) // grid.columns,
        torch.arange(grid.patches) % grid.columns,
    )
    groups = torch.cat(list(match_groups(image, SMALL)))
    assert groups.shape[1] == 12
    for members in groups[::7]:
        reference = members[0]
        near = ((rows - rows[reference]).abs() <= 5) & ((columns - columns[reference]).abs() <= 5)
        costs = (patches - patches[reference]).square().sum(1).where(near, torch.inf)
        best = costs.sort().values[:12]
        torch.testing.assert_close(costs[members].sort().values, best, atol=1e-5, rtol=1e-5)


def test_references_cover_the_image_to_its_last_row_and_column() -> None:
    image = torch.rand(18, 23, 1, generator=torch.Generator().manual_seed(0))
    references = torch.cat(list(match_groups(image, SMALL)))[:, 0]
    grid = PatchGrid(image.shape, 4)
    covered = torch.zeros(18 * 23)
    covered[grid.values(references).flatten()] = 1
    assert covered.all()


def test_blocks_do_not_change_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(30, 21, 1, generator=torch.Generator().manual_seed(0))

    def groups() -> dict[int, set[int]]:
        return {
            int(each[0]): set(each.tolist()) for each in torch.cat([*match_groups(image, SMALL)])
        }

    usual = groups()
    monkeypatch.setattr("evodenoise.nonlocal_models.matching.BLOCK", 1)
    assert len(usual) == 70
    assert groups() == usual


@pytest.mark.parametrize("channels", [None, 3])
def test_a_gaussian_prior_from_the_truth_beats_the_noise(channels: int | None) -> None:
    clean = wave(40, 44, channels=channels)
    noisy = add_noise(clean, 25)
    estimate = gaussian_groups(tensor(noisy), tensor(clean), 625.0, replace(GAUSSIAN, radius=8))
    assert psnr(clean, estimate.numpy().reshape(clean.shape)) > psnr(clean, noisy) + 8


@pytest.mark.parametrize("peak", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("method", [gaussian_groups, low_rank_groups])
def test_an_outlier_far_above_the_noise(method: Callable[..., torch.Tensor], peak: float) -> None:
    """Its variance swallows that of the noise: a matrix without a factor, if nothing is done."""
    image = 0.1 * torch.randn(20, 22, 3, generator=torch.Generator().manual_seed(0))
    image[5, 6, 1] = peak
    assert method(image, image, 1e-9, SMALL).isfinite().all()


def test_low_rank_groups_denoise_from_a_poor_pilot() -> None:
    clean = wave(40, 44)
    noisy = add_noise(clean, 25)
    settings = replace(low_rank_settings(0.5), radius=8, iterations=6)
    estimate = low_rank_groups(tensor(noisy), tensor(noisy), 625.0, settings)
    assert psnr(clean, estimate[..., 0].numpy()) > psnr(clean, noisy) + 6


def test_a_tiny_image_has_fewer_members() -> None:
    image = torch.rand(8, 9, 1, generator=torch.Generator().manual_seed(0))
    estimate = gaussian_groups(image, image, 0.01, GAUSSIAN)
    assert estimate.shape == image.shape
    assert estimate.isfinite().all()


def test_more_noise_asks_for_larger_patches_and_groups() -> None:
    chosen = [low_rank_settings(ratio) for ratio in (0.1, 0.5, 2.0)]
    assert [each.patch_size for each in chosen] == sorted({each.patch_size for each in chosen})
    assert chosen[0].members <= chosen[1].members <= chosen[2].members
