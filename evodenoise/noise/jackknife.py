"""How well the noise of an image is known: read off parts of it, and by other curves.

Two things make a reading wrong. Chance is told by the scatter of what 4 x 4 parts of the image
say. Structure that is taken for noise, or noise of one kind for another, is alike in all parts; it
is told by how far another curve of the level that the bins of brightness allow, or a reading of
other detail, would be off, and of coloured noise by how much of it lies in waves so coarse that
they cannot be told from shading.

Dimensions: T pages, Y, X height and width, C channels, B parts, N pixels, p patch size.
"""

import math

import numpy as np
import numpy.typing as npt

from evodenoise.noise.blind import level_pages, opponents
from evodenoise.noise.colour import read_wave_variances
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.level_fits import (
    Binned,
    fit_constant,
    fit_free,
    fit_line,
    fit_straight,
    misfit,
)
from evodenoise.noise.levels import FEWEST_BINS, read_bins
from evodenoise.noise.readings import GAUSSIAN_MEDIAN, fine_level
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.noise.uncertainty import NoiseUncertainty

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PARTS = 4
"""Along each axis."""

LEAST_SIDE, LARGEST_SIDE = 16, 64
"""Pixels of a part; of larger ones the middle is read, of several channels a smaller middle."""

FEWEST_PARTS = 8
"""That say anything; the scatter of fewer is chance itself."""

MOST_MISSING = 0.5
"""Of the pixels of a part; with more gaps it tells nothing of a spectrum."""

MOST_PATCHES = 16_384
"""For the bins of brightness, over all channels."""

BIN_GROUPS = 8
"""So often the line of photons is fitted, each time without some of the bins."""

USUAL_EXCESS = 0.04
"""Logarithm of the level in coarser over that in fine detail, of white noise on smooth pictures."""

NEARLY_WHITE = 0.6
"""Logarithm of the level over that of the finest waves, beyond which noise is hardly white."""

GUESSED_BANDS, GUESS_ERROR = 5.0, 0.5
"""Bands of frequency that reading can only guess, orders up to 2 of patches of 16 pixels; and the
relative error of the variance there: half of it, a guess that the errors of blurred noise on ten
pictures bear out."""


def read_uncertainty(pages: Floats, missing: Mask, noise: NoiseEstimate) -> NoiseUncertainty | None:
    """Tell how far what was read of the noise of some pages may be off.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X, C)
        Those that it was read of, gaps filled.
    missing : ndarray of bool, shape (T, Y, X)
        Pixels that do not count.
    noise : NoiseEstimate
        What was read.

    Returns
    -------
    NoiseUncertainty or None
        None: there is no noise, or the pages are too small to part, below 64 x 64 pixels.

    Notes
    -----
    What is read of a sample of 256 x 256 pixels at most says how far chance goes; of a larger image
    it goes less far.

    The error over the uncertainty of the level has a root mean square of 1.3 for white noise, 0.9
    for that of photons and 0.9 for blurred noise over six pictures of 256 x 256 pixels, by which
    most of this was chosen (those of `examples/noise_estimates.py`); of 1.2, 1.2 and 2.3 over seven
    others (cat, coffee, grass, gravel, hubble_deep_field, immunohistochemistry and retina). Where a
    picture is fine texture without any flat patch, as grass and gravel are, faint noise may be read
    twice too high, and this does not tell.

    It takes 0.1 CPU seconds, and 0.3 if there is a spectrum, however large the image is.
    """
    parts, gaps = _cut_parts(pages, missing)
    if not noise.std or gaps.all():
        return None
    curves = noise.curves or tuple(LevelCurve.constant(std or 1.0) for std in noise.per_channel)
    levelled = level_pages(parts, gaps, list(curves)) if noise.curves else parts
    spectrum: tuple[float, ...] = ()
    if noise.spectrum is None:
        planes = np.moveaxis(levelled, -1, 0)
        chance = [
            _scatter(_fine_levels(plane, gaps)) if std else 0.0
            for plane, std in zip(planes, noise.per_channel, strict=True)
        ]
    else:
        if np.count_nonzero(gaps.mean((1, 2)) <= MOST_MISSING) < FEWEST_PARTS:
            return None
        waves = _read_waves(levelled @ opponents(len(curves)), gaps)
        relative = math.hypot(_scatter(_levels_of(waves)), _guessed_level(noise.spectrum))
        chance = [relative] * len(curves)
        spectrum = _spectrum_uncertainty(waves, noise.spectrum)
    if not np.isfinite(chance).all():
        return None
    most, hidden = MOST_PATCHES // len(curves), gaps if gaps.any() else None
    doubt = _disagreement(noise)
    levels, lines = [], []
    for channel, (curve, own) in enumerate(zip(curves, chance, strict=True)):
        plane = parts[..., channel]
        binned = read_bins(plane, hidden, most=most)
        known = binned is not None and len(binned.means) >= FEWEST_BINS
        other = _other_curves(plane[~gaps], binned, curve) if binned and known else 0.0
        levels.append(math.hypot(own, other, doubt))
        if binned and known and curve.photon is not None:
            lines.append(_line_uncertainty(binned, curve.photon.readout, levels[-1]))
    gains, readouts = zip(*lines, strict=True) if len(lines) == len(curves) else ((), ())
    return NoiseUncertainty(tuple(levels), gains, readouts, spectrum)


