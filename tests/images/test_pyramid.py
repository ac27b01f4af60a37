"""Smaller copies are averages; regions are whole chunks and cover an array."""

import numpy as np
import pytest

from evodenoise.images.pyramid import regions, shrink
from evodenoise.system import scratch


@pytest.fixture(params=[50, 2**20])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take arrays in small pieces and as a whole."""
    monkeypatch.setattr(scratch, "PIECE", request.param)
    monkeypatch.setattr(scratch, "MAPPED_FROM", request.param)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize(
    ("shape", "small"),
    [((8, 12), (4, 6)), ((2, 8, 12), (2, 4, 3)), ((6, 8, 12), (3, 4, 6)), ((9, 8), (3, 8))],
)
def test_blocks_are_averaged(shape: tuple[int, ...], small: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    # Each length is split into the small one and that of a block.
    split = [
        part for size, count in zip(shape, small, strict=True) for part in (count, size // count)
    ]
    expected = array.reshape(split).mean(axis=tuple(range(1, 2 * len(shape), 2)))
    np.testing.assert_allclose(shrink(array, small), expected)


@pytest.mark.usefixtures("piece")
def test_odd_lengths_are_rounded_up_or_down() -> None:
    array = np.arange(7, dtype=np.float32)[None]
    assert shrink(array, (1, 4)).tolist() == [[0.5, 2.5, 4.5, 6]]
    assert shrink(array, (1, 3)).tolist() == [[0.5, 2.5, 4.5]]


def test_lengths_that_no_factor_leads_to_still_use_all_values() -> None:
    assert shrink(np.arange(10.0), (4,)).tolist() == [0.5, 3, 5.5, 8]


def test_integers_are_rounded() -> None:
    small = shrink(np.array([[0, 1, 255, 254], [1, 1, 255, 255]], np.uint8), (1, 2))
    assert small.dtype == np.uint8
    assert small.tolist() == [[1, 255]]


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("chunks", [(3, 4), (1, 1), (100, 7), (2, 100)])
def test_regions_are_whole_chunks(chunks: tuple[int, int]) -> None:
    seen = np.zeros((10, 23), int)
    for region in regions(seen.shape, chunks, 8):
        seen[region] += 1
        for part, step, size in zip(region, chunks, seen.shape, strict=True):
            assert part.start % step == 0
            assert part.stop % step == 0 or part.stop == size
    assert (seen == 1).all()
