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
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.cleaning import Cleaned, Learned, clean, learn
from evodenoise.denoising.coarse_scales import shorten
from evodenoise.denoising.tools import Tools
from evodenoise.noise.curves import PhotonNoise
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.scales import double, halve
from evodenoise.noise.stabilisation import ANSCOMBE

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

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

DETAIL_WINDOW = 5
"""Pixels, around which detail that cannot be seen is as strong as that which can."""

WIDTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Of these averages: standard deviations of Gaussians, in pixels."""

COARSE_WORK, COARSE_TIME = 0.5, 0.4
"""Of the training and of the time limit, for the image of half the size: as much training as for
the whole gains 0.05 dB."""


class Counting(NamedTuple):
    """How photons were counted in each channel: gain, read-out noise, black level (C,)."""

    gain: Floats
    readout: Floats
    offset: Floats

    @classmethod
    def of(cls, noise: NoiseEstimate) -> "Counting | None":
        """Take it from a record; None: its noise is not that of photons alone."""
        if noise.photons is None or noise.spectrum is not None:
            return None
        return cls._of(noise.photons)

    def counts(self, values: Array) -> Floats:
        """Turn pixels (..., C) into counts."""
        counted: Floats = (values - self.offset) / self.gain
        return counted

    @classmethod
    def of_model(cls, model: Checkpoint) -> "Counting | None":
        """Take it from a model that was trained on mixtures."""
        curves = [] if model.levelling is None else [one.curve for one in model.levelling.maps]
        photons = [curve.scaled(1 / model.share).photon for curve in curves]
        known = [each for each in photons if each is not None]
        return cls._of(known) if known and len(known) == len(curves) else None

    @classmethod
    def _of(cls, photons: Sequence[PhotonNoise]) -> "Counting":
        names = ("gain", "readout", "offset")
        return cls(*(np.array([getattr(each, name) for each in photons]) for name in names))


class Mixture(NamedTuple):
    """An image of few photons and what its half size tells, mixed.

    Attributes
    ----------
    channels : DistinctChannels
        The mixture.
    noise : NoiseEstimate
        Of the mixture.
    share : float
        Of the image.
    config : DenoiseConfig
        Settings, with the time that is left.
    tools : Tools
        With the model of mixtures, if one was brought.
    guide_std : ndarray, shape (T, Y, X, C)
        Standard deviation of the errors of what half the size tells.
    coarser : Checkpoint or None
        What was learned at half the size; None: neighbours were averaged.
    seconds : float
        What it took.
    """

    channels: DistinctChannels
    noise: NoiseEstimate
    share: float
    config: DenoiseConfig
    tools: Tools
    guide_std: Array
    coarser: Checkpoint | None
    seconds: float


def clean_few_counts(
    channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate, tools: Tools
) -> Cleaned:
    """Denoise channels by way of smaller ones if they hold few photons, else as they are.

    Parameters
    ----------
    channels : DistinctChannels
        Values that are not constant.
    config : DenoiseConfig
        Settings.
    noise : NoiseEstimate
        What is known of the noise.
    tools : Tools
        Randomness, a model to start from, and whom to tell.

    Returns
    -------
    Cleaned
        The estimate.
    """
    mixture = _mixture(channels, config, noise, tools)
    if mixture is None:
        return clean(channels, config, noise, tools)
    result = clean(mixture.channels, mixture.config, mixture.noise, mixture.tools)
    return replace(
        result,
        # What half the size does not show is missing in both parts of the mixture: the errors add.
        std=result.std + (1 - mixture.share) * mixture.guide_std,
        noise=noise,
        noise_std=result.noise_std / mixture.share,
        model=result.model and _of_mixtures(result.model, mixture),
        training_seconds=result.training_seconds + mixture.seconds,
    )


def learn_few_counts(
    channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate, tools: Tools
) -> Learned:
    """Train a model as `clean_few_counts` does, and leave the channels as they are."""
    mixture = _mixture(channels, config, noise, tools)
    if mixture is None:
        return learn(channels, config, noise, tools)
    learned = learn(mixture.channels, mixture.config, mixture.noise, mixture.tools)
    return replace(
        learned,
        model=_of_mixtures(learned.model, mixture),
        noise_std=learned.noise_std / mixture.share,
    )


def _of_mixtures(model: Checkpoint, mixture: Mixture) -> Checkpoint:
    return replace(model, share=mixture.share, coarser=mixture.coarser)


def _mixture(
    channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate, tools: Tools
) -> Mixture | None:
    """Mix channels of few photons with what half their size tells; None: there are enough."""
    model, share = tools.model, None
    if model is None:
        counting = Counting.of(noise)
        share = None if counting is None else choose_share(channels, counting)
    else:
        counting = Counting.of_model(model)
        share = model.share if model.share < 1 else None
    if counting is None or share is None:
        return None
    started = time.perf_counter()
    values, coarser = channels.values, None if model is None else model.coarser
    if min(values.shape[1:3]) < SMALLEST_SIDE or (model is not None and coarser is None):
        guide, risk = smooth(values, counting)
        guide_std = np.full(values.shape, math.sqrt(max(risk, 0.0)))
    else:
        small, gaps = halve(values, channels.missing)
        # Of the mean of four pixels, both parts of the noise have a quarter of the variance.
        quick = shorten(config, values.shape, work=COARSE_WORK, time=COARSE_TIME)
        half = replace(channels, values=small, missing=gaps)
        enlarge = partial(double, shape=values.shape)
        found = clean_few_counts(half, quick, noise.rescaled(0.5), tools.at_half(coarser, enlarge))
        guide, coarser = double(found.values, values.shape), found.model
        wrong = np.hypot(found.std, detail(found.values, gaps))
        guide_std = double(wrong, values.shape).clip(min=0)
    mixed = replace(channels, values=mix(channels, guide, share, counting))
    seconds = time.perf_counter() - started
    if config.time_limit is not None:
        config = replace(config, time_limit=max(config.time_limit - seconds, 0.01))
    return Mixture(mixed, noise.rescaled(share), share, config, tools, guide_std, coarser, seconds)


def choose_share(channels: DistinctChannels, counting: Counting) -> float | None:
    """Choose which share of an image of few photons goes into the mixture.

    Parameters
    ----------
    channels : DistinctChannels
        Noisy.
    counting : Counting
        What a photon is.

    Returns
    -------
    float or None
        The share, such that the noise is that of enough photons; None: there are enough, or the
        image is full of points.

    Notes
    -----
    What counts is with how many others a typical photon comes, not the mean over pixels: a few
    bright stars on a dark ground need no help, and would be dimmed by it. Noise of reading out
    helps the transform as photons do.
    """
    counts = counting.counts(channels.values)
    read = float(np.square(counting.readout / counting.gain).mean())
    counts[channels.missing] = np.nan
    seen = counts[np.isfinite(counts)]
    if not seen.size or _has_points(counts, seen, read):
        return None
    mean = max(float(seen.mean()), FEWEST_COUNTS)
    typical = max((float(np.square(seen).mean()) - read) / mean - 1, mean)
    share = math.sqrt((typical + read) / ENOUGH_COUNTS)
    return None if share > MOST_SHARE else max(share, LEAST_SHARE)


def _has_points(counts: Array, seen: Array, read: float) -> bool:
    """Tell whether counts (T, Y, X, C) vary as much among neighbours as stars do.

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


