"""From a first estimate to a better one, by local models on groups of similar patches.

The autoencoder shares one decoder among all patches; what occurs in one corner of the picture only
is shrunk away by it. Here each reference patch gets a small linear-Gaussian model of its own,
fitted to the patches that look like it nearby. The autoencoder's estimate, where noise no longer
hides what is alike, decides who belongs together and gives the groups their prior.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from evodenoise.config.settings import Refinement
from evodenoise.noise.record import noise_to_signal
from evodenoise.noise.spectrum import NoiseSpectrum
from evodenoise.nonlocal_models.gaussian import gaussian_groups, gaussian_settings
from evodenoise.nonlocal_models.low_rank import (
    low_rank_groups,
    low_rank_settings,
    quick_settings,
)
from evodenoise.nonlocal_models.matching import GroupSettings

Settings = TypeVar("Settings", bound=GroupSettings)
OnShare = Callable[[float], None]

LOW_RANK_SHARE, QUICK_SHARE = 0.6, 0.4
"""Weight of the low-rank estimate beside the Gaussian one: what each misses differs."""

LOW_RANK_COST = 1 / 6**3
"""Time of an iteration of the low-rank groups over that of the Gaussian groups, for patches of one
pixel; it grows with the cube of their side."""

LOW_RANK_PASSES = (1.1, 2.0)
"""Time of such an iteration as it was measured, gray and in colour; the cost above errs on the
side that a deadline wants."""

PASSES: Mapping[Refinement, tuple[float, ...]] = {
    Refinement.NONE: (0.0,),
    Refinement.GAUSSIAN: (0.5,),
    Refinement.QUICK: (1.5, 0.5),
    Refinement.FULL: (8.5, 0.5),
}
"""What a refinement costs, in quick visits of the training to all patches. Second, what it costs
if the low-rank groups have to be left out for want of time."""


def refine(
    noisy: Tensor,
    pilot: Tensor,
    noise_variance: float,
    refinement: Refinement,
    *,
    spectrum: NoiseSpectrum | None = None,
    step: int = 3,
    sizes: tuple[int, ...] = (0,),
    deadline: float | None = None,
    on_share: OnShare | None = None,
) -> Tensor:
    """Fit local models to groups of patches that are alike in a first estimate.

    Parameters
    ----------
    noisy : Tensor, shape (Y, X, C)
        Noisy image of unit variance, without gaps.
    pilot : Tensor, shape (Y, X, C)
        First estimate of the clean image.
    noise_variance : float
        sigma^2; 0: unknown, nothing is refined.
    refinement : Refinement
        Which models.
    spectrum : NoiseSpectrum, optional
        Of the noise, over frequency; white by default.
    step : int
        Distance in pixels of the patches around which groups are formed; the low-rank ones of
        the quick refinement have their own.
    sizes : tuple of int
        Added to the side of the patches, in pixels; the results are averaged.
    deadline : float or None
        When it must be done, on the scale of `time.perf_counter`.
    on_share : callable, optional
        Called with the share of the work that is done.

    Returns
    -------
    Tensor, shape (Y, X, C)
        Refined estimate: the pilot itself if nothing is to be refined or the deadline has passed,
        that of the Gaussian groups alone if it would pass before the low-rank groups are done.
    """
    if refinement is Refinement.NONE or noise_variance == 0 or _expired(deadline):
        return pilot

    def average(
        model: Callable[
            [Tensor, Tensor, float, Settings, NoiseSpectrum | None, OnShare | None], Tensor
        ],
        settings: Settings,
        begin: float,
        end: float,
    ) -> Tensor:
        sides = [min(settings.patch_size + added, *noisy.shape[:2]) for added in sizes]
        each = [replace(settings, patch_size=side) for side in sides]
        edges = [begin + (end - begin) * place / len(each) for place in range(len(each) + 1)]
        runs = [
            model(noisy, pilot, noise_variance, one, spectrum, _part(on_share, *part))
            for one, part in zip(each, pairwise(edges), strict=True)
        ]
        return torch.stack(runs).mean(0)

    ratio = noise_to_signal(noise_variance)
    near = replace(gaussian_settings(ratio, noisy.shape[2]), step=step)
    settings = replace(low_rank_settings(ratio, noisy.shape[2]), step=step)
    if refinement is Refinement.QUICK:
        settings = quick_settings(settings)
    runs = LOW_RANK_COST * settings.patch_size**3 * settings.iterations
    runs *= (step / settings.step) ** 2
    passes = LOW_RANK_PASSES[noisy.shape[2] > 1] * settings.iterations * (step / settings.step) ** 2
    first = 1.0 if refinement is Refinement.GAUSSIAN else 1 / (1 + passes)
    started = time.perf_counter()
    gaussian = average(gaussian_groups, near, 0.0, first)
    seconds = time.perf_counter() - started
    if refinement is Refinement.GAUSSIAN or _expired(deadline, after=runs * seconds):
        return gaussian
    low_rank = average(low_rank_groups, settings, first, 1.0)
    share = QUICK_SHARE if refinement is Refinement.QUICK else LOW_RANK_SHARE
    return share * low_rank + (1 - share) * gaussian


def _part(on_share: OnShare | None, begin: float, end: float) -> OnShare | None:
    """Turn the share of a part that is done into that of the whole."""
    return None if on_share is None else lambda share: on_share(begin + (end - begin) * share)


def _expired(deadline: float | None, after: float = 0.0) -> bool:
    """Say whether the deadline will have passed after so many more seconds."""
    return deadline is not None and time.perf_counter() + after > deadline
