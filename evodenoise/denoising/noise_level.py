"""The noise of an image or a stack as denoising will take it: the one reading of it there is."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from evodenoise.config.settings import DenoiseConfig, Noise
from evodenoise.denoising.arrays import mark_impulses
from evodenoise.denoising.channels import ChannelPlan, DistinctChannels, spread_pages
from evodenoise.denoising.checks import Array, Mask, as_array, as_mask, check_image
from evodenoise.denoising.tiles import cut_windows, is_large
from evodenoise.errors import ConfigError, ImageError, plural
from evodenoise.noise.blind import read_blindly, with_curves
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.jackknife import read_uncertainty
from evodenoise.noise.record import NoiseEstimate, NoiseKind
from evodenoise.noise.uncertainty import NoiseSource

MOST_READ_PAGES = 8
"""Evenly spaced; the noise of a stack is hardly estimated better from more."""


def estimate_noise(image: npt.ArrayLike, *, missing: npt.ArrayLike | None = None) -> NoiseEstimate:
    """Estimate the noise of an image from it alone, as `denoise` does.

    Parameters
    ----------
    image : array-like, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float; pixels with a nan are missing.
    missing : array-like, shape (Y, X), optional
        More missing pixels: those that are not zero.

    Returns
    -------
    NoiseEstimate
        Of the channels that differ from each other and are not constant; its `level`, in the
        image's own units, is what `denoise` would use. It comes with its `uncertainty`.

    Raises
    ------
    ImageError
        If the array is no image, smaller than 4 x 4 pixels, infinite somewhere or missing
        altogether.

    Examples
    --------
    >>> import numpy as np
    >>> from evodenoise import estimate_noise
    >>> noisy = np.random.default_rng(0).normal(100.0, 5.0, (128, 128))
    >>> round(estimate_noise(noisy).level, 1)
    5.0
    """
    pixels = as_array(image)
    check_image(pixels)
    gaps = as_mask(missing, pixels.shape[:2])
    return read_noise(np.atleast_3d(pixels)[None], None if gaps is None else gaps[None])[0]


def read_noise(
    pages: Array, missing: Mask | None = None
) -> tuple[NoiseEstimate, tuple[float, ...], Mask]:
    """Estimate the noise of a stack; of its values only those of a few pages are copied.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X, C)
        Finite or nan.
    missing : ndarray of bool, shape (T, Y, X), optional
        More missing pixels.

    Returns
    -------
    estimate : NoiseEstimate
        What `noise_of` says of all of its pages, and how well it is known.
    levels : tuple of float
        Standard deviation in each channel of the pages; 0 for a constant one.
    impulses : ndarray of bool, shape (T, Y, X)
        Pixels that are impulses and tell nothing of the rest of the noise.

    Raises
    ------
    ImageError
        If every pixel is missing.
    """
    impulses = mark_impulses(pages, missing)
    channels = _sample(pages, missing, None if is_large(pages.shape) else impulses)
    if channels.missing.all():
        raise ImageError("every pixel is missing; nothing is left to learn from")
    estimate = _with_uncertainty(noise_of(channels), channels)
    places = channels.plan.sources
    levels = [0.0 if place is None else estimate.per_channel[place] for place in places]
    return estimate, tuple(levels), impulses


def with_uncertainty(
    noise: NoiseEstimate, pages: Array, missing: Mask | None = None
) -> NoiseEstimate:
    """Say how well noise is known that was read of a stack, as `read_noise` does.

    Parameters
    ----------
    noise : NoiseEstimate
        What denoising the stack has read of it.
    pages : ndarray, shape (T, Y, X, C)
        Finite or nan.
    missing : ndarray of bool, shape (T, Y, X), optional
        More missing pixels.

    Returns
    -------
    NoiseEstimate
        The same, with its uncertainty if that can be told.
    """
    channels = _sample(pages, missing)
    if channels.missing.all() or channels.values.shape[-1] != len(noise.per_channel):
        return noise
    return _with_uncertainty(noise, channels)


def _sample(pages: Array, missing: Mask | None, impulses: Mask | None = None) -> DistinctChannels:
    """Take a few pages apart, or windows of large ones; impulses are looked for unless known."""
    plan = ChannelPlan.of(pages, missing) if is_large(pages.shape) else None
    windows, gaps = cut_windows(pages, missing)
    found = mark_impulses(windows, gaps) if impulses is None else impulses
    unknown = found if gaps is None else found | gaps
    return DistinctChannels.of(windows, unknown, plan=plan, most_pages=MOST_READ_PAGES)


def _with_uncertainty(noise: NoiseEstimate, channels: DistinctChannels) -> NoiseEstimate:
    if channels.constant:
        return noise
    chosen = spread_pages(channels.missing, MOST_READ_PAGES)
    known = read_uncertainty(channels.values[chosen], channels.missing[chosen], noise)
    return replace(noise, uncertainty=known)


def noise_of(channels: DistinctChannels, wanted: NoiseKind | None = None) -> NoiseEstimate:
    """Say what some pages of a stack, not all of it missing, tell of its noise."""
    if channels.constant:
        return NoiseEstimate.none(len(channels.plan.sources))
    chosen = spread_pages(channels.missing, MOST_READ_PAGES)
    return read_blindly(channels.values[chosen], channels.missing[chosen], wanted)


def check_channels(noise: NoiseEstimate, plan: ChannelPlan) -> None:
    """Refuse a record of the noise of other channels than those that are to be denoised.

    Raises
    ------
    ConfigError
        If so.
    """
    known, count = len(noise.per_channel), len(plan.kept)
    if count and known != count:
        raise ConfigError(
            f"the noise is known of {plural(known, 'channel')}, the image has {count}, equal ones "
            "counted once; give the noise of images like this"
        )


def known_noise(
    channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate | None = None
) -> NoiseEstimate:
    """Say what is known of the noise: what is given, else what settings tell and images say.

    Parameters
    ----------
    channels : DistinctChannels
        Values that are not constant.
    config : DenoiseConfig
        Settings.
    noise : NoiseEstimate, optional
        Of images like these.

    Returns
    -------
    NoiseEstimate
        With `config.gain`, that of photons; with `config.noise_std`, white or of that level.

    Raises
    ------
    ConfigError
        If the noise is given twice, or that of other channels.
    """
    if noise is not None:
        if (
            config.noise_std is not None
            or config.gain is not None
            or config.noise is not Noise.AUTO
        ):
            raise ConfigError(
                "the noise is given twice: as a record, and by its level, gain or kind"
            )
        check_channels(noise, channels.plan)
        return noise
    wanted = None if config.noise is Noise.AUTO else NoiseKind(config.noise.value)
    if config.gain is not None:
        curve = LevelCurve.of_photons(config.gain, config.readout or 0.0, config.offset or 0.0)
        curves = [curve] * channels.values.shape[-1]
        white = noise_of(channels, NoiseKind.WHITE)
        found = with_curves(white, curves, channels.values[~channels.missing])
        return replace(found, source=NoiseSource.GIVEN)
    if config.noise_std is None:
        return noise_of(channels, wanted)
    if wanted is not NoiseKind.COLOURED:
        return noise_of(channels, NoiseKind.WHITE)
    noise = noise_of(channels, wanted)
    if noise.spectrum is None:
        return noise
    return replace(noise.rescaled(config.noise_std / noise.std), source=NoiseSource.GIVEN)