def mix(channels: DistinctChannels, guide: Array, share: float, counting: Counting) -> Array:
    """Mix noisy values and a guide, by the noisy ones alone where they contradict.

    Parameters
    ----------
    channels : DistinctChannels
        The noisy ones.
    guide : ndarray, shape (T, Y, X, C)
        An estimate; gaps are filled with it.
    share : float
        Of the noisy ones.
    counting : Counting
        What a photon is.
    """
    from scipy.ndimage import maximum_filter, uniform_filter

    gain, offset = counting.gain, counting.offset
    read = 9 * counting.readout**2 + ANSCOMBE * gain**2
    guide = guide.clip(min=offset)
    known = np.where(channels.missing[..., None], guide, channels.values)
    box = (1, 3, 3, 1)
    sums = [9 * uniform_filter(each - offset, box) for each in (known, guide)]
    recorded, expected = (np.sqrt((gain * each + read).clip(min=0)) for each in sums)
    brighter = 2 / gain * (recorded - expected) > CONTRADICTION
    mixed: Array = guide + np.where(maximum_filter(brighter, box), 1, share) * (known - guide)
    return mixed


def detail(values: Array, missing: Mask) -> Array:
    """Return what half the size cannot show of an image, root mean square around each pixel.

    That is about what the image itself lacks of one of twice its size: of photographs each octave
    of frequencies has about the same energy (D. Field, J. Opt. Soc. Am. A 4(12), 1987).

    Parameters
    ----------
    values : ndarray, shape (T, Y, X, C)
        Without noise.
    missing : ndarray of bool, shape (T, Y, X)
        Pixels that were filled.
    """
    from scipy.ndimage import uniform_filter

    coarse, _ = halve(values, missing)
    lost = np.square(values - double(coarse, values.shape))
    around: Array = np.sqrt(uniform_filter(lost, (0, DETAIL_WINDOW, DETAIL_WINDOW, 0)))
    return around


def smooth(values: Array, counting: Counting) -> tuple[Array, float]:
    """Average neighbours, as wide as is best for the mean squared error, by its unbiased estimate.

    Parameters
    ----------
    values : ndarray, shape (T, Y, X, C)
        Noisy, gaps filled.
    counting : Counting
        What a photon is.

    Returns
    -------
    average : ndarray of float64
        Of the same shape.
    risk : float
        That estimate of its mean squared error.
    """
    from scipy.ndimage import gaussian_filter

    light = (values.mean((0, 1, 2)) - counting.offset).clip(min=0)
    variance = float((counting.gain * light + counting.readout**2).mean())
    best, least = values, variance
    for width in WIDTHS:
        average = gaussian_filter(values, (0, width, width, 0), mode="reflect")
        # Of the noise of a pixel, so much comes back in its own average.
        own = 1 / (2 * math.pi * width**2)
        error = float(np.square(average - values).mean()) + (2 * own - 1) * variance
        if error < least:
            best, least = average, error
    return best, least
