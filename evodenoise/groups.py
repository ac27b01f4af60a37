"""Local models on groups of similar patches, found in a first estimate.

The VAE shares one decoder among all patches; what occurs in one corner of the picture only
is shrunk away by it. Here each reference patch gets a small linear-Gaussian model of its own,
fitted to the patches that look like it nearby. The VAE's estimate, where noise no longer
hides what is alike, decides who belongs together and gives the groups their prior.

Dimensions: Y, X height and width, C channels, p patch size, D = p*p*C, R reference patches,
M members of a group.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from evodenoise.patches import PatchAverage, PatchGrid, extract_patches
from evodenoise.threads import available_threads, in_threads

BLOCK = 6
"""Reference patches a side for which members are sought at once: more share more candidates,
and have more that are in reach of others only."""

GROUPS = 256
"""Groups worked on at once."""

EPSILON = torch.finfo(torch.float32).eps

WEIGHT_FLOOR = 0.02
"""Added to the posterior variance over sigma^2 before a group is weighted by its inverse."""

FEEDBACK = 0.1
"""Share of what was taken out that is put back before the next iteration."""

LOG_SUM_WEIGHT = 2 * math.sqrt(2)
"""Strength of the log-sum prior on singular values, as published."""

FEWEST_MEMBERS = 40


@dataclass(frozen=True)
class GroupSettings:
    """How groups are formed and treated.

    Attributes
    ----------
    patch_size : int
        Side of the patches in pixels.
    members : int
        M at the start.
    radius : int
        Members are sought at most so many pixels away, in rows and columns.
    step : int
        Distance of the reference patches in pixels.
    iterations : int
        Of the low-rank model.
    remaining : float
        Noise left after an iteration, in units of what the residual says is left.
    """

    patch_size: int
    members: int
    radius: int
    step: int = 3
    iterations: int = 1
    remaining: float = 0.56


GAUSSIAN = GroupSettings(patch_size=7, members=40, radius=16)


def gaussian_settings(noise_to_signal: float, channels: int) -> GroupSettings:
    """Choose the settings of the Gaussian model: smaller patches for clear colours.

    Parameters
    ----------
    noise_to_signal : float
        Standard deviation of the noise over that of the clean image.
    channels : int
        C.
    """
    clear = channels > 1 and noise_to_signal < 0.7
    return replace(GAUSSIAN, patch_size=5) if clear else GAUSSIAN


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


def match_groups(image: Tensor, settings: GroupSettings) -> Iterator[Tensor]:
    """Find, for reference patches on a grid, the patches nearest to them.

    Parameters
    ----------
    image : Tensor, shape (Y, X, C)
        Where to look; nearness is the squared distance of patches.
    settings : GroupSettings
        Grid, window and number of members.

    Yields
    ------
    Tensor of int64, shape (R, M)
        Positions (see `PatchGrid`) of the members, the reference itself first, for some rows of
        the grid at a time.
    """
    grid, radius = PatchGrid(image.shape, settings.patch_size), settings.radius
    rows = _corners(grid.rows, settings.step).to(image.device)
    columns = _corners(grid.columns, settings.step).to(image.device)
    # At the border, and in a tiny image, there are fewer to choose from.
    fewest = min(grid.rows, radius + 1) * min(grid.columns, radius + 1)
    settings = replace(settings, members=min(settings.members, fewest))

    def match(some: Tensor) -> Tensor:
        blocks = columns.split(BLOCK)
        return torch.cat([_match_block(image, grid, settings, some, block) for block in blocks])

    strips = rows.split(BLOCK)
    at_once = 16 * available_threads(image.device)
    for first in range(0, len(strips), at_once):
        yield torch.cat([*in_threads(match, strips[first : first + at_once], image.device)])


def _match_block(
    image: Tensor, grid: PatchGrid, settings: GroupSettings, rows: Tensor, columns: Tensor
) -> Tensor:
    """Find the groups around neighbouring corners in some rows and columns: (R, M).

    They share most of their candidates, so that the distances cost one matrix product.
    """
    size, radius = settings.patch_size, settings.radius
    near_rows, top = _reach(rows, radius, grid.rows)  # (B, Y')
    near_columns, left = _reach(columns, radius, grid.columns)  # (B', X')
    height, width = near_rows.shape[1], near_columns.shape[1]
    area = image[top : top + height + size - 1, left : left + width + size - 1]
    area = area - area.mean((0, 1))  # the squares are small: little is lost by their differences
    candidates = area.unfold(0, size, 1).unfold(1, size, 1).reshape(height * width, -1)
    own = ((rows - top)[:, None] * width + (columns - left)).flatten()  # (R,)
    # |a - b|^2 without |a|^2, which is the same for all candidates of a patch.
    costs = torch.addmm(candidates.square().sum(1), candidates[own], candidates.T, alpha=-2)
    near = near_rows[:, None, :, None] & near_columns[:, None]
    costs.masked_fill_(~near.view(costs.shape), torch.inf)
    costs.scatter_(1, own[:, None], -torch.inf)
    chosen = costs.topk(settings.members, dim=1, largest=False).indices
    return (top + chosen // width) * grid.columns + left + chosen % width


def _reach(corners: Tensor, radius: int, count: int) -> tuple[Tensor, int]:
    """Tell which of the places that any corner (B,) reaches are in reach of each, and the first."""
    first = max(int(corners[0]) - radius, 0)
    last = min(int(corners[-1]) + radius, count - 1)
    places = torch.arange(first, last + 1, device=corners.device)
    return (corners[:, None] - places).abs() <= radius, first


def _corners(count: int, step: int) -> Tensor:
    """List every step-th place of `count`, and the last one."""
    places = torch.arange(0, count, step)
    return places if places[-1] == count - 1 else F.pad(places, (0, 1), value=count - 1)


@torch.no_grad()
def gaussian_groups(
    noisy: Tensor, pilot: Tensor, noise_variance: float, settings: GroupSettings = GAUSSIAN
) -> Tensor:
    """Denoise each group with a Gaussian prior learned from a first estimate.

    Parameters
    ----------
    noisy : Tensor, shape (Y, X, C)
        Noisy image.
    pilot : Tensor, shape (Y, X, C)
        First estimate of the clean image.
    noise_variance : float
        sigma^2.
    settings : GroupSettings
        Groups.

    Returns
    -------
    Tensor, shape (Y, X, C)
        Posterior means of all members, averaged with the inverses of their posterior variances.

    Notes
    -----
    Mean and covariance of a group are those of its members in the pilot (empirical Bayes, as in
    the second step of Lebrun, Buades, Morel, "A nonlocal Bayesian image denoising algorithm",
    SIAM J. Imaging Sciences 6(3), 2013).
    """
    grid = PatchGrid(noisy.shape, settings.patch_size)
    average = PatchAverage(grid, noisy.dtype, noisy.device)
    identity = torch.eye(grid.pixels, device=noisy.device)

    def estimate(members: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        prior = _members(pilot, settings.patch_size, members)
        mean = prior.mean(1, keepdim=True)
        centred = prior - mean
        covariance = centred.transpose(1, 2) @ centred / members.shape[1]
        # Beside an outlier the noise may be below the rounding errors of its variance.
        rounding = torch.diagonal(covariance, dim1=1, dim2=2).amax(1) * grid.pixels * EPSILON
        least = rounding.clamp(min=noise_variance)[:, None, None]
        factor = torch.linalg.cholesky(covariance + least * identity)
        gain = torch.cholesky_solve(covariance, factor)  # (B, D, D)
        patches = (_members(noisy, settings.patch_size, members) - mean) @ gain + mean
        variance = torch.diagonal(gain, dim1=1, dim2=2).mean(1)
        return members, patches, 1 / (variance + WEIGHT_FLOOR)

    for groups in match_groups(pilot, settings):
        for members, patches, weights in in_threads(estimate, groups.split(GROUPS), noisy.device):
            _add(average, members, patches, weights)
    return average.image()


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
            _add(average, members, shrunk, weights)
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
    patches = _members(previous, settings.patch_size, members)
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


def _members(image: Tensor, patch_size: int, positions: Tensor) -> Tensor:
    """Cut out the patches of groups (B, M): (B, M, D)."""
    return extract_patches(image, patch_size, positions.flatten()).view(*positions.shape, -1)


def _add(average: PatchAverage, positions: Tensor, patches: Tensor, weights: Tensor) -> None:
    """Add groups of patches (B, M, D) with one weight a group (B,)."""
    spread = weights[:, None, None].expand_as(patches).flatten(0, 1)
    average.add(positions.flatten(), patches.flatten(0, 1), spread)
