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

import torch
import torch.nn.functional as F
from torch import Tensor

from evodenoise.patches import PatchAverage, PatchGrid, extract_patches

STRIP_VALUES = 2**21
"""Distances held at once; the work on them takes some 50 bytes each."""

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
    grid = PatchGrid(image.shape, settings.patch_size)
    size, radius, device = settings.patch_size, settings.radius, image.device
    rows = _corners(grid.rows, settings.step).to(device)
    columns = _corners(grid.columns, settings.step).to(device)
    reach = torch.arange(-radius, radius + 1, device=device)
    shifts = torch.cartesian_prod(reach, reach)  # (O, 2)
    padded = F.pad(image, (0, 0, radius, radius, radius, radius))
    strip = max(1, STRIP_VALUES // (len(shifts) * len(columns)))
    for some_rows in rows.split(strip):
        top, bottom = int(some_rows[0]), int(some_rows[-1]) + size
        distances = torch.empty(len(shifts), len(some_rows), len(columns), device=device)
        for place, (down, right) in enumerate(shifts.tolist()):
            moved = padded[
                radius + down + top : radius + down + bottom,
                radius + right : radius + right + image.shape[1],
            ]
            squares = (image[top:bottom] - moved).square().sum(-1).double()
            sums = _window_sums(squares, some_rows - top, size, dim=0)
            distances[place] = _window_sums(sums, columns, size, dim=1)
        corner = torch.cartesian_prod(some_rows, columns)  # (R, 2)
        found = corner[:, None] + shifts  # (R, O, 2)
        limits = torch.tensor([grid.rows, grid.columns], device=device)
        outside = ((found < 0) | (found >= limits)).any(-1)
        costs = distances.flatten(1).T.masked_fill(outside, torch.inf)
        costs[:, len(shifts) // 2] = -1.0
        members = min(settings.members, int((~outside).sum(1).min()))
        nearest = costs.topk(members, dim=1, largest=False).indices
        yield (found[..., 0] * grid.columns + found[..., 1]).gather(1, nearest)


def _corners(count: int, step: int) -> Tensor:
    """List every step-th place of `count`, and the last one."""
    places = torch.arange(0, count, step)
    return places if places[-1] == count - 1 else F.pad(places, (0, 1), value=count - 1)


def _window_sums(values: Tensor, starts: Tensor, size: int, dim: int) -> Tensor:
    """Sum `size` values from each start along a dimension, by differences of running sums."""
    padding = (1, 0) if dim == values.ndim - 1 else (0, 0, 1, 0)
    running = F.pad(values.cumsum(dim), padding)
    return running.index_select(dim, starts + size) - running.index_select(dim, starts)


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
    for groups in match_groups(pilot, settings):
        for members in groups.split(GROUPS):
            prior = _members(pilot, settings.patch_size, members)
            mean = prior.mean(1, keepdim=True)
            centred = prior - mean
            covariance = centred.transpose(1, 2) @ centred / members.shape[1]
            # Beside an outlier the noise may be below the rounding errors of its variance.
            rounding = torch.diagonal(covariance, dim1=1, dim2=2).amax(1) * grid.pixels * EPSILON
            least = rounding.clamp(min=noise_variance)[:, None, None]
            factor = torch.linalg.cholesky(covariance + least * identity)
            gain = torch.cholesky_solve(covariance, factor)  # (B, D, D)
            estimate = (_members(noisy, settings.patch_size, members) - mean) @ gain + mean
            variance = torch.diagonal(gain, dim1=1, dim2=2).mean(1)
            _add(average, members, estimate, 1 / (variance + WEIGHT_FLOOR))
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
        for members in (part for strip in groups for part in strip.split(2 * GROUPS)):
            patches = _members(previous, settings.patch_size, members)
            left = torch.full((len(members),), noise_variance, device=noisy.device)
            if iteration:
                original = extract_patches(noisy, settings.patch_size, members[:, 0])
                removed = (original - patches[:, 0]).square().mean(1)
                left = settings.remaining**2 * (noise_variance - removed).abs()
            shrunk, rank = _shrink(patches, left)
            _add(average, members, shrunk, 1 / (1 + rank))
        estimate = average.image()
    return estimate


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
