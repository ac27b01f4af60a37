"""Coarser scales first: noise that reaches further than a patch is removed where it reaches less.

At half the size the same noise has half the reach, and so on. What comes of it there, enlarged,
takes the place of the coarse part of the image, which is then denoised as usual.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.config.presets import LONGEST_STRETCH
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.scales import double, fine_spectrum, halve, halve_spectrum, reaches_far
from evodenoise.noise.spectrum import NoiseSpectrum

Array = npt.NDArray[Any]

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
    coarser : Checkpoint or None
        What was learned at half the size; None: nothing was removed there.
    scale : int
        How many times the size has been halved.
    std : ndarray, shape (T, Y, X, C), or None
        Standard deviation of what coarser scales got wrong; None: nothing was removed there.
    """

    channels: DistinctChannels
    noise: NoiseEstimate
    share: float = 1.0
    coarser: Checkpoint | None = None
    scale: int = 0
    std: Array | None = None

    def with_coarser(self, std: Array) -> Array:
        """Add to the deviations of errors (T, Y, X, C) of this scale those of the coarser ones."""
        total: Array = std if self.std is None else np.hypot(std, self.std)
        return total


Estimate = Callable[
    [Finest, DenoiseConfig, Checkpoint | None], tuple[Array, Array, Checkpoint | None]
]
"""Returns values, the standard deviation of their errors, and the model."""


def remove_coarse(
    channels: DistinctChannels,
    config: DenoiseConfig,
    noise: NoiseEstimate,
    estimate: Estimate,
    *,
    model: Checkpoint | None = None,
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
        Denoises values at one scale by settings and a model, or one that it trains.
    model : Checkpoint, optional
        Of this scale; it brings those of coarser ones along.
    scale : int
        How many times the size has been halved.

    Returns
    -------
    Finest
        The values as they are if their noise is white or reaches no further than a patch.
    """
    spectrum, shape = noise.spectrum, channels.values.shape
    coarser = None if model is None else model.coarser
    if spectrum is None:
        return Finest(channels, noise, scale=scale)
    margin = MARGINS[scale] if shape[-1] > 1 else 1.0
    if model is not None:
        looks = coarser is not None and min(shape[1:3]) >= 2 * coarser.patch_size
    else:
        looks = scale + 1 < MOST_SCALES and _is_coarse(spectrum, shape, config)
    if not looks:
        return Finest(channels, noise.of_level(margin * noise.level), margin, scale=scale)
    values, gaps = halve(channels.values, channels.missing)
    variance, coarse = halve_spectrum(spectrum)
    small = replace(channels, values=values, missing=gaps)
    below = replace(noise.of_level(noise.level * math.sqrt(variance)), spectrum=coarse)
    quick = shorten(config, shape, work=WORK, time=TIME)
    rest = remove_coarse(small, quick, below, estimate, model=coarser, scale=scale + 1)
    found, wrong, learned = estimate(rest, quick, coarser)
    variance, fine = fine_spectrum(spectrum, LEFT)
    share = margin * math.sqrt(variance)
    left = replace(noise.of_level(share * noise.level), spectrum=fine)
    better = channels.values + double(found - values, shape)
    coarse_std = double(wrong, shape).clip(min=0)
    return Finest(replace(channels, values=better), left, share, learned, scale, coarse_std)


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
        epochs=max(1, round(config.epochs * work * stretch)) if config.epochs else 0,
        time_limit=None if limit is None else limit * time,
    )
