"""A linear decoder of few latents for each group, fitted to its noisy members.

A group of similar patches, one a row, is a matrix of low rank, but for the noise: shrinking its
singular values, the small ones to 0, leaves a few directions in which members differ.

Dimensions: Y, X height and width, C channels, D values of a patch, G groups, M members of a group.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from evodenoise.noise.spectrum import LEAST_DENSITY, NoiseSpectrum
from evodenoise.nonlocal_models.matching import (
    GroupSettings,
    GroupWork,
    add_groups,
    count_groups,
    cut_members,
    groups_at_once,
    match_groups,
)
from evodenoise.patches.aggregation import PatchAverage
from evodenoise.patches.grid import PatchGrid, extract_patches
from evodenoise.system.threads import in_threads

FEEDBACK = 0.1
"""Share of what was taken out that is put back before the next iteration."""

LOG_SUM_WEIGHT = 2 * math.sqrt(2)
"""Strength of the log-sum prior on singular values, as published."""

REGROUPED_EVERY = 2
"""Iterations with the same groups."""

MEMBERS = 40
"""Of a group at the start. More are less alike, and cost more: below the pixels of a patch, the
product of the members is the smaller one."""

COLOUR_MEMBERS = 70
"""In colour, where the values of a patch are three times as many."""

QUICK_STEP, QUICK_ITERATIONS, QUICK_REMAINING = 6, 4, 0.75
"""Fewer groups, shrunk fewer times, and more each time: an eighth of the work."""

LEAST_SQUARE = 1e-12
"""Of a singular value; smaller ones are rounding."""

KEPT_MEMBERS = 0.8
"""Groups found anew are smaller, as the estimate tells better who is alike."""


@dataclass(frozen=True)
class LowRankSettings(GroupSettings):
    """How groups are formed and shrunk.

    Attributes
    ----------
    patch_size, members, radius, step
        As in `GroupSettings`; `members` at the start.
    iterations : int
        How often all groups are shrunk.
    remaining : float
        Noise left after an iteration, in units of what the residual says is left.
    """

    iterations: int = 6
    remaining: float = 0.66


def quick_settings(settings: LowRankSettings) -> LowRankSettings:
    """Choose settings for much less work, and a little less gain."""
    return replace(
        settings,
        step=min(QUICK_STEP, settings.patch_size),
        iterations=QUICK_ITERATIONS,
        remaining=QUICK_REMAINING,
    )


def low_rank_settings(noise_to_signal: float, channels: int) -> LowRankSettings:
    """Choose the settings of the low-rank model: larger patches for more noise.

    Parameters
    ----------
    noise_to_signal : float
        Standard deviation of the noise over that of the clean image.
    channels : int
        Of the image.

    Returns
    -------
    LowRankSettings
        The settings.
    """
    members = MEMBERS if channels == 1 else COLOUR_MEMBERS
    if noise_to_signal < 0.36:
        return LowRankSettings(6, members, 25)
    return LowRankSettings(7 if noise_to_signal < 0.7 else 8, members, 25)


@torch.no_grad()
def low_rank_groups(
    noisy: Tensor,
    pilot: Tensor,
    noise_variance: float,
    settings: LowRankSettings,
    spectrum: NoiseSpectrum | None = None,
    on_share: Callable[[float], None] | None = None,
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
    settings : LowRankSettings
        How groups are formed and shrunk.
    spectrum : NoiseSpectrum, optional
        Of the noise, over frequency; white by default.
    on_share : callable, optional
        Called with the share of the work that is done.

    Returns
    -------
    Tensor, shape (Y, X, C)
        Estimate of the clean image.

    Notes
    -----
    The first iteration shrinks the groups of the noisy image y (`shrink_groups`). Each further one
    starts from the estimate x with a part of what was removed fed back, x + d (y - x) with d =
    `FEEDBACK`, and the groups are found anew every other time, in x (Gu, Zhang, Zuo, Feng,
    "Weighted nuclear norm minimization with application to image denoising", CVPR 2014). Groups
    are averaged with the weights 1 / (1 + rank). Coloured noise is made white first, each wave of
    a patch divided by what the noise has of it, so that its singular values know nothing but noise.
    """
    estimate, current, groups = pilot, noisy, []
    fewer = replace(settings, members=math.ceil(KEPT_MEMBERS * settings.members))
    grid = PatchGrid(noisy.shape, settings.patch_size)
    matches = math.ceil(settings.iterations / REGROUPED_EVERY)
    work = GroupWork(count_groups(grid, settings.step), settings.iterations, matches, on_share)
    colour = None if spectrum is None else Colour.of(spectrum, settings.patch_size, noisy)
    for iteration in range(settings.iterations):
        if iteration % REGROUPED_EVERY == 0:
            groups = list(match_groups(estimate, settings))
            work.matched(sum(map(len, groups)))
            settings = fewer
        remaining = None
        if iteration:
            current = estimate + FEEDBACK * (noisy - estimate)
            remaining = settings.remaining
        side = settings.patch_size
        shrink = partial(_shrink_members, noisy, current, noise_variance, side, remaining, colour)
        average = PatchAverage(grid, noisy.dtype, noisy.device)
        parts = [part for some in groups for part in some.split(2 * groups_at_once(noisy.device))]
        for members, shrunk, weights in in_threads(shrink, parts, noisy.device):
            add_groups(average, members, shrunk, weights)
            work.fitted(len(members))
        estimate = average.image()
    return estimate


