"""What is left out of a sample of patches: values that noise was clipped to."""

import numpy as np
import pytest
from pictures import blobs

from evodenoise.noise.sampling import clipping_values


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("bounds", "found"),
    [((20, 150), [20, 150]), ((20, 1e9), [20]), ((-1e9, 150), [150]), ((-1e9, 1e9), [])],
)
def test_bounds_are_found_where_values_pile_up(
    bounds: tuple[float, float], found: list[float], step: float
) -> None:
    clean = 20 + 200 * blobs(160, 160, seed=0).astype(np.float64)
    noisy = clean + 20 * np.random.default_rng(100).normal(size=clean.shape)
    noisy = noisy.round() if step else noisy
    assert clipping_values(noisy.clip(*bounds)) == found


def test_few_photons_were_not_clipped() -> None:
    """Most pixels of a dark picture are 0, and the next values are 1, 2 and 3 photons."""
    counts = np.random.default_rng(0).poisson(20 * blobs() ** 4).astype(np.float64)
    assert (counts == 0).mean() > 0.5
    assert clipping_values(counts) == []


def test_a_few_values_are_a_drawing() -> None:
    assert clipping_values(np.repeat(np.arange(10.0), [900, 1, 1, 1, 1, 1, 1, 1, 1, 900])) == []
