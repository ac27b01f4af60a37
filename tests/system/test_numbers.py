"""Rounding and clipping, against Python's integers, which have no limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evodenoise.system.numbers import round_to

WHOLE = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


def expected(value: float, dtype: str) -> int:
    limits = np.iinfo(dtype)
    if math.isinf(value):
        return int(limits.max if value > 0 else limits.min)
    return min(max(round(value), int(limits.min)), int(limits.max))


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.sampled_from(WHOLE))
def test_floats_are_rounded_and_clipped(values: list[float], dtype: str) -> None:
    result = round_to(np.array(values), dtype)
    assert result.dtype == dtype
    assert result.tolist() == [expected(value, dtype) for value in values]


@pytest.mark.parametrize("own", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", WHOLE)
def test_the_largest_does_not_wrap_around(own: str, dtype: str) -> None:
    """The largest 32-bit integer is no float32 and the largest 64-bit one no float64."""
    limits = np.iinfo(dtype)
    values = np.array([-np.inf, 0, np.inf], own)
    assert round_to(values, dtype).tolist() == [limits.min, 0, limits.max]
    with np.errstate(over="ignore"):
        values = np.array([limits.min, limits.max]).astype(own)
    expected_here = [expected(float(value), dtype) for value in values]
    assert round_to(values, dtype).tolist() == expected_here


@pytest.mark.parametrize("own", WHOLE)
@pytest.mark.parametrize("dtype", WHOLE)
def test_integers_are_exact(own: str, dtype: str) -> None:
    limits = np.iinfo(own)
    values = np.array([limits.min, limits.max - 1, limits.max], own)
    result = round_to(values, dtype)
    assert result.dtype == dtype
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    assert result.tolist() == [min(max(value, low), high) for value in values.tolist()]


def test_what_is_no_number_becomes_nothing() -> None:
    assert round_to(np.array([np.nan, 1.5]), "uint8").tolist() == [0, 2]
