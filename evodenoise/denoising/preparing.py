"""From values whose noise has one level to a denoiser that is ready: scaling, patches."""

import math
from dataclasses import dataclass

import torch

from evodenoise.config.presets import default_patch_size
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import Array, DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.denoiser import Denoiser
from evodenoise.denoising.scaling import Scaling
from evodenoise.errors import ConfigError
from evodenoise.noise.record import NoiseEstimate, noise_to_signal
from evodenoise.patches.source import PatchSource
from evodenoise.tvae.model import NOISE_VARIANCE_FLOOR

LEAST_NOISE = 1e-20
"""Share of the image's variance; less is none for numbers of 32 bits."""

MOST_NOISE = 0.99
"""Share of the image's variance that the noise can have; beyond it the level must be wrong."""

CHANCE = 4.0
"""Standard deviations by which pure noise may happen to vary less than its level says."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images that are ready to be denoised by one model.

    Attributes
    ----------
    noise_std : float
        Noise level to be used, in pixel units: given or estimated; 0: there is none, and nothing
        but missing pixels to be denoised.
    scaling : Scaling
        From pixels to the denoiser's values.
    denoiser : Denoiser
        The scaled images.
    """

    noise_std: float
    scaling: Scaling
    denoiser: Denoiser

    def log_density(self, nats: float) -> float:
        """Turn the log-density of a patch of scaled values into that of one of pixels."""
        return self.scaling.log_density(nats, self.denoiser.sources[0].grid.pixels)


def prepare(
    channels: DistinctChannels,
    config: DenoiseConfig,
    noise: NoiseEstimate,
    *,
    checkpoint: Checkpoint | None = None,
    deadline: float | None = None,
    patches: int | None = None,
    generator: torch.Generator,
) -> Prepared:
    """Scale values whose noise has one level, and choose patches.

    Parameters
    ----------
    channels : DistinctChannels
        Values that are not constant.
    config : DenoiseConfig
        Settings; with a noise level it counts, not that of `noise`.
    noise : NoiseEstimate
        What is known of the noise of the values.
    checkpoint : Checkpoint, optional
        Where to start from; it fits.
    deadline : float, optional
        When all must be done, on the scale of `time.perf_counter`.
    patches : int, optional
        How many are to be rebuilt until then; by default, those of the channels.
    generator : torch.Generator
        Source of randomness, on the device that computes.

    Returns
    -------
    Prepared
        All that training needs.

    Raises
    ------
    ConfigError
        If the noise level given cannot be right.
    """
    pixels = channels.values[~channels.missing]
    scaling = checkpoint.scaling if checkpoint else Scaling.of(pixels, noise)
    noise_std = noise.level
    if config.noise_std is not None:
        noise_std = config.noise_std
        check_level(noise_std, pixels, scaling if checkpoint else None)
    noise_std *= config.strength
    noise_variance = (noise_std / scaling.std) ** 2
    if noise_variance > MOST_NOISE:
        noise_variance, noise_std = MOST_NOISE, math.sqrt(MOST_NOISE) * scaling.std
    elif noise_variance < LEAST_NOISE:
        # A model that emits variances weighs them by that of the noise: it cannot be zero.
        noise_variance = NOISE_VARIANCE_FLOOR if checkpoint and checkpoint.unlocked else 0.0
        noise_std = 0.0
    denoiser = Denoiser(
        _sources(channels, scaling, config.patch_size, noise_variance, generator.device),
        config,
        noise_variance=noise_variance,
        deadline=deadline,
        patches=patches,
        generator=generator,
        spectrum=noise.spectrum,
    )
    return Prepared(noise_std, scaling, denoiser)


def check_level(noise_std: float, pixels: Array, brought: Scaling | None) -> None:
    """Refuse a given level beyond what pixels (N, C) vary in all, or the images of a model did.

    Raises
    ------
    ConfigError
        If so.
    """
    own = Scaling.of(pixels).std
    if noise_std > own * (1 + CHANCE / math.sqrt(2 * pixels.size)):
        raise ConfigError(
            f"noise level {noise_std:g} is more than the image varies in all, by a standard "
            f"deviation of {own:.4g}; give a lower one, in the units of the pixels, or none"
        )
    if brought is not None and noise_std > brought.std:
        raise ConfigError(
            f"noise level {noise_std:g} is more than the images of the model varied in all, by a "
            f"standard deviation of {brought.std:.4g}; denoise this one without --load-model"
        )


def _sources(
    channels: DistinctChannels,
    scaling: Scaling,
    patch_size: int | None,
    noise_variance: float,
    device: torch.device,
) -> tuple[PatchSource, ...]:
    """Make a source of each page, with patches as the noise demands."""
    shape = channels.values.shape[1:]
    side = patch_size or default_patch_size(noise_to_signal(noise_variance), shape)
    return tuple(
        PatchSource(
            torch.from_numpy(scaling.apply(page)).to(device),
            side,
            torch.from_numpy(gaps).to(device),
        )
        for page, gaps in zip(channels.values, channels.missing, strict=True)
    )
