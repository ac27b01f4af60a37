"""Tiles cover an image once, and windows to learn from differ."""

import numpy as np
import pytest

from evodenoise.denoising.tiles import Place, choose_windows, cut_tiles

SHAPES = [(1, 40, 50), (2, 33, 7), (1, 64, 64, 3), (3, 1, 100)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("side", "margin"), [(16, 5), (100, 8), (7, 0)])
def test_tiles_cover_every_pixel_once(shape: tuple[int, ...], side: int, margin: int) -> None:
    times = np.zeros(shape[:3], int)
    for tile in cut_tiles(shape, margin, side=side):
        times[tile.place] += 1
        assert max(np.subtract(*reversed(tile.rows)), np.subtract(*reversed(tile.columns))) <= side
        assert tile.pixels == times[tile.place].size
    assert (times == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tile_is_inside_of_itself_with_its_margin(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random(shape)
    for tile in cut_tiles(shape, 5, side=16):
        np.testing.assert_array_equal(array[tile.outer][tile.inner], array[tile.place])
        for (first, last), (start, end), length in (
            (tile.rows, tile.outer_rows, shape[1]),
            (tile.columns, tile.outer_columns, shape[2]),
        ):
            assert (start, end) == (max(first - 5, 0), min(last + 5, length))


def pages() -> np.ndarray:
    """Make a dark page with a bright quarter, a striped one, and a few stripes elsewhere."""
    page = np.full((1, 160, 160, 1), 10.0)
    page[:, :80, :80] += 200
    page[:, 80:, :80, :] += 100 * (np.arange(80) % 2)[None, None, :, None]
    return page


def overlap(one: Place, other: Place) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def test_windows_differ() -> None:
    chosen = choose_windows(
        pages() + np.random.default_rng(0).random((1, 160, 160, 1)), None, 40, 3
    )
    assert len(chosen) == 3
    means = sorted(float(pages()[place].mean()) for place in chosen)
    assert means == pytest.approx([10, 60, 210], abs=1)


@pytest.mark.parametrize(("side", "count"), [(40, 5), (64, 4), (500, 3)])
def test_windows_are_of_one_size_apart_and_aligned(side: int, count: int) -> None:
    chosen = choose_windows(pages(), None, side, count)
    own = min(side, 160)
    assert 1 <= len(chosen) <= count
    for number, place in enumerate(chosen):
        assert pages()[place].shape == (1, own, own, 1)
        assert all(each.start % 8 == 0 for each in place[1:])
        assert not any(overlap(place, other) for other in chosen[:number])


def test_windows_of_little_but_gaps_are_left_alone() -> None:
    values, missing = pages(), np.zeros((1, 160, 160), bool)
    values[:, :80, :100] = np.nan
    missing[:, 80:] = True
    chosen = choose_windows(values, missing, 40, 8)
    assert len(chosen) == 2
    for place in chosen:
        assert place[2].start >= 80
        assert place[1].stop <= 80


def test_where_nothing_is_known_there_is_a_window_still() -> None:
    assert len(choose_windows(np.full((1, 90, 90, 1), np.nan), None, 40, 4)) == 4


def test_many_pages_are_looked_at_here_and_there() -> None:
    chosen = choose_windows(np.random.default_rng(0).random((900, 16, 16, 1)), None, 512, 6)
    assert len({place[0].start for place in chosen}) == 6
    assert max(place[0].start for place in chosen) > 600
