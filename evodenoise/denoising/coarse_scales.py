"""Coarser scales first: noise that reaches further than a patch is removed where it reaches less.

At half the size the same noise has half the reach, and so on. What comes of it there, enlarged,
takes the place of the coarse part of the image, which is then denoised as usual.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from evodenoise.config.presets import LONGEST_STRETCH
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.scales import double, fine_spectrum, halve, halve_spectrum, reaches_far
from evodenoise.noise.spectrum import NoiseSpectrum

Array = npt.NDArray[Any]
Estimate = Callable[[DistinctChannels, DenoiseConfig, NoiseEstimate], Array]

MOST_SCALES = 3
LEAST_SIDE = 96
"""Pixels; of smaller images half the size would teach nothing."""

LEFT = 0.3
"""Share of the coarse part of the noise that is taken to be left when it has been removed."""

WORK, TIME = 0.5, 0.25
"""Of the training and of the time limit, for the image of half the size."""

MARGINS = (1.4, 1.2, 1.0)
"""Times the level that is read, at each scale, of coloured noise in colour pictures: cameras remove
most of it where the picture is flat, and that is where it is read."""


@dataclass(frozen=True, eq=False)
class Finest:
    """What is left for the finest scale.

    Attributes
    ----------
    channels : DistinctChannels
        Values without the coarse part of their noise.
    noise : NoiseEstimate
        What is left of it, of one level.
    share : float
        Its standard deviation over that of all of the noise that was read.
    """

    channels: DistinctChannels
    noise: NoiseEstimate
    share: float = 1.0


def remove_coarse(
    channels: DistinctChannels,
    config: DenoiseConfig,
    noise: NoiseEstimate,
    estimate: Estimate,
    *,
    scale: int = 0,
) -> Finest:
    """Remove the part of the noise that coarser scales show, if it reaches so far.

    Parameters
    ----------
    channels : DistinctChannels
        Values whose noise has one level.
    config : DenoiseConfig
        Settings.
    noise : NoiseEstimate
        That of the values.
    estimate : callable
        Denoises values at one scale by settings and what is known of their noise.
    scale : int
        How many times the size has been halved.

    Returns
    -------
    Finest
        The values as they are if their noise is white or reaches no further than a patch.
    """
    spectrum, shape = noise.spectrum, channels.values.shape
    if spectrum is None:
        return Finest(channels, noise)
    margin = MARGINS[scale] if shape[-1] > 1 else 1.0
    if scale + 1 == MOST_SCALES or not _is_coarse(spectrum, shape, config):
        return Finest(channels, noise.of_level(margin * noise.level), margin)
    values, gaps = halve(channels.values, channels.missing)
    variance, coarse = halve_spectrum(spectrum)
    small = replace(channels, values=values, missing=gaps)
    below = replace(noise.of_level(noise.level * math.sqrt(variance)), spectrum=coarse)
    quick = shorten(config, shape, work=WORK, time=TIME)
    rest = remove_coarse(small, quick, below, estimate, scale=scale + 1)
    found = estimate(rest.channels, quick, rest.noise)
    variance, fine = fine_spectrum(spectrum, LEFT)
    share = margin * math.sqrt(variance)
    left = replace(noise.of_level(share * noise.level), spectrum=fine)
    better = channels.values + double(found - values, shape)
    return Finest(replace(channels, values=better), left, share)


def _is_coarse(spectrum: NoiseSpectrum, shape: tuple[int, ...], config: DenoiseConfig) -> bool:
    """Tell whether noise of images (T, Y, X, C) is to be looked at from further away."""
    least = max(LEAST_SIDE, 2 * (config.patch_size or 0))
    return min(shape[1:3]) >= least and reaches_far(spectrum)


def shorten(
    config: DenoiseConfig, shape: tuple[int, ...], *, work: float, time: float
) -> DenoiseConfig:
    """Shorten the training for half the size, where epochs of fewer patches are shorter, too.

    Parameters
    ----------
    config : DenoiseConfig
        Settings for pages of `shape`.
    shape : tuple of int
        (T, Y, X, C).
    work, time : float
        Share of the training, and of the time limit.
    """
    pixels = shape[1] * shape[2]
    most = config.lattice_patches or pixels
    stretch = min(min(most, pixels) / min(most, pixels / 4), LONGEST_STRETCH)
    limit = config.time_limit
    return replace(
        config,
        epochs=max(1, round(config.epochs * work * stretch)),
        time_limit=None if limit is None else limit * time,
    )
