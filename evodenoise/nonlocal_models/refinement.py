"""From a first estimate to a better one, by local models on groups of similar patches.

The autoencoder shares one decoder among all patches; what occurs in one corner of the picture only
is shrunk away by it. Here each reference patch gets a small linear-Gaussian model of its own,
fitted to the patches that look like it nearby. The autoencoder's estimate, where noise no longer
hides what is alike, decides who belongs together and gives the groups their prior.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from typing import TypeVar

import torch
from torch import Tensor

from evodenoise.config.settings import Refinement
from evodenoise.noise.record import noise_to_signal
from evodenoise.noise.spectrum import NoiseSpectrum
from evodenoise.nonlocal_models.gaussian import gaussian_groups, gaussian_settings
from evodenoise.nonlocal_models.low_rank import (
    LowRankSettings,
    low_rank_groups,
    low_rank_settings,
    quick_settings,
)
from evodenoise.nonlocal_models.matching import GroupSettings
from evodenoise.nonlocal_models.mixing import Estimates, mixing_weights

Settings = TypeVar("Settings", bound=GroupSettings)
OnShare = Callable[[float], None]

LOW_RANK_SHARE, QUICK_SHARE = 0.6, 0.4
"""Weight of the low-rank estimate beside the Gaussian one: what each misses differs."""

LOW_RANK_COST = 1 / 6**3
"""Time of an iteration of the low-rank groups over that of the Gaussian groups, for patches of one
pixel; it grows with the cube of their side."""

LOW_RANK_PASSES = (1.0, 2.0)
"""Time of such an iteration as it was measured, gray and in colour; the cost above errs on the side
that a deadline wants."""

FAINT = 0.15
"""Noise over signal below which colour is left to the first Gaussian groups. Such noise is that of
cameras mostly, and the level found is too low: what keeps more texture keeps noise (a crop of
camera_5dmark3_iso3200, 0.08: 0.25 dB lost). From 0.3 on the gain is measured."""

COLOUR_SIZE = 6
"""Side of the patches of the first Gaussian groups, at most, where the brightness goes on from
them: as good for the differences of colours as the larger ones, and quicker."""

BRIGHTNESS_SIZE = 8
"""Least side of the patches of the low-rank groups in colour. Nine tenths of the error are in the
brightness there, and it has less noise beside its signal than all channels together."""

AGAIN = (GroupSettings(4, 20, 20), GroupSettings(14, 50, 25))
"""Gaussian groups that are formed again once both models have made a better pilot, of small and of
large patches, for what these miss differs."""

AGAIN_STEPS = {Refinement.QUICK: (-1, 5), Refinement.FULL: (-1, 2)}
"""Added to the distance of the first groups."""

AGAIN_PASSES = {Refinement.QUICK: (0.5, 1.1), Refinement.FULL: (0.6, 1.9)}
"""Time of these over that of the first Gaussian groups."""

RETURNED = 0.07
"""Share of what has been removed that is put back into the pilot of these groups, for their prior
to have the variance that was lost."""

MEAN_SHARE = 0.15
"""Of the noisy members in the means of these groups."""

PASSES: Mapping[Refinement, tuple[float, ...]] = {
    Refinement.NONE: (0.0,),
    Refinement.GAUSSIAN: (0.6,),
    Refinement.QUICK: (2.3, 0.6),
    Refinement.FULL: (7.5, 0.6),
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
        that of the Gaussian groups if it would pass before the low-rank groups are done.

    Notes
    -----
    Gray, the Gaussian and the low-rank estimate are averaged, `RETURNED` of the residual is put
    back, and that is the pilot of Gaussian groups of small and of large patches. All of these
    estimates, the pilot and the coarse part of the residual are mixed (`Estimates`).

    In colour, the Gaussian groups of all channels give the differences of colours; the brightness,
    the first channel, goes on in the same way, with the same weights. Colour with less noise than
    `FAINT` has the first Gaussian groups only.

    Where noise is coloured nothing is mixed, for the weights were learned with white noise and lose
    up to 0.9 dB there (row offsets, of which the coarse residual is full). Gray, it ends with the
    average of both models; in colour, with that of this average and both of the last groups.
    """
    if refinement is Refinement.NONE or noise_variance == 0 or _expired(deadline):
        return pilot
    colour = noisy.shape[2] > 1
    faint = colour and noise_to_signal(noise_variance) < FAINT
    plan = _Plan.of(noisy, noise_variance, Refinement.GAUSSIAN if faint else refinement, step)
    mixes = spectrum is None and not faint
    again = plan.again if mixes or colour else ()
    parts = plan.parts(len(again))
    first = _Stage(noisy, pilot, noise_variance, spectrum, on_share)
    started = time.perf_counter()
    gaussian = first.average(gaussian_groups, plan.near, sizes, parts[0])
    needed = plan.needed * (time.perf_counter() - started)
    if plan.low_rank is None or _expired(deadline, after=needed):
        return first.mix(gaussian, pilot, refinement=Refinement.GAUSSIAN) if mixes else gaussian
    bright = first.of_brightness(gaussian) if colour else first
    low_rank = bright.average(low_rank_groups, plan.low_rank, sizes, parts[1])
    base = plan.share * low_rank + (1 - plan.share) * gaussian[..., :1]
    returned = bright.returning(base)
    model = partial(gaussian_groups, mean_share=MEAN_SHARE)
    later = [
        returned.average(model, groups, sizes, part)
        for groups, part in zip(again, parts[2:], strict=True)
    ]
    if not mixes:
        return torch.cat([torch.stack([base, *later]).mean(0), gaussian[..., 1:]], 2)
    whole = torch.cat([base, gaussian[..., 1:]], 2)
    return bright.mix(whole, pilot, low_rank, *later, refinement=refinement)


