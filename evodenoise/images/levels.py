"""How values fit into the levels of an integer type: spread, refused, or warned about."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evodenoise.errors import ImageError, plural
from evodenoise.images.axes import Array
from evodenoise.system.numbers import round_to
from evodenoise.system.scratch import pieces

LEAST_FILLED = 1 / 8
"""Share of its natural range that an input fills; below it, its own range is spread instead."""

NOISE_BEYOND = 0.1
"""Share of a type's range by which noise may reach beyond black and white unharmed."""

FEWEST_LEVELS = 8
"""On fewer levels nothing is left of a picture that had twice as many values."""

COARSE_STD, COARSE_RANGE = 2.5, 32.0
"""In levels: values that vary less lose by rounding; of photon counts those of a mean of 4 lose
1.3 dB, of 8 only 0.3. The range leaves out pictures of a few bright spots."""

DType = np.dtype[Any]


@dataclass(frozen=True)
class Rescaling:
    """An affine map from the values of an input to the levels of a result.

    Attributes
    ----------
    source, target : tuple of float
        The ends of a range of values, and the levels that they become.
    """

    source: tuple[float, float]
    target: tuple[float, float]

    @property
    def factor(self) -> float:
        """Levels a unit of the input."""
        return (self.target[1] - self.target[0]) / (self.source[1] - self.source[0])

    def apply(self, values: Array) -> Array:
        """Map values to levels, not rounded."""
        return _move(values, self.source, self.target)

    def undo(self, levels: Array) -> Array:
        """Map levels back to values."""
        return _move(levels, self.target, self.source)


def _move(values: Array, old: tuple[float, float], new: tuple[float, float]) -> Array:
    share = (values.astype(np.float64) - old[0]) / (old[1] - old[0])
    moved: Array = share * (new[1] - new[0]) + new[0]
    return moved


def choose_rescaling(known: Array, dtype: DType) -> tuple[Rescaling | None, tuple[str, ...]]:
    """Choose how values are spread over the levels of an integer type.

    The range of an integer type, or 0 to 1 of floating-point numbers, becomes the range of the
    other type. Values that lie beyond it, or fill little of it, are spread from their own minimum
    to their maximum.

    Parameters
    ----------
    known : ndarray
        Finite values.
    dtype : dtype
        The integer type.

    Returns
    -------
    rescaling : Rescaling or None
        None if the values are of that type already.
    warnings : tuple of str
        What the user should know about it.

    Raises
    ------
    ImageError
        If there is no range to be spread.
    """
    if known.dtype == dtype:
        return None, ()
    target = _limits(dtype)
    natural = _limits(known.dtype) if known.dtype.kind in "ui" else (0.0, 1.0)
    low, high = _extremes(known)
    is_inside = natural[0] <= low and high <= natural[1]
    if is_inside and (high == low or high - low >= LEAST_FILLED * (natural[1] - natural[0])):
        return Rescaling(natural, target), ()
    if high == low:
        raise ImageError(f"every value is {low:g}; leave out --rescale, which spreads a range")
    said = f"--rescale spreads the values from their minimum to their maximum ({low:g} to {high:g})"
    return Rescaling((low, high), target), (said,)


def check_levels(known: Array, dtype: DType, rescaling: Rescaling | None) -> None:
    """Refuse a conversion to integers that leaves nothing of a picture.

    That is if more than half of the values lie beyond the range of the type by more than
    `NOISE_BEYOND` of it, or if many different values fall onto fewer than `FEWEST_LEVELS` levels.
    A picture that is mostly black keeps the levels that it has and passes.

    Parameters
    ----------
    known : ndarray
        Finite values.
    dtype : dtype
        The integer type.
    rescaling : Rescaling, optional
        How they are spread over its levels.

    Raises
    ------
    ImageError
        If so.
    """
    if np.can_cast(known.dtype, dtype):
        return
    values = "values from {:g} to {:g}".format(*_extremes(known))
    low, high = _limits(dtype)
    margin = NOISE_BEYOND * (high - low)

    def exact(piece: Array) -> Array:
        return piece.astype(np.float64) if rescaling is None else rescaling.apply(piece)

    def count_beyond(piece: Array) -> int:
        return int(np.count_nonzero((piece < low - margin) | (piece > high + margin)))

    beyond = sum(count_beyond(exact(known[place])) for place in pieces(known)) / known.size
    if beyond > 0.5:
        raise ImageError(
            f"{values}: {dtype} holds {low:g} to {high:g}, and {beyond:.0%} of them would be "
            "clipped; add --rescale, or keep them with --dtype float32"
        )
    levels = _count(known, FEWEST_LEVELS, lambda piece: round_to(exact(piece), dtype))
    if levels < FEWEST_LEVELS and _count(known, 2 * FEWEST_LEVELS) >= 2 * FEWEST_LEVELS:
        mend = "add --rescale" if rescaling is None else "mask those far from the rest (--mask)"
        raise ImageError(
            f"{values}: as {dtype} they would fall onto {plural(levels, 'level')}; "
            f"{mend}, or keep them with --dtype float32"
        )


def rounding_warnings(known: Array, rescaling: Rescaling | None) -> tuple[str, ...]:
    """Warn if values vary by so few levels that rounding the result loses what was won.

    Parameters
    ----------
    known : ndarray
        Finite values, of a result that holds integers.
    rescaling : Rescaling, optional
        How they are spread over its levels.

    Returns
    -------
    tuple of str
        One warning or none. There is none for two values that are far apart, like black and
        white, and none for a constant.
    """
    factor = 1.0 if rescaling is None else rescaling.factor
    low, high = _extremes(known)
    span = (high - low) * factor
    if not 0 < span < COARSE_RANGE or _std(known) * factor >= COARSE_STD:
        return ()
    return (
        f"the values vary by less than {COARSE_STD:g} levels, and rounding the result to whole "
        "numbers costs quality; --dtype float32 keeps fractions (.tif, .npy, .fits)",
    )


def _count(
    values: Array, enough: int, change: Callable[[Array], Array] = lambda piece: piece
) -> int:
    """Count different values, each changed by a function, until there are enough."""
    found = change(values[:0])
    for place in pieces(values):
        found = np.union1d(found, change(values[place]))
        if len(found) >= enough:
            break
    return len(found)


def _std(values: Array) -> float:
    """Compute the standard deviation; numpy would make an array of all differences."""
    total = sum(float(values[place].sum(dtype=np.float64)) for place in pieces(values))
    mean = total / values.size
    squares = sum(float(np.square(values[place] - mean).sum()) for place in pieces(values))
    return math.sqrt(squares / values.size)


def _extremes(values: Array) -> tuple[float, float]:
    """Find the least and the largest value."""
    ends = [(values[place].min(), values[place].max()) for place in pieces(values)]
    lows, highs = zip(*ends, strict=True)
    return float(min(lows)), float(max(highs))


def _limits(dtype: DType) -> tuple[float, float]:
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)