def _cut_parts(pages: Floats, missing: Mask) -> tuple[Floats, Mask]:
    """Cut the middle of each part, of pages in turn: (B, Y, X, C); none of small pages."""
    most = max(LEAST_SIDE, int(LARGEST_SIDE / math.sqrt(pages.shape[-1])))
    sides = [side // PARTS for side in pages.shape[1:3]]
    if min(sides) < LEAST_SIDE:
        return pages[:0], missing[:0]
    rows, columns = ([_middle(number, side, most) for number in range(PARTS)] for side in sides)
    places = [(row, column) for row in rows for column in columns]
    chosen = [(number % len(pages), *place) for number, place in enumerate(places)]
    return np.stack([pages[each] for each in chosen]), np.stack([missing[each] for each in chosen])


def _middle(number: int, side: int, most: int) -> slice:
    """Find the middle of a part, along one axis."""
    first = number * side + max(0, side - most) // 2
    return slice(first, first + min(side, most))


def _fine_levels(parts: Floats, gaps: Mask) -> Floats:
    """Read the level of white noise in each part (B, Y, X); 0 where there is nothing to read."""
    return np.array(
        [
            0.0 if hidden.all() else fine_level(part, hidden if hidden.any() else None)
            for part, hidden in zip(parts, gaps, strict=True)
        ]
    )


def _read_waves(planes: Floats, gaps: Mask) -> Floats:
    """Read the variances of waves in each part (B, Y, X, C) that shows them: (B, C, p, p)."""
    found = [
        read_wave_variances(part, hidden if hidden.any() else None)
        for part, hidden in zip(planes, gaps, strict=True)
        if hidden.mean() <= MOST_MISSING
    ]
    return np.array(found)


def _levels_of(waves: Floats) -> Floats:
    levels: Floats = np.sqrt(waves.mean((1, 2, 3)))
    return levels


def _scatter(levels: Floats) -> float:
    """Tell how far what all parts (B,) say together may be off, relative; nan: too few say any.

    By the median distance from the median: parts that are all structure are not what is read.
    """
    known = np.log(levels[levels > 0])
    if len(known) < FEWEST_PARTS:
        return math.nan
    spread = float(np.median(np.abs(known - np.median(known)))) / GAUSSIAN_MEDIAN
    return spread / math.sqrt(len(known))


def _disagreement(noise: NoiseEstimate) -> float:
    """Tell how far other readings of the level are from the one that counts, relative.

    Of white noise they are of coarser detail, and half of what they say more is believed, or all
    if they contradict. What is called coloured may be white noise and grain of the picture, if the
    finest waves say nearly as much; if they say far less it cannot be.
    """
    if noise.spectrum is not None:
        excess = math.log(noise.std / noise.wavelet_std) if noise.wavelet_std else 0.0
        return excess * math.exp(-((excess / NEARLY_WHITE) ** 2)) if excess > 0 else 0.0
    ratio = abs(math.log(noise.coarse_std / noise.std)) if noise.coarse_std else 0.0
    return max(ratio - USUAL_EXCESS, 0.0) / 2 if noise.consistent else ratio


def _guessed() -> Mask:
    """Mark the bands (F, F) whose noise cannot be told from shading."""
    bands = np.arange(FREQUENCIES) + 0.5
    marked: Mask = np.hypot(bands[:, None], bands) < GUESSED_BANDS
    return marked


def _guessed_level(spectrum: NoiseSpectrum) -> float:
    """Tell how far guessed bands take the level away, relative."""
    share = float(spectrum.density[:, _guessed()].sum() / spectrum.density.sum())
    return GUESS_ERROR * share / 2


def _spectrum_uncertainty(waves: Floats, spectrum: NoiseSpectrum) -> tuple[float, ...]:
    """Combine the scatter of the parts (B, C, p, p) and the error of guessed bands: C figures."""
    density = waves / waves.mean((1, 2, 3), keepdims=True)
    errors = density.var(0, ddof=1) / len(density)
    scatter = errors.mean((1, 2)) / np.square(density.mean(0)).mean((1, 2))
    squares = np.square(spectrum.density)
    share = squares[:, _guessed()].sum(1) / squares.sum((1, 2))
    combined = np.sqrt(scatter + GUESS_ERROR**2 * share)
    return tuple(combined.tolist())


def _other_curves(pixels: Floats, binned: Binned, curve: LevelCurve) -> float:
    """Tell how far other curves would take the level of pixels (N,) away, relative.

    Of one level that was found, a straight line; of a curve, both others, each the less the worse
    it fits.
    """
    constant = np.full(len(binned.means), fit_constant(binned))
    straight, free = fit_straight(binned), fit_free(binned)
    chosen: Floats
    others: tuple[Floats, ...]
    if not curve.varies:
        chosen, others = constant, (straight,)
    elif curve.photon is not None:
        chosen, others = straight, (constant, free)
    else:
        chosen, others = free, (constant, straight)
    own, left = _level(pixels, binned, chosen), misfit(binned, chosen)
    away = [
        min(1.0, left / max(misfit(binned, other), 1e-30)) * (_level(pixels, binned, other) - own)
        for other in others
    ]
    return math.hypot(*away)


def _level(pixels: Floats, binned: Binned, curve: Floats) -> float:
    """Return the logarithm of the level of pixels (N,) by a curve (B,)."""
    variances = np.interp(pixels, binned.means, np.exp(curve))
    return math.log(float(variances.mean())) / 2


def _line_uncertainty(binned: Binned, readout: float, level: float) -> tuple[float, float]:
    """Tell how far the line of photons may be off: its gain, relative, and its read-out noise.

    A level that is off takes the gain with it, which goes by its square.
    """
    groups = min(BIN_GROUPS, len(binned.means))
    lines = np.array([fit_line(_without(binned, first, groups)) for first in range(groups)])
    slope, intercept = map(float, np.sqrt((groups - 1) * lines.var(0)))
    middle = abs(float(np.median(lines[:, 0])))
    gain = math.hypot(slope / middle, 2 * level) if middle else 2 * level
    # Down to the least read-out noise that is as likely, or up to the most, from next to none.
    lower = readout - math.sqrt(max(readout**2 - intercept, 0))
    return gain, math.sqrt(intercept) if intercept >= readout**2 else lower


def _without(binned: Binned, first: int, step: int) -> Binned:
    """Leave out every so many bins, from one on."""
    left = np.arange(len(binned.means)) % step != first
    return Binned(binned.means[left], binned.levels[left], binned.weights[left])