@dataclass(frozen=True)
class _Plan:
    """Which groups are formed, and what they cost beside the first Gaussian ones.

    Attributes
    ----------
    near : GroupSettings
        Gaussian groups in the first estimate.
    low_rank : LowRankSettings or None
        None: there are no others.
    share : float
        Weight of the low-rank estimate beside the Gaussian one.
    again : tuple of GroupSettings
        Gaussian groups in the average of both.
    passes : tuple of float
        Time of each of these four, or of the first.
    needed : float
        Most time that the low-rank groups may take.
    """

    near: GroupSettings
    low_rank: LowRankSettings | None
    share: float
    again: tuple[GroupSettings, ...]
    passes: tuple[float, ...]
    needed: float

    @classmethod
    def of(cls, noisy: Tensor, noise_variance: float, refinement: Refinement, step: int) -> "_Plan":
        """Choose groups for an image of unit variance; parameters as of `refine`."""
        channels, ratio = noisy.shape[2], noise_to_signal(noise_variance)
        near = replace(gaussian_settings(ratio, channels), step=step)
        if refinement is Refinement.GAUSSIAN:
            return cls(near, None, 0.0, (), (1.0,), 0.0)
        quick, settings = refinement is Refinement.QUICK, low_rank_settings(ratio, 1)
        if channels > 1:
            near = replace(near, patch_size=min(near.patch_size, COLOUR_SIZE))
            settings = replace(settings, patch_size=max(settings.patch_size, BRIGHTNESS_SIZE))
        settings = quick_settings(settings) if quick else replace(settings, step=step)
        visits = settings.iterations * (step / settings.step) ** 2
        return cls(
            near,
            settings,
            QUICK_SHARE if quick else LOW_RANK_SHARE,
            tuple(
                replace(groups, step=max(1, step + added))
                for groups, added in zip(AGAIN, AGAIN_STEPS[refinement], strict=True)
            ),
            (1.0, LOW_RANK_PASSES[channels > 1] * visits, *AGAIN_PASSES[refinement]),
            LOW_RANK_COST * settings.patch_size**3 * visits,
        )

    def parts(self, again: int) -> list[tuple[float, float]]:
        """Return the part of the work, from 0 to 1, that each of the groups is, so many again."""
        passes = self.passes[: 2 + again]
        return list(pairwise([0.0, *(done / sum(passes) for done in accumulate(passes))]))


@dataclass(frozen=True, eq=False)
class _Stage:
    """Images that groups are formed of, and their noise; parameters as of `refine`."""

    noisy: Tensor
    pilot: Tensor
    noise_variance: float
    spectrum: NoiseSpectrum | None
    on_share: OnShare | None

    def average(
        self,
        model: Callable[
            [Tensor, Tensor, float, Settings, NoiseSpectrum | None, OnShare | None], Tensor
        ],
        settings: Settings,
        sizes: tuple[int, ...],
        part: tuple[float, float],
    ) -> Tensor:
        """Average what a model makes of patches of several sizes, in a part of the work."""
        sides = [min(settings.patch_size + added, *self.noisy.shape[:2]) for added in sizes]
        begin, end = part
        edges = [begin + (end - begin) * place / len(sides) for place in range(len(sides) + 1)]
        runs = [
            model(
                self.noisy,
                self.pilot,
                self.noise_variance,
                replace(settings, patch_size=side),
                self.spectrum,
                _part(self.on_share, *own),
            )
            for side, own in zip(sides, pairwise(edges), strict=True)
        ]
        return torch.stack(runs).mean(0)

    def of_brightness(self, pilot: Tensor) -> "_Stage":
        """Keep the first channel, the sum of all colours, with a pilot (Y, X, C) of them."""
        variance, spectrum = self.noise_variance, self.spectrum
        if spectrum is not None:
            variance *= float(spectrum.density[0].mean())
            spectrum = NoiseSpectrum.of(spectrum.density[:1])
        return replace(
            self,
            noisy=self.noisy[..., :1].contiguous(),
            pilot=pilot[..., :1].contiguous(),
            noise_variance=variance,
            spectrum=spectrum,
        )

    def returning(self, pilot: Tensor) -> "_Stage":
        """Go on from another pilot, with some of what it lacks put back."""
        return replace(self, pilot=pilot + RETURNED * (self.noisy - pilot))

    def mix(self, whole: Tensor, *others: Tensor, refinement: Refinement) -> Tensor:
        """Mix estimates of the first channel of a whole image (Y, X, C)."""
        variance = self.noise_variance
        planes = [other[..., 0] for other in others]
        estimates = Estimates(self.noisy[..., 0], whole[..., 0], planes, variance)
        return torch.cat([mix(estimates, refinement)[..., None], whole[..., 1:]], 2)


def mix(estimates: Estimates, refinement: Refinement) -> Tensor:
    """Mix estimates (Y, X) by the weights that were learned."""
    return estimates.mixed(mixing_weights(refinement).to(estimates.base))


def _part(on_share: OnShare | None, begin: float, end: float) -> OnShare | None:
    """Turn the share of a part that is done into that of the whole."""
    return None if on_share is None else lambda share: on_share(begin + (end - begin) * share)


def _expired(deadline: float | None, after: float = 0.0) -> bool:
    """Say whether the deadline will have passed after so many more seconds."""
    return deadline is not None and time.perf_counter() + after > deadline
