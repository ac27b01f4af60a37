"""What the noise of an image is, read off it: level over brightness, and spectrum.

Noise of one level that is white is what an image has unless it says otherwise.

Dimensions: T pages, Y, X height and width, C channels, p patch size.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.blocks import was_compressed
from evodenoise.noise.clipping import find_bounds
from evodenoise.noise.colour import noise_share, orders_of, read_wave_variances
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.estimation import estimate_white_noise
from evodenoise.noise.levels import read_level_curve
from evodenoise.noise.record import NoiseEstimate, NoiseKind, mean_estimate, root_mean_square
from evodenoise.noise.shapes import (
    WHITE_RATIO,
    finest,
    is_flat,
    is_striped,
    levels_off,
    looks_white,
    stripes_alone,
)
from evodenoise.noise.spectrum import NoiseSpectrum
from evodenoise.noise.stabilisation import Stabilisation

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MOST_OF_PHOTONS = 3.0
"""In place of the second `WHITE_RATIO` where the level rises as that of photons does: these are
white, unless the camera's processing leaves no doubt."""

MOST_UNEQUAL = 1.5
"""Variance of the finest waves of one difference of colours over that of another, if white."""

COARSE, MIDDLING, MOST_COARSE = (0.12, 0.19), (0.2, 0.33), 1.4
"""Orders, of the side of a patch, and how much stronger waves of the first may be if noise was
white before it was compressed."""

QUANTISED = 0.88
"""Of the level that is read, what was there before; rounding waves to few values adds the rest."""

MOST_OF_ALL = 1.2
"""Times the deviation of an image, that of its noise; if so much is read, something went wrong."""

AROUND = 8
"""Pixels a side of the surroundings that are bright or dark."""

SEEN = 0.47
"""Share of the deviation in some band of frequencies that noise with a colour has to make up, in
the mean of the channels, to be believed: camera pictures at high sensitivity have 0.5 to 0.9,
clean photographs 0.05 to 0.45."""

FEW_COUNTS = 3.0
"""Mean counts; of fewer, flat patches are those where hardly any photon came."""


def read_blindly(pages: Floats, missing: Mask, wanted: NoiseKind | None = None) -> NoiseEstimate:
    """Read the noise of pages that have the same.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X, C)
        Channels that are not constant, gaps filled.
    missing : ndarray of bool, shape (T, Y, X)
        Pixels that do not count.
    wanted : NoiseKind, optional
        White, coloured or of photons: take the noise for that.

    Returns
    -------
    NoiseEstimate
        None, white, or with curves, or with curves and a spectrum.
    """
    white = _read_white(pages, missing)
    if not white.level or wanted is NoiseKind.WHITE:
        return white
    curves = _read_curves(pages, missing, photon=wanted is NoiseKind.PHOTON)
    if curves is None:
        return white
    levelled = level_pages(pages, missing, curves)
    varying = any(curve.varies for curve in curves)
    if wanted is not NoiseKind.PHOTON:
        planes = levelled @ opponents(pages.shape[-1])
        variances = read_wave_variances(planes, missing)
        counted = all(curve.photon is not None for curve in curves)
        most = MOST_OF_PHOTONS if counted else WHITE_RATIO[1]
        if wanted is NoiseKind.COLOURED or not looks_white(variances, most):
            if wanted is None and _hidden(planes, variances, missing):
                return white
            before = _white_before(pages, variances)
            if before:
                level = QUANTISED * before * curves[0].level(pages[~missing])
                return replace(white.of_level(level), consistent=True)
            white_waves = _white_waves(planes, variances, missing) if wanted is None else None
            if white_waves is not None:
                variances = white_waves
            if white_waves is None or any(map(is_striped, variances)):
                factor = math.sqrt(float(variances.mean()))
                spectrum = NoiseSpectrum.from_wave_variances(variances)
                curves = [curve.scaled(factor) for curve in curves]
                return _believable(with_curves(white, curves, pages, spectrum), white, pages)
            varying = varying and counted  # where texture is brighter it is stronger, too, often
    if not varying:
        return white
    curves = _calibrate(curves, levelled, pages, missing)
    return _believable(with_curves(white, curves, pages), white, pages)


def _believable(found: NoiseEstimate, white: NoiseEstimate, pages: Floats) -> NoiseEstimate:
    """Return what was found, or white noise where it would be more than pages vary in all."""
    deviation = math.sqrt(float(pages.var((0, 1, 2)).mean()))
    return found if found.std < MOST_OF_ALL * deviation else white


