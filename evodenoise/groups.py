"""Local models on groups of similar patches, found in a first estimate.

The VAE shares one decoder among all patches; what occurs in one corner of the picture only
is shrunk away by it. Here each reference patch gets a small linear-Gaussian model of its own,
fitted to the patches that look like it nearby. The VAE's estimate, where noise no longer
hides what is alike, decides who belongs together and gives the groups their prior.

Dimensions: Y, X height and width, C channels, p patch size, D = p*p*C, R reference patches,
M members of a group.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from evodenoise.patches import PatchAverage, PatchGrid, extract_patches

Part = TypeVar("Part")
Result = TypeVar("Result")

STRIP_VALUES = 2**23
"""Distances held at once."""

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
    rows = _corners(grid.rows, settings.step).to(image.device)
    columns = _corners(grid.columns, settings.step).to(image.device)
    radius = settings.radius
    strip = max(1, STRIP_VALUES // ((2 * radius + 1) ** 2 * len(columns)))
    padded = F.pad(image, (0, 0, radius, radius, radius, radius))
    for some_rows in rows.split(strip):
        yield _match_strip(image, padded, grid, settings, some_rows, columns)


def _match_strip(
    image: Tensor,
    padded: Tensor,
    grid: PatchGrid,
    settings: GroupSettings,
    rows: Tensor,
    columns: Tensor,
) -> Tensor:
    """Find the groups around the corners in some rows of the grid: (R, M)."""
    size, radius, device = settings.patch_size, settings.radius, image.device
    reach = torch.arange(-radius, radius + 1, device=device)
    shifts = torch.cartesian_prod(reach, reach)  # (O, 2)
    top, bottom = int(rows[0]), int(rows[-1]) + size
    here = image[top:bottom].transpose(1, 2)[:, None]  # (Y', 1, C, X)
    distances = []
    for down in range(2 * radius + 1):
        # All shifts to the right at once: (Y', 2 * radius + 1, C, X).
        moved = padded[down + top : down + bottom].unfold(1, image.shape[1], 1)
        squares = (here - moved).square().sum(2).double()
        sums = _window_sums(squares, rows - top, size, dim=0)
        sums = _window_sums(sums, columns, size, dim=2)
        distances.append(sums.float().transpose(1, 2).flatten(0, 1))  # (R, 2 * radius + 1)
    every = torch.cat(distances, 1)  # (R, O)
    nearest = []
    corners = torch.cartesian_prod(rows, columns)  # (R, 2)
    limits = torch.tensor([grid.rows, grid.columns], device=device)
    parts = zip(every.split(GROUPS), corners.split(GROUPS), strict=True)
    for costs, corner in parts:
        there = corner[:, None] + shifts  # (B, O, 2)
        outside = ((there < 0) | (there >= limits)).any(-1)
        costs = costs.masked_fill(outside, torch.inf)
        costs[:, len(shifts) // 2] = -1.0
        members = min(settings.members, int((~outside).sum(1).min()))
        chosen = costs.topk(members, dim=1, largest=False).indices
        found = corner[:, None] + shifts[chosen]
        nearest.append(found[..., 0] * grid.columns + found[..., 1])
    members = min(part.shape[1] for part in nearest)
    return torch.cat([part[:, :members] for part in nearest])


def in_threads(
    work: Callable[[Part], Result], parts: Iterable[Part], device: torch.device
) -> Iterator[Result]:
    """Work on parts side by side, a thread of one core each, for as many cores as torch has.

    The many small matrices here give torch nothing to share between cores by itself.

    Parameters
    ----------
    work : callable
        Makes a result of a part; without side effects.
    parts : iterable
        The parts; a few are taken at a time.
    device : torch.device
        Other devices than the CPU get one part after the other.

    Yields
    ------
    Result
        In the order of the parts.
    """
    threads = torch.get_num_threads()
    if threads == 1 or device.type != "cpu":
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        left = iter(parts)
        while some := list(islice(left, 4 * threads)):
            yield from pool.map(work, some)


def _corners(count: int, step: int) -> Tensor:
    """List every step-th place of `count`, and the last one."""
    places = torch.arange(0, count, step)
    return places if places[-1] == count - 1 else F.pad(places, (0, 1), value=count - 1)


def _window_sums(values: Tensor, starts: Tensor, size: int, dim: int) -> Tensor:
    """Sum `size` values from each start along a dimension, by differences of running sums."""
    padding = (0, 0) * (values.ndim - 1 - dim) + (1, 0)
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

    def estimate(members: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        prior = _members(pilot, settings.patch_size, members)
        mean = prior.mean(1, keepdim=True)
        centred = prior - mean
        covariance = centred.transpose(1, 2) @ centred / members.shape[1]
        factor = torch.linalg.cholesky(covariance + noise_variance * identity)
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
        parts = [part for strip in groups for part in strip.split(2 * GROUPS)]
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
