"""From an array of pixels to the channels that are denoised, and back.

Dimensions: T pages, Y, X height and width, C channels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.config.settings import DenoiseConfig, Impulses
from evodenoise.denoising.channels import ChannelPlan, DistinctChannels
from evodenoise.denoising.tiles import cut_tiles, is_large
from evodenoise.noise.clipping import find_bounds
from evodenoise.noise.impulses import find_impulses
from evodenoise.noise.record import NoiseEstimate
from evodenoise.system.numbers import round_to
from evodenoise.system.scratch import forget

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

IMPULSE_MARGIN = 16
"""Pixels around a tile that tell whether one in it is an impulse."""


def with_channels(stack: Array) -> Array:
    """Give a stack (T, Y, X) an axis of channels, if it has none: (T, Y, X, C)."""
    return stack if stack.ndim == 4 else stack[..., None]


def mark_impulses(pages: Array, missing: Mask | None) -> Mask:
    """Find the impulses of pages (T, Y, X, C), in tiles of pages that are large.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X, C)
        Finite or nan.
    missing : ndarray of bool, shape (T, Y, X), optional
        Pixels that do not count, and are not found either.

    Returns
    -------
    ndarray of bool, shape (T, Y, X)
        What `find_impulses` finds.
    """
    marked = np.zeros(pages.shape[:3], bool)
    side = None if is_large((1, *pages.shape[1:3])) else max(pages.shape[1:3])
    for tile in cut_tiles(pages.shape, IMPULSE_MARGIN, side=side):
        gaps = None if missing is None else missing[tile.outer][0]
        marked[tile.place] = find_impulses(pages[tile.outer][0], gaps)[tile.inner[1:]]
        forget(pages)
    return marked


def take_apart(
    pages: Array, gaps: Mask | None, config: DenoiseConfig, plan: ChannelPlan | None = None
) -> tuple[DistinctChannels, Mask]:
    """Take pages apart, impulses as missing as gaps.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X, C)
        Finite or nan.
    gaps : ndarray of bool, shape (T, Y, X), optional
        Missing pixels.
    config : DenoiseConfig
        Settings: whether impulses are looked for.
    plan : ChannelPlan, optional
        Which channels to take; by default those that differ in these pages.

    Returns
    -------
    channels : DistinctChannels
        What is to be denoised.
    impulses : ndarray of bool, shape (T, Y, X)
        Pixels that were found to be impulses.
    """
    if config.impulses is Impulses.OFF:
        return DistinctChannels.of(pages, gaps, plan=plan), np.zeros(pages.shape[:3], bool)
    impulses = mark_impulses(pages, gaps)
    unknown = impulses if gaps is None else impulses | gaps
    return DistinctChannels.of(pages, unknown, plan=plan), impulses


def is_clipped(channels: DistinctChannels, noise: NoiseEstimate, noise_std: float) -> bool:
    """Tell whether values were clipped; without noise they may all be as they are."""
    if not noise_std:
        return False
    curves = noise.curves or (None,) * channels.values.shape[-1]
    seen = ~channels.missing
    planes = (channels.values[..., channel][seen] for channel in range(len(curves)))
    return any(find_bounds(plane, curve) for plane, curve in zip(planes, curves, strict=True))


def put_back(
    channels: DistinctChannels, values: Array, std: Array, noisy: Array, *, changed: bool
) -> tuple[Array, Array]:
    """Put an estimate of channels back together, in the shape and type of the input.

    Parameters
    ----------
    channels : DistinctChannels
        What was denoised.
    values, std : ndarray, shape (T, Y, X, C)
        Estimate of its values, and standard deviation of its error.
    noisy : ndarray, shape (T, Y, X) or (T, Y, X, C')
        The input.
    changed : bool
        Whether there was noise to be removed; if not, and without gaps, the input comes back.

    Returns
    -------
    image : ndarray
        Of the input's shape and dtype.
    std : ndarray of float32
        Of the input's shape.
    """
    if changed or channels.missing.any():
        image = put_estimate(channels, values, noisy)
    else:
        image = noisy.copy()
    spread = channels.restore(std, constants=False).clip(max=np.finfo(np.float32).max)
    return image, spread.astype(np.float32).reshape(noisy.shape)


def put_estimate(channels: DistinctChannels, values: Array, noisy: Array) -> Array:
    """Put an estimate (T, Y, X, C) of channels back in the shape and type of the input."""
    return _like(channels.restore(values), noisy)


def _like(estimate: Array, image: Array) -> Array:
    """Give an estimate the shape and dtype of the input; only integers are rounded and clipped."""
    shaped = estimate.reshape(image.shape)
    if image.dtype.kind in "ui":
        return round_to(shaped, image.dtype)
    return shaped.astype(image.dtype)
