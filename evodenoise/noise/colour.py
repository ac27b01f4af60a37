"""How the noise of an image is spread over frequency, read off the image.

In each order of frequencies, patches that are flat by their other coefficients tell the noise.
What structure is left in them lies in the lowest orders, and rises there ever more steeply the
lower they are; noise levels off. The lowest ones, which plain shading fills, cannot be read.

Dimensions: T pages, Y, X height and width, C channels, p patch size, N patches.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.level_fits import weighted_median
from evodenoise.noise.levels import DISTRUST, TRUSTED_GROWTH
from evodenoise.noise.sampling import sample_patches

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

PATCH_SIZE, SMALL_PATCH_SIZE = 16, 8
LEAST_SIDE = 128
"""Of an image that larger patches are cut from."""

MOST_PATCHES = 16_384
STRATA = 8
FLAT_SHARE, ROUGH_SHARE = 0.05, 0.25
"""Of the patches of a stratum: the noise is read off the first; how much more the second ones vary
tells how far structure is in it."""

FEWEST_PATCHES = 48
OUTLYING = 1.5
"""Times the middle stratum; what is above has no flat patch."""

ROUNDING = 1e-12
"""Of the largest coefficient; a patch whose others are less is blank."""

FIRST_READABLE = 2
"""Order; shading looks like noise in lower ones."""

CONCAVE_BELOW = 0.4
"""Of the orders of a patch: below so many the logarithm of the noise may rise no more steeply,
towards lower orders, than it did before; texture rises so, noise seldom."""

COLOURS_CONCAVE_BELOW = 0.2
"""The same for differences of colours: less structure is in them, and more blotches."""

FREE_SLOPE = 0.04
"""Of the logarithm of the variance an order: such a rise is always allowed."""

COLOURS = 3
"""Channels from which on a picture comes from a camera, which interpolates colours, removes noise,
and most of it where the picture is flat."""

UNEVEN_FROM = (0.6, 0.18)
"""Orders, of those of a patch, from which on the rest tells of that: of brightness and of
differences of colours."""

CAMERA_SLOPES = (
    ((0.0, 0.4, 0.5, 0.7), (0.11, 0.11, 0.15, 0.25)),
    ((0.06, 0.12, 0.18, 0.25, 0.37, 0.5), (0.2, 0.3, 0.4, 0.5, 0.5, 0.25)),
)
"""Orders, of those of a patch, and by how much at most the logarithm of the deviation rises towards
the next lower one of 16: in pictures of three cameras, of brightness and of colours."""

MOST_UNEVEN = 1.2
"""Logarithm of the deviation: by so much more than in flat patches, most of it is structure."""

AXES_MARGIN = 0.3
"""By so much the logarithm of the variance of waves along an axis has to leave that of others of
their order to be told apart: stripes, lines, or pixels of unequal height and width."""

FINEST_PART = 3
"""Of the waves along an axis, the finest third. Stripes are as strong in these; what is on a
picture, like joints between bricks, is not."""


def read_wave_variances(planes: Floats, missing: Mask | None = None) -> Floats:
    """Read the variance of the noise in each DCT coefficient.

    Parameters
    ----------
    planes : ndarray, shape (Y, X, C) or (T, Y, X, C)
        Channels, each with noise of one level.
    missing : ndarray of bool, shape (Y, X) or (T, Y, X), optional
        Pixels that do not count.

    Returns
    -------
    ndarray, shape (C, p, p)
        For patches of `PATCH_SIZE`, or of `SMALL_PATCH_SIZE` in a small image.
    """
    sides = planes.shape[-3:-1]
    side = min(PATCH_SIZE if min(sides) >= LEAST_SIDE else SMALL_PATCH_SIZE, *sides)
    spectra = [_spectra(plane, side, missing) for plane in np.moveaxis(planes, -1, 0)]
    varying = _varying(spectra[0])
    spectra = [own[varying] for own in spectra]
    count = int(np.clip(len(spectra[0]) / (4 * FEWEST_PATCHES), 1, STRATA))
    brightness = spectra[0][:, 0, 0]
    edges = np.quantile(brightness, np.linspace(0, 1, count + 1)[1:-1])
    # Of many patches that are as bright as each other one stratum is made, and none is empty.
    _, strata = np.unique(np.searchsorted(edges, brightness, side="right"), return_inverse=True)
    camera = len(spectra) >= COLOURS
    return np.stack(
        [_read_channel(own, strata, place > 0, camera=camera) for place, own in enumerate(spectra)]
    )


def _read_channel(spectra: Floats, strata: Indices, colour: bool, *, camera: bool) -> Floats:
    """Read variances (p, p) off patches of brightness, or of a difference of colours."""
    measured, side = _measure(spectra, strata), spectra.shape[1]
    below = COLOURS_CONCAVE_BELOW if colour else CONCAVE_BELOW
    if not camera:
        return _smooth(measured, below, np.full(side, np.inf))
    slopes = np.interp(np.arange(side) / side, *CAMERA_SLOPES[colour]) * 32 / side
    return _smooth(measured * _unevenness(measured, spectra, UNEVEN_FROM[colour]), below, slopes)


def _unevenness(variances: Floats, spectra: Floats, first: float) -> Floats:
    """Tell how much more noise there is where the picture is not flat: factors (p, p).

    What all patches have more than flat ones is noise if it is little, and structure if it is much.
    """
    every = np.square(spectra).mean(0)
    growth = np.log(np.maximum(every / np.maximum(variances, 1e-30), 1)) / 2
    believed = growth * np.exp(-((growth / MOST_UNEVEN) ** 2))
    orders = orders_of(len(variances))
    factors: Floats = np.where(orders >= first * len(variances), np.exp(2 * believed), 1)
    return factors


def noise_share(plane: Floats, variances: Floats, missing: Mask | None = None) -> float:
    """Tell how much of what a channel shows is noise, in the orders where that is most.

    Parameters
    ----------
    plane : ndarray, shape (Y, X) or (T, Y, X)
        The channel.
    variances : ndarray, shape (p, p)
        What `read_wave_variances` read off it.
    missing : ndarray of bool, of the same shape as the channel, optional
        Pixels that do not count.

    Returns
    -------
    float
        Standard deviation of the noise over that of the channel, both in one order; near 1 if
        pictures of that noise are what is seen, far below if grain and texture may look the same.
    """
    side = len(variances)
    every = np.square(_spectra(plane, side, missing)).mean(0)
    orders = np.rint(orders_of(side))
    shares = []
    for order in range(FIRST_READABLE, side // 2 + 1):
        chosen = orders == order
        shares.append(variances[chosen].mean() / max(float(every[chosen].mean()), 1e-30))
    return math.sqrt(max(shares))


def _spectra(plane: Floats, side: int, missing: Mask | None) -> Floats:
    """Transform evenly spaced patches without gaps: (N, p, p)."""
    from scipy.fft import dctn

    patches, whole, _ = sample_patches(plane, missing, side, MOST_PATCHES)
    patches = patches[whole] if np.count_nonzero(whole) >= FEWEST_PATCHES else patches
    spectra: Floats = dctn(patches, axes=(1, 2), norm="ortho", workers=1)
    return spectra


def _varying(spectra: Floats) -> Mask:
    """Tell which patches (N, p, p) are not blank; all count if hardly any is."""
    sizes = np.abs(spectra).reshape(len(spectra), -1)
    varying: Mask = sizes[:, 1:].max(axis=1) > ROUNDING * sizes.max()
    return varying if np.count_nonzero(varying) >= FEWEST_PATCHES else np.ones_like(varying)


def orders_of(side: int) -> Floats:
    """Return the order sqrt(u^2 + v^2) of each coefficient: (p, p)."""
    rows, columns = np.indices((side, side))
    orders: Floats = np.hypot(rows, columns)
    return orders


def _measure(spectra: Floats, strata: Indices) -> Floats:
    """Measure each coefficient in patches that are flat beside it: (p, p); 0 at order 0.

    Coefficients of even u + v choose for those of odd and the other way round, in each stratum
    (N,) of brightness; strata without flat patches count less.
    """
    side = spectra.shape[1]
    orders = np.rint(orders_of(side)).astype(int)
    parity = np.indices((side, side)).sum(0) % 2
    squares = np.square(spectra)
    groups = [squares[strata == each] for each in range(int(strata.max()) + 1)]
    variances = np.zeros((side, side))
    for order in range(1, int(orders.max()) + 1):
        near = (np.abs(orders - order) <= 1) & (orders > 0)
        for half in (0, 1):
            chosen = (orders == order) & (parity != half)
            if chosen.any():
                found = [_read_stratum(own, near & (parity == half), chosen) for own in groups]
                variances[chosen] = _combine(*map(np.array, zip(*found, strict=True)))
    return variances


def _read_stratum(squares: Floats, near: Mask, chosen: Mask) -> tuple[Floats, float]:
    """Read coefficients of the flattest patches, and how much more those of others vary."""
    order = squares[:, near].sum(1).argsort()
    few, more = (
        max(FEWEST_PATCHES, int(share * len(order))) for share in (FLAT_SHARE, ROUGH_SHARE)
    )
    flat = squares[order[:few]][:, chosen].mean(0)
    rough = float(squares[order[:more]][:, chosen].mean())
    return flat, rough / max(float(flat.mean()), 1e-30)


def _combine(flat: Floats, growth: Floats) -> Floats:
    """Average the strata (S, K), those with structure less, those far above the others not."""
    weights = np.exp(-DISTRUST * (np.log(growth.clip(min=1)) - TRUSTED_GROWTH).clip(0, 5)) + 1e-6
    levels = flat.mean(1)
    middle = weighted_median(levels[None], weights[None])[0]
    weights[levels > OUTLYING * middle] = 0
    averaged: Floats = np.average(flat, axis=0, weights=weights)
    return averaged


def _smooth(variances: Floats, concave_below: float, slopes: Floats) -> Floats:
    """Replace variances (p, p) by a curve over the order, and others along the axes if need be."""
    side = len(variances)
    orders = orders_of(side)
    rows, columns = np.indices((side, side))
    inside = (rows > 0) & (columns > 0)
    curve = _over_order(variances, inside, concave_below, slopes)
    smooth: Floats = np.exp(np.interp(orders, np.arange(len(curve)), curve))
    for axis in (columns == 0, rows == 0):
        ratio = _axis_ratio(variances, smooth, axis)
        smooth[axis & (orders > 0)] *= np.exp(ratio)
    smooth[0, 0] = max(smooth[0, 1], smooth[1, 0])
    return smooth


def _over_order(variances: Floats, inside: Mask, concave_below: float, slopes: Floats) -> Floats:
    """Average each order off the axes, and bound the lowest: logarithms, from order 0 on."""
    side = len(variances)
    orders = np.rint(orders_of(side)).astype(int)
    last = side - 1  # beyond it few coefficients are left
    curve = np.zeros(last + 1)
    for order in range(1, last + 1):
        chosen = inside & (orders == order) if order < last else inside & (orders >= order)
        chosen = chosen if chosen.any() else orders == order
        curve[order] = math.log(max(float(variances[chosen].mean()), 1e-30))
    for order in range(last - 1, 0, -1):
        curve[order] = min(curve[order], curve[order + 1] + slopes[order])
    bend = max(FIRST_READABLE, round(concave_below * side))
    for order in range(bend, 0, -1):
        steepest = min(max(FREE_SLOPE, curve[order] - curve[order + 1]), slopes[order - 1])
        highest = curve[order] + steepest
        curve[order - 1] = highest if order <= FIRST_READABLE else min(curve[order - 1], highest)
    return curve


def _axis_ratio(variances: Floats, smooth: Floats, axis: Mask) -> float:
    """Compare waves along an axis to others of their order: the logarithm of a ratio, or 0."""
    side = len(variances)
    orders = orders_of(side)
    readable = axis & (orders >= max(FIRST_READABLE, side // 4))
    logs = np.log(np.maximum(variances[readable], 1e-30) / smooth[readable])
    ratio, finest = float(np.median(logs)), float(np.median(logs[-(len(logs) // FINEST_PART) :]))
    if ratio > 0 and finest < ratio / 2:
        ratio = max(finest, 0.0)
    return ratio if abs(ratio) > AXES_MARGIN else 0.0
