"""Clipped values, found by the many that stand at one end."""

import math

import numpy as np
import pytest

from evodenoise.noise.clipping import clipped_moments, find_bounds, level_before_clipping
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


@pytest.mark.parametrize("std", [30.0, 60.0, 100.0])
def test_the_level_before_clipping_is_found(std: float) -> None:
    y, x = np.mgrid[:160, :160]
    clean = 128 + 110 * np.sin(x / 25) * np.cos(y / 30)
    noisy = clean + std * np.random.default_rng(0).standard_normal(clean.shape)
    clipped = noisy.clip(0, 255)
    nothing = np.zeros(clean.shape, bool)
    found = level_before_clipping(clipped, nothing, (0.0, 255.0))
    assert found == pytest.approx(std, rel=0.12)
    assert found > (clipped - clean).std() + 0.1 * (std - (clipped - clean).std())


def test_where_nothing_is_known_or_varies_there_was_no_noise() -> None:
    flat = np.full((32, 32), 7.0)
    assert level_before_clipping(flat, np.ones(flat.shape, bool), (0.0, 255.0)) == 0
    assert level_before_clipping(flat, np.zeros(flat.shape, bool), (0.0, 255.0)) == 0


def test_clipped_moments_are_those_of_many_pixels() -> None:
    means = np.array([-20.0, 10.0, 128.0, 250.0])
    first, variances = clipped_moments(LevelCurve.constant(30.0), (0.0, 255.0), means)
    drawn = means + 30 * np.random.default_rng(0).standard_normal((200_000, 4))
    np.testing.assert_allclose(first, drawn.clip(0, 255).mean(0), atol=0.2)
    np.testing.assert_allclose(variances, drawn.clip(0, 255).var(0), rtol=0.03)
