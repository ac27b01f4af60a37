"""From the values of an image to a denoiser that is ready: noise, scaling, patches."""

import math
from dataclasses import dataclass, replace

import torch

from evodenoise.config.presets import default_patch_size
from evodenoise.config.settings import Clipped, DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.denoiser import Denoiser
from evodenoise.denoising.levelling import Array, Levelling, choose_levelling
from evodenoise.denoising.noise_level import noise_of
from evodenoise.denoising.scaling import Scaling
from evodenoise.errors import ConfigError
from evodenoise.noise.estimation import NoiseEstimate, noise_to_signal
from evodenoise.patches.source import PatchSource
from evodenoise.tvae.model import NOISE_VARIANCE_FLOOR

LEAST_NOISE = 1e-20
"""Share of the image's variance; less is none for numbers of 32 bits."""

MOST_NOISE = 0.99
"""Share of the image's variance that the noise can have; beyond it the level must be wrong."""

MOST_LEVEL = 4.0
"""Standard deviations of the image that noise can have which follows the signal or was clipped;
what clipping takes away from strong noise is less than this."""

CHANCE = 4.0
"""Standard deviations by which pure noise may happen to vary less than its level says."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images that are ready to be denoised by one model.

    Attributes
    ----------
    noise : NoiseEstimate
        What the images say about their noise.
    noise_std : float
        Noise level to be used, in pixel units: given or estimated; 0: there is none, and nothing
        but missing pixels to be denoised.
    levelling : Levelling or None
        From pixels to values whose noise has one level; None: theirs has.
    scaling : Scaling
        From there to the denoiser's values.
    denoiser : Denoiser
        The scaled images.
    unit : float
        What one unit of noise of the denoiser's values is in pixel units, root mean square.
    log_slope : float
        Mean logarithm of the slope of the levelling at the pixels.
    """

    noise: NoiseEstimate
    noise_std: float
    levelling: Levelling | None
    scaling: Scaling
    denoiser: Denoiser
    unit: float
    log_slope: float

    def to_pixels(self, estimate: Array, variance: Array) -> tuple[Array, Array]:
        """Turn estimates (T, Y, X, C) and their variances into pixels and deviations."""
        values, std = self.scaling.undo(estimate), self.scaling.undo_std(variance)
        if self.levelling is None:
            return values, std
        return self.levelling.undo(values), self.levelling.undo_std(values, std)

    def log_density(self, nats: float) -> float:
        """Turn the log-density of a patch into that of one of pixel values."""
        pixels = self.denoiser.sources[0].grid.pixels
        return self.scaling.log_density(nats, pixels) + pixels * self.log_slope


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
        If nothing would ever be trained, or the noise level given cannot be right.
    """
    noise = noise_of(channels)
    if checkpoint is not None:
        checkpoint.check_fits(channels.values.shape[-1], channels.values.shape[1:3])
        _check_levelling(checkpoint, config)
        levelling, config = checkpoint.levelling, checkpoint.configure(config)
    else:
        levelling = choose_levelling(channels, config, noise)
        if not config.epochs:
            raise ConfigError("0 epochs leave the model untrained; ask for at least one")
    unit, log_slope, own = 1.0, 0.0, noise
    if levelling is not None:
        seen = channels.values[~channels.missing]
        unit, log_slope = levelling.level(seen), levelling.log_slope(seen)
        _check_unit(unit, seen)
        channels = replace(channels, values=levelling.apply(channels.values))
        own = noise_of(channels).of_level(1.0)
        noise = replace(noise, consistent=own.consistent)
    scaling = (
        checkpoint.scaling if checkpoint else Scaling.of(channels.values[~channels.missing], own)
    )
    noise_std = own.level
    if levelling is None and config.noise_std is not None:
        noise_std = config.noise_std
        _check_level(noise_std, channels, scaling if checkpoint else None)
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
        generator=generator,
        spectrum=noise.spectrum,
    )
    return Prepared(noise, noise_std * unit, levelling, scaling, denoiser, unit, log_slope)


def _check_levelling(checkpoint: Checkpoint, config: DenoiseConfig) -> None:
    """Refuse what is said of the noise beside a model that knows it, or has learned another."""
    if config.gain is not None or config.clipped is Clipped.RESTORE:
        raise ConfigError(
            "a model brings along what gain and clipped values its images had; leave them out, or "
            "denoise without --load-model"
        )
    if checkpoint.levelling is not None and config.noise_std is not None:
        raise ConfigError(
            "the model was trained on noise that follows the signal; leave out sigma, or denoise "
            "without --load-model"
        )


def _check_unit(level: float, pixels: Array) -> None:
    """Refuse levels of noise far beyond what the pixels (N, C) vary in all."""
    own = Scaling.of(pixels).std
    if level > MOST_LEVEL * own:
        raise ConfigError(
            f"noise of {level:.4g} at the mean of the image is far more than it varies in all, by "
            f"a standard deviation of {own:.4g}; give gain, read-out and sigma in the units of "
            "the pixels"
        )


def _check_level(noise_std: float, channels: DistinctChannels, brought: Scaling | None) -> None:
    """Refuse a given level beyond what the image varies in all, or the images of a model did."""
    pixels = channels.values[~channels.missing]
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
