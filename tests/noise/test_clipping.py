"""Clipped values, found by the many that stand at one end."""

import math

import numpy as np
import pytest

from evodenoise.noise.clipping import find_bounds
from evodenoise.noise.curves import LevelCurve

NOISY = np.random.default_rng(0).normal(128, 60, 20_000)
COUNTS = np.random.default_rng(0).poisson(0.3, 20_000).astype(float)


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize(
    ("low", "high"), [(0, 255), (20, math.inf), (-math.inf, 200), (-math.inf, math.inf)]
)
def test_bounds_are_found_where_values_pile_up(low: float, high: float, rounded: bool) -> None:
    pixels = NOISY.clip(low, high)
    found = find_bounds(pixels.round() if rounded else pixels)
    assert found == (None if math.isinf(low) and math.isinf(high) else (low, high))


def test_dark_counts_are_not_clipped() -> None:
    assert find_bounds(COUNTS, LevelCurve.of_photons(1)) is None


def test_read_counts_at_one_value_are() -> None:
    read = (COUNTS + np.random.default_rng(1).normal(0, 1, COUNTS.shape)).clip(min=0)
    assert find_bounds(read, LevelCurve.of_photons(1, 1)) == (0, math.inf)


def test_values_that_are_all_alike_are_not_clipped() -> None:
    assert find_bounds(np.full(100, 7.0)) is None
