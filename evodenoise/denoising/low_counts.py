"""Images of few photons: their noise cannot be made one of one level, until there are more.

Sums of neighbouring pixels are photon noise again, of more counts. So the image is first denoised
at half its size, and there again, until the counts are enough. What comes of it, enlarged, is
mixed into the image: so diluted, its noise is that of more photons, and is removed as usual.

L. Azzari, A. Foi, "Variance stabilization for noisy+estimate combination in iterative Poisson
denoising", IEEE Signal Processing Letters 23(8), 2016.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.config.presets import LONGEST_STRETCH
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import fill_missing
from evodenoise.denoising.noise_level import read_noise
from evodenoise.denoising.result import DenoiseResult
from evodenoise.noise.stabilisation import ANSCOMBE

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Once = Callable[[Array, DenoiseConfig, Mask | None], DenoiseResult]

ENOUGH_COUNTS = 10.0
"""Counts that a typical photon comes with, from which on they are denoised as they are."""

LEAST_SHARE, MOST_SHARE = 0.1, 0.7
"""Of the image in the mixture: with less, all is guessed; with more, it is not worth the time."""

MOST_DETAIL = 0.15
DOUBTFUL = 3.0
"""Share of what the picture varies that averaging 2 x 2 pixels would take away, and standard
deviations of the noise that it must exceed: photographs lose 0.00 to 0.15, point-like stars
0.2 to 0.4, and these are better denoised as they are."""

CONTRADICTION = 3.5
"""Standard deviations by which 3 x 3 pixels are brighter than the enlarged image says, where the
noisy one is believed: something small and bright. Of the pixels of photographs 1 in 10,000."""

FEWEST_COUNTS = 1e-6
"""A mean, to be divided by."""

SMALLEST_SIDE = 64
"""Pixels; of smaller images half the size would teach nothing, and averages of neighbours guide."""

WIDTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Of these averages: standard deviations of Gaussians, in pixels."""

COARSE_WORK, COARSE_TIME = 0.5, 0.4
"""Of the training and of the time limit, for the image of half the size: as much training as for
the whole gains 0.05 dB."""


def denoise_few_counts(
    pages: Array, config: DenoiseConfig, missing: Mask | None, once: Once
) -> DenoiseResult:
    """Denoise pages by way of smaller ones if they hold few photons, else as they are.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Noisy; nan is missing.
    config : DenoiseConfig
        Settings.
    missing : ndarray of bool, shape (T, Y, X), optional
        More missing pixels.
    once : callable
        Denoises pages by settings, with a mask of missing pixels.

    Returns
    -------
    DenoiseResult
        Of the pages, but of type float64 if they hold few photons. It has no model then, for none
        has learned images like these.
    """
    gain, read = config.gain, config.readout or 0.0
    share = None if gain is None else choose_share(pages, config, missing)
    if gain is None or share is None:
        return once(pages, config, missing)
    started = time.perf_counter()
    if min(pages.shape[1:3]) < SMALLEST_SIDE:
        guide = smooth(pages, missing, config)
    else:
        small, gaps = halve(pages, missing)
        # Of the mean of four pixels, both parts of the noise have a quarter of the variance.
        quick = replace(_shortened(config, pages.shape), gain=gain / 4, readout=read / 2)
        guide = double(denoise_few_counts(small, quick, gaps, once).image, pages.shape)
    mixed = mix(pages, guide, share, config)
    diluted = replace(config, gain=gain * share**2, readout=read * share)
    seconds = time.perf_counter() - started
    if config.time_limit is not None:
        diluted = replace(diluted, time_limit=max(config.time_limit - seconds, 0.01))
    result = once(mixed, diluted, missing)
    estimate = read_noise(pages.reshape(*pages.shape[:3], -1), missing)[0]
    return replace(
        result,
        noise_std=result.noise_std / share,
        noise_estimate=replace(estimate, consistent=True),  # few counts look like nothing else
        model=None,
        training_seconds=result.training_seconds + seconds,
    )


def choose_share(pages: Array, config: DenoiseConfig, missing: Mask | None) -> float | None:
    """Choose which share of an image of few photons goes into the mixture.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Noisy; nan is missing.
    config : DenoiseConfig
        Settings.
    missing : ndarray of bool, shape (T, Y, X), optional
        More missing pixels.

    Returns
    -------
    float or None
        The share, such that the noise is that of enough photons; None: there are enough, nobody
        says what a photon is, or the image is full of points.

    Notes
    -----
    What counts is with how many others a typical photon comes, not the mean over pixels: a few
    bright stars on a dark ground need no help, and would be dimmed by it. Noise of reading out
    helps the transform as photons do.
    """
    if config.gain is None:
        return None
    read = ((config.readout or 0.0) / config.gain) ** 2
    counts = (pages.astype(np.float64) - (config.offset or 0.0)) / config.gain
    if missing is not None:
        counts[missing] = np.nan
    seen = counts[np.isfinite(counts)]
    if not seen.size or _has_points(counts, seen, read):
        return None
    mean = max(float(seen.mean()), FEWEST_COUNTS)
    typical = max((float(np.square(seen).mean()) - read) / mean - 1, mean)
    share = math.sqrt((typical + read) / ENOUGH_COUNTS)
    return None if share > MOST_SHARE else max(share, LEAST_SHARE)