def _shrink_members(
    noisy: Tensor,
    current: Tensor,
    noise_variance: float,
    patch_size: int,
    remaining: float | None,
    colour: "Colour | None",
    members: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink the groups of some members (G, M); return these, the patches and their weights.

    `remaining` is None as long as nothing has been removed.
    """
    patches = cut_members(current, patch_size, members)
    if colour is not None:
        patches = patches @ colour.whiten
    left = torch.full((len(members),), noise_variance, device=noisy.device)
    if remaining is not None:
        # What has been removed is not there any more: told from the reference patch.
        original = extract_patches(noisy, patch_size, members[:, 0])
        if colour is not None:
            original = original @ colour.whiten
        removed = (original - patches[:, 0]).square().mean(1)
        left = remaining**2 * (noise_variance - removed).abs()
    shrunk, ranks = shrink_groups(patches, left)
    if colour is not None:
        shrunk = shrunk @ colour.restore
    return members, shrunk, 1 / (1 + ranks)


@dataclass(frozen=True, eq=False)
class Colour:
    """What makes the noise of a patch white, and undoes it.

    Attributes
    ----------
    whiten, restore : Tensor, shape (D, D)
        R^(-1/2) and R^(1/2), R the covariance of the noise over its variance.
    """

    whiten: Tensor
    restore: Tensor

    @classmethod
    def of(cls, spectrum: NoiseSpectrum, patch_size: int, like: Tensor) -> "Colour":
        """Take the roots, for patches of that side and images of that kind."""
        variances, axes = torch.linalg.eigh(torch.from_numpy(spectrum.covariance(patch_size)))
        deviations = variances.clamp(min=LEAST_DENSITY).sqrt()
        whiten = axes / deviations @ axes.T
        return cls(whiten.to(like), (axes * deviations @ axes.T).to(like))


def shrink_groups(patches: Tensor, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Shrink the singular values of centred groups, those that noise explains to 0.

    Parameters
    ----------
    patches : Tensor, shape (G, M, D)
        Groups of noisy patches.
    noise_variance : Tensor, shape (G,)
        sigma^2, of each group.

    Returns
    -------
    shrunk : Tensor, shape (G, M, D)
        Groups of clean patches.
    ranks : Tensor of int64, shape (G,)
        Singular values that are left.

    Notes
    -----
    With w = `LOG_SUM_WEIGHT`, a singular value s of the centred group becomes the x that minimises

        (s - x)^2 / 2 + w sqrt(M) sigma^2 log(x + e)

    for e towards 0, away from the pole at x = 0:

        x = (s + sqrt(s^2 - 4 w sqrt(M) sigma^2)) / 2    or 0 where the root is not real.
    """
    mean = patches.mean(1, keepdim=True)
    centred = patches - mean
    # The smaller of both products has all singular values and takes the least time.
    few = patches.shape[1] < patches.shape[2]
    product = (
        centred @ centred.transpose(1, 2) if few else centred.transpose(1, 2) @ centred
    )  # (G, M, M) or (G, D, D)
    # Of nearly singular matrices some solvers make NaN; a multiple of the identity, far below the
    # noise, has no part in the axes.
    offset = LEAST_SQUARE + 1e-3 * noise_variance
    identity = torch.eye(product.shape[1], dtype=product.dtype, device=product.device)
    squares, basis = torch.linalg.eigh(product + offset[:, None, None] * identity)
    squares = squares - offset[:, None]
    values = squares.clamp(min=LEAST_SQUARE).sqrt()
    threshold = 4 * LOG_SUM_WEIGHT * math.sqrt(patches.shape[1]) * noise_variance[:, None]
    excess = (squares - threshold).clamp(min=0)
    gain = (0.5 * (1 + excess.sqrt() / values)).where(squares > threshold, 0)  # x / s
    shrink = (basis * gain[:, None]) @ basis.transpose(1, 2)
    shrunk = shrink @ centred if few else centred @ shrink
    return shrunk + mean, (gain > 0).sum(1)
