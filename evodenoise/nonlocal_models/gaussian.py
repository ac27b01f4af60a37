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

FEW = 0.6
"""Members of a group over the values of a patch: with fewer, the members' products are inverted."""

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
    mean_share: float = 0.0,
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
    mean_share : float
        Of the noisy members in the mean of a group; the rest is that of the first estimate, which
        may have lost some of what all members share.

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
    its pixels. Of few members with white noise, the rows of a matrix C about their mean, not the
    covariance S = C^T C / M of D x D values is inverted but the products of members, M x M:

        S (S + sigma^2 I)^-1 = C^T (C C^T + M sigma^2 I)^-1 C
    """
    grid = PatchGrid(noisy.shape, settings.patch_size)
    average = PatchAverage(grid, noisy.dtype, noisy.device)
    relative = None  # R; I if it is None
    if spectrum is not None:
        relative = torch.from_numpy(spectrum.covariance(settings.patch_size)).to(noisy)

    def estimate(members: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        prior = cut_members(pilot, settings.patch_size, members)
        mean = prior.mean(1, keepdim=True)
        centred = prior - mean
        about = cut_members(noisy, settings.patch_size, members)
        if mean_share:
            mean = mean + mean_share * (about.mean(1, keepdim=True) - mean)
        if relative is None and members.shape[1] < FEW * grid.pixels:
            found, variances = _few_members(centred, about - mean, noise_variance)
        else:
            found, variances = _many_members(centred, about - mean, noise_variance, relative)
        return members, found + mean, 1 / (variances + WEIGHT_FLOOR)

    work = GroupWork(count_groups(grid, settings.step), 1, 1, on_share)
    for groups in match_groups(pilot, settings):
        work.matched(len(groups))
        parts = groups.split(groups_at_once(noisy.device))
        for members, patches, weights in in_threads(estimate, parts, noisy.device):
            add_groups(average, members, patches, weights)
            work.fitted(len(members))
    return average.image()


def _many_members(
    centred: Tensor, deviations: Tensor, noise_variance: float, relative: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Denoise groups by their covariances.

    Takes the pilot's members about their mean (G, M, D), noisy ones, sigma^2 and R. Returns the
    posterior means of the noisy ones, and the mean variance of a pixel over sigma^2, (G,).
    """
    covariance = centred.mT @ centred / centred.shape[1]
    noise = _above_rounding(noise_variance, torch.diagonal(covariance, dim1=1, dim2=2))
    own = torch.eye(covariance.shape[1]).to(covariance)
    factor = torch.linalg.cholesky(covariance + noise * (own if relative is None else relative))
    inverse = noise * torch.cholesky_inverse(factor)  # sigma^2 (S + sigma^2 R)^-1, (G, D, D)
    if relative is None:
        gain = left = own - inverse
    else:
        gain = own - inverse @ relative
        left = relative @ gain
    return deviations @ gain, torch.diagonal(left, dim1=1, dim2=2).mean(1)


def _few_members(
    centred: Tensor, deviations: Tensor, noise_variance: float
) -> tuple[Tensor, Tensor]:
    """Do the same for white noise by the products of members."""
    count = centred.shape[1]
    products = centred @ centred.mT / count
    noise = _above_rounding(noise_variance, torch.diagonal(products, dim1=1, dim2=2))
    products.diagonal(dim1=1, dim2=2).add_(noise[:, :, 0])
    factor = torch.linalg.cholesky(products)  # L
    # (L^-1 C)^T, (G, D, M): its products are C^T (L L^T)^-1 C.
    root = torch.linalg.solve_triangular(factor.mT, centred.mT, upper=True, left=False)
    found = (deviations @ root / count) @ root.mT
    return found, root.square().mean(1).sum(1) / count


def _above_rounding(noise_variance: float, variances: Tensor) -> Tensor:
    """Return sigma^2 for groups with variances (G, N) along the diagonal: (G, 1, 1).

    Beside an outlier the noise may be below the rounding errors of its variance.
    """
    rounding = variances.amax(1) * variances.shape[1] * EPSILON
    return rounding.clamp(min=noise_variance)[:, None, None]
