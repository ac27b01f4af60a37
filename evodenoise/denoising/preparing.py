"""From the values of an image to a denoiser that is ready: noise, scaling, patches."""

from dataclasses import dataclass

import numpy as np
import torch

from evodenoise.config.presets import default_patch_size
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.denoiser import Denoiser
from evodenoise.denoising.scaling import Scaling
from evodenoise.errors import ConfigError
from evodenoise.noise.estimation import (
    NoiseEstimate,
    estimate_noise,
    mean_estimate,
    noise_to_signal,
)
from evodenoise.patches.source import PatchSource

LEAST_NOISE = 1e-20
"""Share of the image's variance; less is none for numbers of 32 bits."""

MOST_NOISE = 0.99
"""Share of the image's variance that the noise can have; beyond it the level must be wrong."""

MOST_READ_PAGES = 8
"""Pages of a stack whose noise is estimated."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images that are ready to be denoised by one model.

    Attributes
    ----------
    noise : NoiseEstimate
        What the images say about their noise.
    noise_std : float
        Noise level to be used, in pixel units: given or estimated; 0: to be learned.
    scaling : Scaling
        From pixels to the denoiser's values.
    denoiser : Denoiser
        The scaled images.
    """

    noise: NoiseEstimate
    noise_std: float
    scaling: Scaling
    denoiser: Denoiser


def prepare(
    channels: DistinctChannels,
    config: DenoiseConfig,
    *,
    checkpoint: Checkpoint | None = None,
    deadline: float | None = None,
    generator: torch.Generator,
) -> Prepared:
    """Estimate the noise, scale the values, and choose patches.

    Parameters
    ----------
    channels : DistinctChannels
        Values that are not constant.
    config : DenoiseConfig
        Settings.
    checkpoint : Checkpoint, optional
        Where to start from.
    deadline : float, optional
        When all must be done, on the scale of `time.perf_counter`.
    generator : torch.Generator
        Source of randomness, on the device that computes.

    Returns
    -------
    Prepared
        All that training needs.

    Raises
    ------
    ImageError
        If the checkpoint is not for images like this.
    ConfigError
        If nothing would ever be trained.
    """
    noise = _noise_of(channels)
    if checkpoint is not None:
        checkpoint.check_fits(channels.values.shape[-1], channels.values.shape[1:3])
        scaling, config = checkpoint.scaling, checkpoint.configure(config)
    else:
        scaling = Scaling.of(channels.values[~channels.missing], noise)
        if not config.epochs:
            raise ConfigError("0 epochs leave the model untrained; ask for at least one")
    noise_std = noise.level if config.noise_std is None else config.noise_std
    noise_variance = min((noise_std / scaling.std) ** 2, MOST_NOISE)
    if noise_variance < LEAST_NOISE:
        noise_variance = 0.0
    denoiser = Denoiser(
        _sources(channels, scaling, config.patch_size, noise_variance, generator.device),
        config,
        noise_variance=noise_variance,
        deadline=deadline,
        generator=generator,
    )
    return Prepared(noise, noise_std, scaling, denoiser)


def _noise_of(channels: DistinctChannels) -> NoiseEstimate:
    """Estimate the noise of some pages, evenly spaced."""
    count = len(channels.values)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_READ_PAGES)).round().astype(int))
    return mean_estimate(
        [estimate_noise(channels.values[page], missing=channels.missing[page]) for page in chosen]
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
