"""What noise is, in words for people who never heard of a spectrum.

Dimensions: C channels, F frequencies along one axis.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evodenoise.noise.record import NoiseEstimate, NoiseKind, root_mean_square
from evodenoise.noise.spectrum import FREQUENCIES

Floats = npt.NDArray[np.float64]

TONES = {"the shadows": 0.1, "mid tones": 0.5, "the lights": 0.9}
"""Where levels are told, as shares of the way from the darkest to the lightest pixels."""

COARSE, FINE = 0.25, 0.75
"""Of the highest frequency: detail is called coarse below, and fine above."""

WORTH_A_WORD = 1.25
"""Ratio of standard deviations; less is called alike."""

AXIS = 2
"""Frequencies from 0 on in which stripes are."""

STRIPED = 1.5
"""The same, between waves along an axis and others as fine, that makes stripes of the former."""

MOST_PLAIN, MOST_PLACES = 1e6, 6
"""Figures beyond, or with errors below so many decimal places, are written with an exponent."""

ALIKE = 0.02
"""Relative; figures of channels that differ by less are told once."""


def describe_noise_kind(noise: NoiseEstimate, tones: Sequence[float]) -> str:
    """Say what sort of noise it is.

    Parameters
    ----------
    noise : NoiseEstimate
        The record.
    tones : sequence of float
        The values of an image, in pixel units, at `TONES`.

    Returns
    -------
    str
        A phrase without an end.
    """
    if not noise.consistent:
        return f"unclear: it {describe_doubt(noise)}"
    match noise.kind:
        case NoiseKind.NONE:
            return "none found"
        case NoiseKind.WHITE:
            return "white: the same everywhere, in coarse and in fine detail"
        case NoiseKind.PHOTON:
            return describe_photons(noise)
        case NoiseKind.SIGNAL:
            return f"signal-dependent: {describe_levels(noise, tones)}"
        case NoiseKind.COLOURED:
            varying = any(curve.varies for curve in noise.curves)
            levels = f"; {describe_levels(noise, tones)}" if varying else ""
            return f"coloured: {describe_spectrum(noise)}{levels}"


def describe_doubt(noise: NoiseEstimate) -> str:
    """Say what it means that the readings disagree, and by how much they do."""
    return (
        f"may be correlated or not Gaussian (level {noise.std:.3g} in fine, "
        f"{noise.coarse_std:.3g} in coarser detail)"
    )


def describe_photons(noise: NoiseEstimate) -> str:
    """Name gain, read-out and black level, of each channel if they differ."""
    photons, sure = noise.photons or (), noise.uncertainty
    gains, readouts, offsets = (
        [getattr(each, name) for each in photons] for name in ("gain", "readout", "offset")
    )
    errors = None if sure is None or not sure.gain else gain_errors(noise)
    parts = [
        f"gain {_list(gains, errors)}",
        f"read-out {_list(readouts, None if errors is None or sure is None else sure.readout)}",
        f"black level {_list(offsets)}",
    ]
    return f"photon noise: {', '.join(parts)} (pixel units)"


def gain_errors(noise: NoiseEstimate) -> list[float] | None:
    """Return one standard deviation of the error of each gain, in pixel units, if it is known."""
    if noise.uncertainty is None or not noise.uncertainty.gain:
        return None
    pairs = zip(noise.photons or (), noise.uncertainty.gain, strict=True)
    return [photon.gain * relative for photon, relative in pairs]


def with_error(value: float, error: float | None, digits: int = 3) -> str:
    """Write a figure and, if it is known, one standard deviation of its error.

    Parameters
    ----------
    value, error : float
        In the same units.
    digits : int
        Significant ones of a figure whose error is not known.

    Returns
    -------
    str
        The figure to as many places as its error, which has one digit, or two if it begins with
        a 1.
    """
    if not error:
        return f"{value:.{digits}g}"
    power = math.floor(math.log10(error))
    first = round(error / 10.0**power, 1)
    places = (1 if first < 2 else 0) - power
    if abs(value) >= MOST_PLAIN or places > MOST_PLACES:
        return f"{value:.{digits}g} ± {error:.1g}"
    return " ± ".join(f"{round(each, places):.{max(places, 0)}f}" for each in (value, error))


def describe_levels(noise: NoiseEstimate, tones: Sequence[float]) -> str:
    """Name the level at some tones, root mean square over the channels."""
    levels = [
        root_mean_square([float(curve.std(tone)) for curve in noise.curves]) for tone in tones
    ]
    named = [f"{level:.3g} in {name}" for level, name in zip(levels, TONES, strict=True)]
    return ", ".join(named)


def describe_spectrum(noise: NoiseEstimate) -> str:
    """Say which detail has more of the noise."""
    if noise.spectrum is None:
        return ""
    density = noise.spectrum.density
    over_all = density.mean(0)
    said = [_compare(_fineness(over_all), "in coarse than in fine detail")]
    if len(density) > 1:
        ratio = np.sqrt(density[1:].mean() / density[0].mean())
        said.append(_compare(float(ratio), "in colour than in brightness"))
    said += [_stripes(over_all, "rows"), _stripes(over_all.T, "columns")]
    return ", ".join(filter(None, said)) or "nearly the same in coarse and in fine detail"


def tones_of(pixels: npt.ArrayLike) -> list[float]:
    """Find the values of an image, all finite, at `TONES`."""
    low, high = np.quantile(np.asarray(pixels, np.float64), (0.001, 0.999))
    return [float(low + share * (high - low)) for share in TONES.values()]


def _fineness(density: Floats) -> float:
    """Divide deviations in coarse by those in fine detail, of a density (F, F), but for stripes."""
    across = (np.arange(FREQUENCIES) + 0.5) / FREQUENCIES
    frequency = np.hypot(*np.meshgrid(across, across))[AXIS:, AXIS:]
    own = density[AXIS:, AXIS:]
    coarse, fine = own[frequency < COARSE].mean(), own[frequency > FINE].mean()
    return float(np.sqrt(coarse / fine))


def _compare(ratio: float, than: str) -> str:
    """Say how many times more there is of one than of the other, if it is worth a word."""
    if ratio >= WORTH_A_WORD:
        return f"{ratio:.2g} times stronger {than}"
    if ratio <= 1 / WORTH_A_WORD:
        return f"{1 / ratio:.2g} times weaker {than}"
    return ""


def _stripes(density: Floats, name: str) -> str:
    """Tell whether waves that are constant along an axis, of any fineness, stand out."""
    orders = np.arange(FREQUENCIES // 4, FREQUENCIES)
    diagonal = np.rint(orders / np.sqrt(2)).astype(int)
    ratio = np.log(density[orders, 0] / density[diagonal, diagonal]).mean() / 2
    return f"stripes along {name}" if np.exp(ratio) > STRIPED else ""


def _list(values: Sequence[float], errors: Sequence[float] | None = None) -> str:
    """List figures of channels and their errors, or name the one that all have."""
    middle = root_mean_square(values)
    alike = all(abs(value - values[0]) <= ALIKE * middle for value in values)
    pairs = zip(values, errors or [0.0] * len(values), strict=True)
    figures = [with_error(value, error) for value, error in pairs]
    return figures[0] if alike else " / ".join(figures)
