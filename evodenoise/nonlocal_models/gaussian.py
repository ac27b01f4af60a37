"""A Gaussian model of each group, its prior taken from a first estimate: a Wiener filter.

Dimensions: Y, X height and width, C channels, D values of a patch, G groups, M members of a group.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from evodenoise.noise.spectrum import NoiseSpectrum
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
from evodenoise.patches.grid import PatchGrid
from evodenoise.system.threads import in_threads

EPSILON = torch.finfo(torch.float32).eps

WEIGHT_FLOOR = 0.02
"""Added to the posterior variance over sigma^2 before a group is weighted by its inverse."""

GAUSSIAN = GroupSettings(patch_size=7, members=40, radius=16)


def gaussian_settings(noise_to_signal: float, channels: int) -> GroupSettings:
    """Choose the settings of the Gaussian model: smaller patches for clear colours.

    Parameters
    ----------
    noise_to_signal : float
        Standard deviation of the noise over that of the clean image.
    channels : int
        C.

    Returns
    -------
    GroupSettings
        The settings.
    """
    clear = channels > 1 and noise_to_signal < 0.7
    return replace(GAUSSIAN, patch_size=5) if clear else GAUSSIAN


@torch.no_grad()
def gaussian_groups(
    noisy: Tensor,
    pilot: Tensor,
    noise_variance: float,
    settings: GroupSettings = GAUSSIAN,
    spectrum: NoiseSpectrum | None = None,
    on_share: Callable[[float], None] | None = None,
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
        How groups are formed.
    spectrum : NoiseSpectrum, optional
        Of the noise, over frequency; white by default.
    on_share : callable, optional
        Called with the share of the work that is done.

    Returns
    -------
    Tensor, shape (Y, X, C)
        Posterior means of all members of all groups, averaged.

    Notes
    -----
    Mean m and covariance S of a group are those of its members in the pilot (empirical Bayes, as
    in the second step of Lebrun, Buades, Morel, "A nonlocal Bayesian image denoising algorithm",
    SIAM J. Imaging Sciences 6(3), 2013). With noise of covariance sigma^2 R, R = I if it is white,
    a noisy member y has the posterior

        mean         m + S (S + sigma^2 R)^-1 (y - m)
        covariance   sigma^2 R (S + sigma^2 R)^-1 S

    and counts with the weight 1 / (v / sigma^2 + `WEIGHT_FLOOR`), v the mean posterior variance of
    its pixels.
    """
    grid = PatchGrid(noisy.shape, settings.patch_size)
    average = PatchAverage(grid, noisy.dtype, noisy.device)
    relative = _relative_covariance(spectrum, settings.patch_size, grid.pixels).to(noisy)  # R

    def estimate(members: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        prior = cut_members(pilot, settings.patch_size, members)
        mean = prior.mean(1, keepdim=True)
        centred = prior - mean
        covariance = centred.transpose(1, 2) @ centred / members.shape[1]
        # Beside an outlier the noise may be below the rounding errors of its variance.
        rounding = torch.diagonal(covariance, dim1=1, dim2=2).amax(1) * grid.pixels * EPSILON
        noise = rounding.clamp(min=noise_variance)[:, None, None]
        factor = torch.linalg.cholesky(covariance + noise * relative)
        gain = torch.cholesky_solve(covariance, factor)  # (G, D, D), (S + sigma^2 R)^-1 S
        patches = (cut_members(noisy, settings.patch_size, members) - mean) @ gain + mean
        left = gain if spectrum is None else relative @ gain  # over sigma^2
        variance = torch.diagonal(left, dim1=1, dim2=2).mean(1)
        return members, patches, 1 / (variance + WEIGHT_FLOOR)

    work = GroupWork(count_groups(grid, settings.step), 1, 1, on_share)
    for groups in match_groups(pilot, settings):
        work.matched(len(groups))
        parts = groups.split(groups_at_once(noisy.device))
        for members, patches, weights in in_threads(estimate, parts, noisy.device):
            add_groups(average, members, patches, weights)
            work.fitted(len(members))
    return average.image()


def _relative_covariance(spectrum: NoiseSpectrum | None, patch_size: int, pixels: int) -> Tensor:
    """Return the covariance of the noise of a patch over its variance: (D, D)."""
    if spectrum is None:
        return torch.eye(pixels)
    return torch.from_numpy(spectrum.covariance(patch_size))
