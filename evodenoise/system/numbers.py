"""Numbers as the machine has them: from floating-point numbers to integers of so many bits."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def round_to(values: Array, dtype: np.dtype[Any] | str) -> Array:
    """Round values, and clip them to what an integer type holds.

    Parameters
    ----------
    values : ndarray
        Integers or floating-point numbers; what is no number becomes 0.
    dtype : dtype or str
        An integer type.

    Returns
    -------
    ndarray
        Of that type.
    """
    target = np.dtype(dtype)
    limits = np.iinfo(target)
    if values.dtype.kind in "ui":
        own = np.iinfo(values.dtype)
        inside = values.clip(max(own.min, limits.min), min(own.max, limits.max))
        return inside.astype(target)
    rounded = np.nan_to_num(values.astype(np.float64)).round()
    # No float64 is the largest integer of 64 bits: the nearest one lies beyond, and wraps around.
    full = rounded >= float(limits.max)
    result = np.where(full, 0.0, rounded.clip(min=limits.min)).astype(target)
    result[full] = limits.max
    return result