def _has_points(counts: Array, seen: Array, read: float) -> bool:
    """Tell whether counts (T, Y, X[, C]) vary as much among neighbours as stars do.

    Parameters
    ----------
    counts, seen : ndarray
        All of them, with nan, and those that are known.
    read : float
        Variance of reading out, in squared counts.
    """
    height, width = (side - side % 2 for side in counts.shape[1:3])
    even = counts[:, :height, :width]
    blocks = even.reshape(len(even), height // 2, 2, width // 2, 2, -1)
    spread = blocks.var((2, 4), ddof=1)
    noise = max(float(seen.mean()), 0.0) + read
    detail = float(np.nanmean(spread)) - noise if np.isfinite(spread).any() else 0.0
    chance = math.sqrt((noise + 3 * noise**2) / seen.size)
    return detail > max(DOUBTFUL * chance, MOST_DETAIL * (float(seen.var()) - noise))


def mix(pages: Array, guide: Array, share: float, config: DenoiseConfig) -> Array:
    """Mix noisy pages (T, Y, X[, C]) and a guide, by the noisy ones alone where they contradict.

    Parameters
    ----------
    pages, guide : ndarray, shape (T, Y, X) or (T, Y, X, C)
        The noisy ones, in which nan is missing, and an estimate.
    share : float
        Of the noisy ones.
    config : DenoiseConfig
        Settings, with a gain.
    """
    from scipy.ndimage import maximum_filter, uniform_filter

    offset, gain = config.offset or 0.0, config.gain or 1.0
    read = 9 * (config.readout or 0.0) ** 2 + ANSCOMBE * gain**2
    guide = guide.clip(min=offset)
    known = np.where(np.isnan(pages), guide, pages)
    box = (1, 3, 3, 1)[: pages.ndim]
    sums = [9 * uniform_filter(each - offset, box) for each in (known, guide)]
    recorded, expected = (np.sqrt((gain * each + read).clip(min=0)) for each in sums)
    brighter = 2 / gain * (recorded - expected) > CONTRADICTION
    mixed: Array = guide + np.where(maximum_filter(brighter, box), 1, share) * (pages - guide)
    return mixed


def smooth(pages: Array, missing: Mask | None, config: DenoiseConfig) -> Array:
    """Average neighbours, as wide as is best for the mean squared error, by its unbiased estimate.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Noisy; nan is missing.
    missing : ndarray of bool, shape (T, Y, X), optional
        More missing pixels.
    config : DenoiseConfig
        Settings, with a gain.

    Returns
    -------
    ndarray of float64
        Of the same shape.
    """
    from scipy.ndimage import gaussian_filter

    whole, _ = _fill(pages, missing)
    light = float(whole.mean()) - (config.offset or 0.0)
    variance = (config.gain or 0.0) * max(light, 0.0) + (config.readout or 0.0) ** 2
    best, least = whole, variance
    for width in WIDTHS:
        widths = (0, width, width, 0)[: whole.ndim]
        average = gaussian_filter(whole, widths, mode="reflect")
        # Of the noise of a pixel, so much comes back in its own average.
        own = 1 / (2 * math.pi * width**2)
        error = float(np.square(average - whole).mean()) + (2 * own - 1) * variance
        if error < least:
            best, least = average, error
    return best.reshape(pages.shape)


def _fill(pages: Array, missing: Mask | None) -> tuple[Array, Mask]:
    """Fill gaps with averages of their surroundings: (T, Y, X, C) and where they were."""
    whole = pages.astype(np.float64).reshape(*pages.shape[:3], -1)
    gaps: Mask = np.asarray(np.isnan(whole).any(-1))
    if missing is not None:
        gaps = np.asarray(gaps | missing)
    for page, hidden in zip(whole, gaps, strict=True):
        fill_missing(page, hidden)
    return whole, gaps


def halve(pages: Array, missing: Mask | None) -> tuple[Array, Mask]:
    """Average 2 x 2 pixels.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Noisy; nan is missing.
    missing : ndarray of bool, shape (T, Y, X), optional
        More missing pixels.

    Returns
    -------
    small : ndarray of float64
        Of half the height and width, rounded up: a last odd row or column counts twice.
    gaps : ndarray of bool
        Pixels of which nothing is known.
    """
    whole, gaps = _fill(pages, missing)
    odd = [(0, side % 2) for side in pages.shape[1:3]]
    whole = np.pad(whole, [(0, 0), *odd, (0, 0)], mode="edge")
    gaps = np.pad(gaps, [(0, 0), *odd], mode="edge")
    count, height, width = gaps.shape
    blocks = (count, height // 2, 2, width // 2, 2)
    small = whole.reshape(*blocks, -1).mean((2, 4))
    unknown: Mask = np.asarray(gaps.reshape(blocks).all((2, 4)))
    return small.reshape(*small.shape[:3], *pages.shape[3:]), unknown


def double(pages: Array, shape: tuple[int, ...]) -> Array:
    """Enlarge what `halve` made smaller, by cubic splines, to its old shape."""
    from scipy.ndimage import map_coordinates

    rows, columns = ((np.arange(side) - 0.5) / 2 for side in shape[1:3])
    places = np.meshgrid(rows, columns, indexing="ij")
    planes = pages.reshape(*pages.shape[:3], -1)
    large = [
        [map_coordinates(page[..., c], places, order=3, mode="nearest") for page in planes]
        for c in range(planes.shape[-1])
    ]
    return np.stack(large, axis=-1).reshape(shape)


def _shortened(config: DenoiseConfig, shape: tuple[int, ...]) -> DenoiseConfig:
    """Shorten the training for half the size, where epochs of fewer patches are shorter, too."""
    pixels = shape[1] * shape[2]
    most = config.lattice_patches or pixels
    stretch = min(min(most, pixels) / min(most, pixels / 4), LONGEST_STRETCH)
    limit = config.time_limit
    return replace(
        config,
        epochs=max(1, round(config.epochs * COARSE_WORK * stretch)),
        time_limit=None if limit is None else limit * COARSE_TIME,
    )
