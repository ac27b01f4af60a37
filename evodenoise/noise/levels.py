"""How the noise level of one channel follows the signal, read off the image.

Patches of about the same brightness go into one bin. In each bin and band of frequencies the
flattest ones tell the noise; a curve through the bins that prefers the lower ones, for structure
only adds, tells its level. Noise of any colour has the same colour in every bin, so that the bins
differ by one factor each.

Dimensions: T pages, Y, X height and width, p patch size, N patches, D = p*p, B bins, K bands.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.level_fits import (
    LEAST_LEVEL,
    Binned,
    fit_constant,
    fit_free,
    fit_line,
    fit_straight,
    misfit,
    weighted_median,
)
from evodenoise.noise.sampling import FEWEST_PATCHES, MOST_PATCHES, PATCH_SIZE, sample_spectra

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MOST_BINS = 24
PATCHES_OF_A_BIN = 64
"""Independent ones, before another bin is worth its statistical error."""

FEWEST_BINS = 3
FLAT_SHARE, ROUGH_SHARE = 0.1, 0.4
"""Of the patches of a bin: the noise is read off the first; how much more the second ones vary
tells how far structure is in it."""

BANDS = ((2, 2), (3, 3), (4, 4), (5, 5), (6, 7), (8, 9))
"""First and last order, round(sqrt(u^2 + v^2)), of the coefficients of a band."""

ROUNDING = 1e-12
"""Of the values; less is arithmetic, not noise."""

TRUSTED_GROWTH, DISTRUST = 0.15, 3.0
"""A band of a bin counts by exp(-`DISTRUST` g), g by how much the logarithm of the variance grows
from the flattest patches to others beyond what chance does."""

STRAIGHT_ENOUGH, FREE_ENOUGH = 0.25, 0.5
"""Times the misfit of one level, at most, has a variance that is a straight line, which photons
make, and has, if that line is none, a curve."""

LEAST_RANGE = 1.5
"""Highest level over the lowest, over nearly all of the pixels: less is taken for none."""

PLACES = (0.02, 0.98)
"""Quantiles of the brightness of dark and of bright places."""

HEAP = 0.02
"""Share of pixels that are exactly the lowest from which on those are pixels without a photon, and
that is the black level."""

NO_PHOTON = 0.12
"""Photons by which the black level of a straight line may be off."""

KNOTS = 17


def read_level_curve(
    plane: Array, missing: Mask | None = None, *, photon: bool = False
) -> LevelCurve | None:
    """Read how the noise level of one channel follows the signal.

    Parameters
    ----------
    plane : ndarray, shape (Y, X) or (T, Y, X)
        Noisy values, of one page or more.
    missing : ndarray of bool, of the same shape, optional
        Pixels that do not count.
    photon : bool
        Take the noise for that of photons, if its variance rises with the signal at all.

    Returns
    -------
    LevelCurve or None
        Levels in pixel units, up to a factor that the colour of the noise decides; constant where
        one level serves everywhere. None: the channel is too small to tell, or has no noise.
    """
    binned = read_bins(plane, missing)
    if binned is None:
        return None
    if photon and fit_line(binned)[0] > 0:
        return _photon_curve(plane, binned, fit_straight(binned), missing)
    constant = np.full(len(binned.means), fit_constant(binned))
    level = LevelCurve.constant(math.exp(constant[0] / 2))
    if len(constant) < FEWEST_BINS:
        return level
    straight, free = fit_straight(binned), fit_free(binned)
    most, chosen = misfit(binned, constant), constant
    for richer, least in ((straight, STRAIGHT_ENOUGH), (free, FREE_ENOUGH)):
        if misfit(binned, richer) < least * most:
            chosen = richer
            break
    if chosen is straight:
        curve = _photon_curve(plane, binned, straight, missing)
        span = float(np.ptp(chosen))
        if curve.photon is not None and _is_heap(plane, missing):
            # Patches with pixels that got no photon are in no bin; what the picture spans is more.
            span = max(span, _span(curve, plane, missing))
        return curve if span >= 2 * math.log(LEAST_RANGE) else level
    return _knots(binned, chosen) if np.ptp(chosen) >= 2 * math.log(LEAST_RANGE) else level


def read_bins(plane: Array, missing: Mask | None, *, most: int = MOST_PATCHES) -> Binned | None:
    """Read the level in bins of brightness; None if the image is too small or has no noise.

    Parameters
    ----------
    plane : ndarray, shape (Y, X) or (T, Y, X)
        Noisy values, of one page or more.
    missing : ndarray of bool, of the same shape, optional
        Pixels that do not count.
    most : int
        About how many patches to look at.
    """
    spectra, brightness, step = sample_spectra(plane, missing, most)
    if len(spectra) < 4 * FEWEST_PATCHES:
        return None
    means = spectra[:, 0] / PATCH_SIZE
    independent = len(spectra) * min(1.0, (2 * step / PATCH_SIZE) ** 2)
    count = int(np.clip(independent / PATCHES_OF_A_BIN, 1, MOST_BINS))
    edges = np.quantile(brightness, np.linspace(0, 1, count + 1)[1:-1])
    bins = np.searchsorted(edges, brightness, side="right")
    rows = []
    for each in range(count):
        mine = bins == each
        if np.count_nonzero(mine) < 2 * FEWEST_PATCHES:
            continue
        flat, rough = (_bands(spectra[mine], share) for share in (FLAT_SHARE, ROUGH_SHARE))
        rows.append((np.median(means[mine]), flat, rough))
    centres = np.array([row[0] for row in rows])
    flat, rough = (np.array([row[place] for row in rows]) for place in (1, 2))
    silent = flat <= np.square(ROUNDING * np.abs(means).max())
    if not len(rows) or silent.all():
        return None
    least = 1e-6 * np.median(flat[~silent])
    logs, growth = np.log(flat + least), np.log((rough + least) / (flat + least))
    weights = np.exp(-DISTRUST * (growth - TRUSTED_GROWTH).clip(0, 5)) + 1e-6
    if weights[silent].sum() > weights.sum() / 2:
        return None  # a drawing: what varies are edges
    levels = _common_factor(logs, weights)
    floor = float(np.median(levels)) + 2 * math.log(LEAST_LEVEL)
    return Binned(centres, np.maximum(levels, floor), weights.mean(1))


def _bands(spectra: Floats, share: float) -> Floats:
    """Measure each band in a share of the patches that are flat beside it: (K,).

    Coefficients of even u + v choose for those of odd and the other way round: of white noise
    none tells anything of the others.
    """
    rows, columns = np.indices((PATCH_SIZE, PATCH_SIZE))
    orders, parity = np.rint(np.hypot(rows, columns)).ravel(), ((rows + columns) % 2).ravel()
    squares = np.square(spectra)
    count = min(len(spectra), max(FEWEST_PATCHES, int(share * len(spectra))))
    found = []
    for first, last in BANDS:
        near = (orders >= max(1, first - 1)) & (orders <= last + 1)
        inside = (orders >= first) & (orders <= last)
        each = []
        for side in (0, 1):
            energy = squares[:, near & (parity == side)].sum(1)
            flattest = np.argpartition(energy, count - 1)[:count]
            each.append(squares[flattest][:, inside & (parity != side)].mean())
        found.append(np.mean(each))
    return np.array(found)


def _common_factor(logs: Floats, weights: Floats) -> Floats:
    """Split logarithms (B, K) into a part of the bin, returned (B,), and one of the band."""
    bins = np.average(logs, axis=1, weights=weights)
    for _ in range(20):
        bands = weighted_median((logs - bins[:, None]).T, weights.T)
        bins = weighted_median(logs - bands, weights)
    return bins


def _is_heap(plane: Array, missing: Mask | None) -> bool:
    """Tell whether many pixels are exactly the lowest; missing ones do not count."""
    seen = plane if missing is None else plane[~missing]
    return float(np.mean(seen == plane.min())) > HEAP


def _span(curve: LevelCurve, plane: Array, missing: Mask | None) -> float:
    """Return the logarithm of the variance in bright places over that in dark ones."""
    from scipy.ndimage import uniform_filter

    sides = (*[1] * (plane.ndim - 2), PATCH_SIZE, PATCH_SIZE)
    around = uniform_filter(plane.astype(np.float64), sides)
    around = around if missing is None else around[~missing]
    dark, bright = curve.variance(np.quantile(around, PLACES))
    return math.log(max(float(bright), 1e-30) / max(float(dark), 1e-6 * float(bright), 1e-30))


def _photon_curve(
    plane: Array, binned: Binned, straight: Floats, missing: Mask | None
) -> LevelCurve:
    """Make the curve of photons from a straight line; if it falls, a curve of knots."""
    slope, intercept = fit_line(binned)
    if slope <= 0:
        return _knots(binned, straight)
    if intercept < 0:
        black, lowest = -intercept / slope, float(plane.min())
        # Few photons leave pixels without any, exactly at the black level.
        near = abs(black - lowest) < NO_PHOTON * slope
        if not near and _is_heap(plane, missing):
            slopes = np.exp(binned.levels) / (binned.means - lowest)
            steepness = float(weighted_median(slopes[None], binned.weights[None])[0])
            return LevelCurve.of_photons(steepness, 0.0, lowest)
        return LevelCurve.of_photons(slope, 0.0, lowest if near else black)
    return LevelCurve.of_photons(slope, math.sqrt(intercept))


def _knots(binned: Binned, curve: Floats) -> LevelCurve:
    """Make a curve of few knots from the logarithms of the variance in the bins."""
    places = np.linspace(0, len(curve) - 1, min(KNOTS, len(curve)))
    numbers = np.arange(len(curve))
    values = np.interp(places, numbers, binned.means)
    stds = np.exp(np.interp(places, numbers, curve) / 2)
    kept = np.concatenate([[True], np.diff(values) > 1e-9 * np.ptp(values)])
    floor = LEAST_LEVEL * float(np.median(stds))
    return LevelCurve.of_knots(values[kept].tolist(), np.maximum(stds, floor)[kept].tolist())
