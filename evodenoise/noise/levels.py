"""How the noise level of one channel follows the signal, read off the image.

Patches of about the same brightness go into one bin. In each bin and band of frequencies the
flattest ones tell the noise; a curve through the bins that prefers the lower ones, for structure
only adds, tells its level. Noise of any colour has the same colour in every bin, so that the bins
differ by one factor each.

Dimensions: T pages, Y, X height and width, p patch size, N patches, D = p*p, B bins, K bands.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.sampling import FEWEST_PATCHES, PATCH_SIZE, sample_spectra

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

STRUCTURE = 0.15
"""Of the logarithm of the variance: so far above the curve a bin may lie for want of a flat patch
and still count by half."""

STIFFNESS = 2.0
"""Weight of the squared second differences of the free curve, in logarithms of the variance."""

STRAIGHT_ENOUGH, FREE_ENOUGH = 0.25, 0.5
"""Times the misfit of one level, at most, has a variance that is a straight line, which photons
make, and has, if that line is none, a curve."""

LEAST_RANGE = 1.5
"""Highest level over the lowest, over nearly all of the pixels: less is taken for none."""

LEAST_LEVEL = 0.3
"""Of the median level; no other is taken to be less."""

NO_PHOTON = 0.12
"""Photons by which the black level of a straight line may be off."""

KNOTS = 17


class Binned(NamedTuple):
    """The noise over brightness: means (B,), logarithms of variances (B,) and weights (B,)."""

    means: Floats
    levels: Floats
    weights: Floats


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
    if photon and _line(binned)[0] > 0:
        return _photon_curve(plane, binned, _straight(binned))
    constant = np.full(len(binned.means), _centre(binned))
    level = LevelCurve.constant(math.exp(constant[0] / 2))
    if len(constant) < FEWEST_BINS:
        return level
    straight, free = _straight(binned), _free(binned)
    misfit, chosen = _misfit(binned, constant), constant
    for richer, least in ((straight, STRAIGHT_ENOUGH), (free, FREE_ENOUGH)):
        if _misfit(binned, richer) < least * misfit:
            chosen = richer
            break
    if np.ptp(chosen) < 2 * math.log(LEAST_RANGE):
        return level
    if chosen is not straight:
        return _knots(binned, chosen)
    return _photon_curve(plane, binned, straight)


def read_bins(plane: Array, missing: Mask | None) -> Binned | None:
    """Read the level in bins of brightness; None if the image is too small or has no noise."""
    spectra, brightness, step = sample_spectra(plane, missing)
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


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Take the weighted median of each row."""
    order = values.argsort(axis=1)
    values, weights = (np.take_along_axis(each, order, axis=1) for each in (values, weights))
    places = weights.cumsum(1) - weights / 2
    rows = zip(weights.sum(1) / 2, places, values, strict=True)
    return np.array([np.interp(middle, place, value) for middle, place, value in rows])


def _credit(binned: Binned, curve: Floats) -> Floats:
    """Weigh bins: those above a curve less, the farther the more."""
    excess = (binned.levels - curve).clip(min=0) / STRUCTURE
    credit: Floats = binned.weights / (1 + excess**2)
    return credit


def _misfit(binned: Binned, curve: Floats) -> float:
    """Sum the squared distances from a curve; those above it level off."""
    distance = binned.levels - curve
    above = STRUCTURE**2 * np.log1p((distance.clip(min=0) / STRUCTURE) ** 2)
    return float((binned.weights * (above + np.square(distance.clip(max=0)))).sum())


def _centre(binned: Binned) -> float:
    """Find the constant level, as a logarithm of the variance."""
    level = float(weighted_median(binned.levels[None], binned.weights[None])[0])
    for _ in range(20):
        level = float(np.average(binned.levels, weights=_credit(binned, np.full(1, level))))
    return level


def _straight(binned: Binned) -> Floats:
    """Fit a variance that is a straight line of the brightness: logarithms (B,)."""
    slope, intercept = _line(binned)
    return np.log(_line_variance(binned, slope, intercept))


def _line(binned: Binned) -> tuple[float, float]:
    """Fit slope and intercept of the variance over the brightness."""
    variances = np.exp(binned.levels)
    curve = np.full(len(variances), _centre(binned))
    slope, intercept = 0.0, math.exp(curve[0])
    for _ in range(40):
        # Errors are relative to the variance itself.
        weights = np.sqrt(_credit(binned, curve)) / np.exp(curve)
        design = np.stack([binned.means, np.ones(len(variances))], axis=1) * weights[:, None]
        slope, intercept = np.linalg.lstsq(design, variances * weights, rcond=None)[0].tolist()
        curve = np.log(_line_variance(binned, slope, intercept))
    return slope, intercept


def _line_variance(binned: Binned, slope: float, intercept: float) -> Floats:
    typical = math.exp(float(np.median(binned.levels)))
    variance: Floats = np.maximum(slope * binned.means + intercept, LEAST_LEVEL**2 * typical)
    return variance


def _free(binned: Binned) -> Floats:
    """Fit a smooth curve to the logarithms of the variance (B,), bin by bin."""
    count = len(binned.means)
    bends = np.diff(np.eye(count), 2, axis=0)
    curve: npt.NDArray[Any] = _straight(binned)
    for _ in range(40):
        credit = _credit(binned, curve)
        system = np.diag(credit + 1e-6) + STIFFNESS * bends.T @ bends
        curve = np.linalg.solve(system, (credit + 1e-6) * binned.levels)
    return curve


def _photon_curve(plane: Array, binned: Binned, straight: Floats) -> LevelCurve:
    """Make the curve of photons from a straight line; if it falls, a curve of knots."""
    slope, intercept = _line(binned)
    if slope <= 0:
        return _knots(binned, straight)
    if intercept < 0:
        black, lowest = -intercept / slope, float(plane.min())
        # Few photons leave pixels without any, exactly at the black level.
        near = abs(black - lowest) < NO_PHOTON * slope
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