def _white_before(pages: Floats, variances: Floats) -> float:
    """Return the level that noise of one channel had when it was white, in units of that of now.

    0: it was never white, or never compressed.

    Compression takes the weak waves away, one by one, and leaves the strong ones as they were.
    """
    if len(variances) > 1 or not was_compressed(pages[..., 0]):
        return 0.0
    side = variances.shape[-1]
    orders = np.rint(orders_of(side))
    coarse, middle = (
        variances[0][(orders >= first * side) & (orders <= last * side)].mean()
        for first, last in (COARSE, MIDDLING)
    )
    return math.sqrt(middle) if coarse < MOST_COARSE * middle else 0.0


def _hidden(planes: Floats, variances: Floats, missing: Mask) -> bool:
    """Tell whether what looks like coloured noise of channels may as well be grain and texture."""
    shares = [
        noise_share(planes[..., channel], each, missing) for channel, each in enumerate(variances)
    ]
    return float(np.mean(shares)) < SEEN


def _white_waves(planes: Floats, variances: Floats, missing: Mask) -> Floats | None:
    """Return the wave variances (C, p, p) of white noise and stripes where the rest is texture.

    None: there is none to speak of, or noise that is coloured in other ways.

    Noise that is white in each colour is so in their differences, and as strong in one as in the
    other; texture is gray mostly. Of brightness more is read than of that of cameras, whose noise
    does not rise so steeply.
    """
    if all(map(is_flat, variances)):
        return None
    if len(variances) > 1:
        floors = [finest(each) for each in variances[1:]]
        if not is_flat(variances[-1]) or max(floors) > MOST_UNEQUAL * min(floors):
            return None
        variances = np.concatenate([read_wave_variances(planes[..., :1], missing), variances[1:]])
    if not all(map(levels_off, variances)):
        return None
    return np.stack([stripes_alone(each) for each in variances])


def with_curves(
    white: NoiseEstimate,
    curves: list[LevelCurve],
    pages: Floats,
    spectrum: NoiseSpectrum | None = None,
) -> NoiseEstimate:
    """Make the record of noise that follows the brightness of pages (T, Y, X, C)."""
    levels = [curve.level(pages[..., channel]) for channel, curve in enumerate(curves)]
    std = root_mean_square(levels)
    return replace(
        white,
        std=std,
        per_channel=tuple(levels),
        coarse_std=std,
        consistent=True,
        curves=tuple(curves),
        spectrum=spectrum,
        uncertainty=None,
    )


def level_pages(pages: Floats, missing: Mask, curves: list[LevelCurve]) -> Floats:
    """Make the noise of pages (T, Y, X, C) one of one level, by the curve of each channel."""
    seen = ~missing
    planes = []
    for channel, curve in enumerate(curves):
        plane = pages[..., channel]
        own = plane[seen]
        ends = float(own.min()), float(own.max())
        planes.append(Stabilisation.of(curve, *ends, bounds=find_bounds(own, curve)).apply(plane))
    return np.stack(planes, axis=-1)


def opponents(channels: int) -> Floats:
    """Return the orthonormal DCT over channels (C, C): of colours, what `mixing_matrix` says."""
    from scipy.fft import dct

    matrix: Floats = dct(np.eye(channels), norm="ortho", axis=0).T
    return matrix


def _read_white(pages: Floats, missing: Mask) -> NoiseEstimate:
    """Read a level of white noise off each page, and average."""
    return mean_estimate(
        [
            estimate_white_noise(page, missing=gaps)
            for page, gaps in zip(pages, missing, strict=True)
        ]
    )


def _read_curves(pages: Floats, missing: Mask, *, photon: bool) -> list[LevelCurve] | None:
    """Read the curve of each channel; None: one of them tells nothing."""
    hidden = missing if missing.any() else None
    curves = [
        read_level_curve(pages[..., channel], hidden, photon=photon)
        for channel in range(pages.shape[-1])
    ]
    known = [curve for curve in curves if curve is not None]
    return known if len(known) == len(curves) else None


def _calibrate(
    curves: list[LevelCurve], levelled: Floats, pages: Floats, missing: Mask
) -> list[LevelCurve]:
    """Correct curves by the level that white noise has once they have been applied."""
    corrected = []
    for channel, curve in enumerate(curves):
        plane, hidden = pages[..., channel], missing
        if curve.photon is not None:
            hidden = missing | _dark(plane)
            if plane.mean() - curve.photon.offset < FEW_COUNTS * curve.photon.gain:
                corrected.append(curve)
                continue
        level = _read_white(levelled[..., channel : channel + 1], hidden).std
        corrected.append(curve.scaled(level) if level else curve)
    return corrected


def _dark(plane: Floats) -> Mask:
    """Mark the darker half of pages (T, Y, X): places without light tell nothing of photons."""
    from scipy.ndimage import uniform_filter

    around = uniform_filter(plane, (1, AROUND, AROUND))
    dark: Mask = np.asarray(around < np.median(around))
    return dark
