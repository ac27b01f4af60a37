"""Fits to the noise level in bins of brightness: one level, a straight line, a free curve.

All of them prefer the lower bins, for structure only adds to what is read.

Dimensions: B bins.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STRUCTURE = 0.15
"""Of the logarithm of the variance: so far above the curve a bin may lie for want of a flat patch
and still count by half."""

STIFFNESS = 2.0
"""Weight of the squared second differences of the free curve, in logarithms of the variance."""

LEAST_LEVEL = 0.3
"""Of the median level; no other is taken to be less."""


class Binned(NamedTuple):
    """The noise over brightness: means (B,), logarithms of variances (B,) and weights (B,)."""

    means: Floats
    levels: Floats
    weights: Floats


def _credit(binned: Binned, curve: Floats) -> Floats:
    """Weigh bins: those above a curve less, the farther the more."""
    excess = (binned.levels - curve).clip(min=0) / STRUCTURE
    credit: Floats = binned.weights / (1 + excess**2)
    return credit


def misfit(binned: Binned, curve: Floats) -> float:
    """Sum the squared distances from a curve; those above it level off."""
    distance = binned.levels - curve
    above = STRUCTURE**2 * np.log1p((distance.clip(min=0) / STRUCTURE) ** 2)
    return float((binned.weights * (above + np.square(distance.clip(max=0)))).sum())


def fit_constant(binned: Binned) -> float:
    """Find the constant level, as a logarithm of the variance."""
    level = float(weighted_median(binned.levels[None], binned.weights[None])[0])
    for _ in range(20):
        level = float(np.average(binned.levels, weights=_credit(binned, np.full(1, level))))
    return level


def fit_straight(binned: Binned) -> Floats:
    """Fit a variance that is a straight line of the brightness: logarithms (B,)."""
    slope, intercept = fit_line(binned)
    return np.log(line_variance(binned, slope, intercept))


def fit_line(binned: Binned) -> tuple[float, float]:
    """Fit slope and intercept of the variance over the brightness."""
    variances = np.exp(binned.levels)
    curve = np.full(len(variances), fit_constant(binned))
    slope, intercept = 0.0, math.exp(curve[0])
    for _ in range(40):
        # Errors are relative to the variance itself.
        weights = np.sqrt(_credit(binned, curve)) / np.exp(curve)
        design = np.stack([binned.means, np.ones(len(variances))], axis=1) * weights[:, None]
        slope, intercept = np.linalg.lstsq(design, variances * weights, rcond=None)[0].tolist()
        curve = np.log(line_variance(binned, slope, intercept))
    return slope, intercept


def line_variance(binned: Binned, slope: float, intercept: float) -> Floats:
    """Return the variance on a straight line in each bin (B,), bounded from below."""
    typical = math.exp(float(np.median(binned.levels)))
    variance: Floats = np.maximum(slope * binned.means + intercept, LEAST_LEVEL**2 * typical)
    return variance


def fit_free(binned: Binned) -> Floats:
    """Fit a smooth curve to the logarithms of the variance (B,), bin by bin."""
    count = len(binned.means)
    bends = np.diff(np.eye(count), 2, axis=0)
    curve: npt.NDArray[Any] = fit_straight(binned)
    for _ in range(40):
        credit = _credit(binned, curve)
        system = np.diag(credit + 1e-6) + STIFFNESS * bends.T @ bends
        curve = np.linalg.solve(system, (credit + 1e-6) * binned.levels)
    return curve


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Take the weighted median of each row."""
    order = values.argsort(axis=1)
    values, weights = (np.take_along_axis(each, order, axis=1) for each in (values, weights))
    places = weights.cumsum(1) - weights / 2
    rows = zip(weights.sum(1) / 2, places, values, strict=True)
    return np.array([np.interp(middle, place, value) for middle, place, value in rows])
