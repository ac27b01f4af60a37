"""Tiles are given out in turn, each with its share of the time."""

import time
from typing import Any, cast

import numpy as np
import pytest

from evodenoise.denoising import tiles
from evodenoise.denoising.recipe import DenoisedTile, Recipe
from evodenoise.denoising.tile_queue import SHORTEST, TileQueue


class AnyRecipe:
    """What a queue asks of a recipe."""

    margin = 4


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE_SIDE", 10)


def make_queue(**more: Any) -> TileQueue:
    """Cut 20 x 20 pixels into four tiles."""
    noisy = np.arange(400.0).reshape(1, 20, 20)
    return TileQueue(cast(Recipe, AnyRecipe()), noisy, noisy % 7 == 0, **more)


def test_calls_carry_their_pixels_and_nothing_else() -> None:
    queue = make_queue()
    calls = [call for _ in range(4) if (call := queue.take())]
    assert queue.take() is None
    assert [call.number for call in calls] == [0, 1, 2, 3]
    for call in calls:
        np.testing.assert_array_equal(call.noisy, queue.noisy[call.tile.outer])
        assert call.missing is not None
        np.testing.assert_array_equal(call.missing, call.noisy % 7 == 0)
        assert call.noisy.base is None
        assert call.time_limit is None


def test_the_time_that_is_left_is_shared_by_what_is_not_done() -> None:
    limits = []
    for at_once, finished in ((1, 0), (2, 0), (1, 2), (8, 0)):
        queue = make_queue(deadline=time.perf_counter() + 1000)
        queue.finished = finished
        call = queue.take(at_once)
        assert call
        limits.append(call.time_limit)
    assert limits == pytest.approx([250, 500, 500, 1000], rel=0.01)
    late = make_queue(deadline=time.perf_counter() - 1).take()
    assert late
    assert late.time_limit == SHORTEST


def test_shares_are_those_of_all_tiles() -> None:
    shares: list[float] = []
    refined: list[float] = []
    queue = make_queue(watchers=(shares.append, refined.append))
    rebuilding, refining = queue.watch(0)
    other, _ = queue.watch(2)
    assert rebuilding
    assert refining
    assert other
    rebuilding(0.5)
    other(0.5)
    refining(0.4)
    queue.finish(0)
    assert shares == [0.125, 0.25, 0.375]
    assert refined == [0.1, 0.25]
    assert make_queue().watch(0) == (None, None)


def test_figures_keep_no_pixels() -> None:
    """A view of none of them would."""
    pixels = np.zeros((1, 50, 50))
    figures = DenoisedTile(pixels, pixels, 1, 2.0, 3.0, 0.1, 4, 5.0, 6.0).figures()
    assert figures.image.base is None
    assert figures.std.base is None
    assert figures.image.size == figures.std.size == 0
    assert (figures.impulses, figures.noise_std) == (1, 2.0)
