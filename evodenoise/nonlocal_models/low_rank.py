"""A linear decoder of few latents for each group, fitted to its noisy members.

Dimensions: Y, X height and width, C channels, D values of a patch, M members of a group,
B groups.
"""

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from evodenoise.nonlocal_models.matching import (
    GROUPS,
    GroupSettings,
    add_groups,
    cut_members,
    match_groups,
)
from evodenoise.patches.aggregation import PatchAverage
from evodenoise.patches.grid import PatchGrid, extract_patches
from evodenoise.system.threads import in_threads

FEEDBACK = 0.1
"""Share of what was taken out that is put back before the next iteration."""

LOG_SUM_WEIGHT = 2 * math.sqrt(2)
"""Strength of the log-sum prior on singular values, as published."""

FEWEST_MEMBERS = 40


def low_rank_settings(noise_to_signal: float) -> GroupSettings:
    """Choose the settings of the low-rank model: larger patches and groups for more noise.

    Parameters
    ----------
    noise_to_signal : float
        Standard deviation of the noise over that of the clean image.
    """
    if noise_to_signal < 0.36:
        return GroupSettings(6, 70, 25, iterations=8, remaining=0.54)
    if noise_to_signal < 0.7:
        return GroupSettings(7, 70, 25, iterations=10, remaining=0.56)
    return GroupSettings(8, 100, 25, iterations=10, remaining=0.58)


@torch.no_grad()
def low_rank_groups(
    noisy: Tensor, pilot: Tensor, noise_variance: float, settings: GroupSettings
) -> Tensor:
    """Denoise each group with a linear decoder of few latents, fitted to the noisy members.

    Parameters
    ----------
    noisy : Tensor, shape (Y, X, C)
        Noisy image.
    pilot : Tensor, shape (Y, X, C)
        First estimate of the clean image: the first groups are found in it.
    noise_variance : float
        sigma^2.
    settings : GroupSettings
        Groups.

    Returns
    -------
    Tensor, shape (Y, X, C)
        Estimate of the clean image.

    Notes
    -----
    The singular values of a group have a log-sum prior, whose maximum a posteriori is in
    closed form; a part of what was removed is fed back and the groups are found anew (Gu,
    Zhang, Zuo, Feng, "Weighted nuclear norm minimization with application to image denoising",
    CVPR 2014).
    """
    estimate, previous, groups = pilot, noisy, []
    grid = PatchGrid(noisy.shape, settings.patch_size)
    for iteration in range(settings.iterations):
        if iteration % 2 == 0:
            groups = list(match_groups(estimate, settings))
            fewer = max(settings.members - 10, FEWEST_MEMBERS)
            settings = replace(settings, members=fewer)
        if iteration:
            previous = estimate + FEEDBACK * (noisy - estimate)
        average = PatchAverage(grid, noisy.dtype, noisy.device)
        shrink = partial(_shrink_groups, noisy, previous, noise_variance, settings, iteration == 0)
        parts = [part for some in groups for part in some.split(2 * GROUPS)]
        for members, shrunk, weights in in_threads(shrink, parts, noisy.device):
            add_groups(average, members, shrunk, weights)
        estimate = average.image()
    return estimate


def _shrink_groups(
    noisy: Tensor,
    previous: Tensor,
    noise_variance: float,
    settings: GroupSettings,
    first: bool,
    members: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink the groups of some members (B, M); return these, the patches and their weights."""
    patches = cut_members(previous, settings.patch_size, members)
    left = torch.full((len(members),), noise_variance, device=noisy.device)
    if not first:
        original = extract_patches(noisy, settings.patch_size, members[:, 0])
        removed = (original - patches[:, 0]).square().mean(1)
        left = settings.remaining**2 * (noise_variance - removed).abs()
    shrunk, rank = _shrink(patches, left)
    return members, shrunk, 1 / (1 + rank)


def _shrink(patches: Tensor, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Shrink the singular values of centred groups (B, M, D); return them and their ranks (B,)."""
    mean = patches.mean(1, keepdim=True)
    centred = patches - mean
    squares, basis = torch.linalg.eigh(centred.transpose(1, 2) @ centred)
    values = squares.clamp(min=1e-12).sqrt()
    threshold = 4 * LOG_SUM_WEIGHT * math.sqrt(patches.shape[1]) * noise_variance[:, None]
    excess = (squares - threshold).clamp(min=0)
    gain = (0.5 * (1 + excess.sqrt() / values)).where(squares > threshold, 0)
    shrunk = (centred @ (basis * gain[:, None])) @ basis.transpose(1, 2) + mean
    return shrunk, (gain > 0).sum(1)
