"""Lattices of patches that are rebuilt: they cover the image, evenly, few of them or fewer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evodenoise.patches.grid import PatchGrid
from evodenoise.patches.lattices import CoveringLattice


@st.composite
def grids(draw: st.DrawFn) -> PatchGrid:
    side = draw(st.integers(1, 12))
    height, width = (draw(st.integers(side, 3 * side + 8)) for _ in range(2))
    return PatchGrid((height, width, draw(st.sampled_from([1, 3]))), side)


def covered(grid: PatchGrid, lattice: CoveringLattice) -> np.ndarray:
    """Count the patches over each pixel."""
    counts = np.zeros(grid.shape[:2], int)
    side = grid.patch_size
    for row, column in zip(*np.divmod(lattice.positions(grid).numpy(), grid.columns), strict=True):
        counts[row : row + side, column : column + side] += 1
    return counts


@given(grids(), st.integers(1, 50))
@settings(max_examples=150, deadline=None)
def test_lattices_cover_the_image_and_so_do_the_fewer_without_time(
    grid: PatchGrid, every: int
) -> None:
    lattice = CoveringLattice.of(grid, every)
    thinned = lattice.thinned(grid.patch_size)
    assert covered(grid, lattice).min() >= 1
    assert covered(grid, thinned).min() >= 1
    assert {*thinned.positions(grid).tolist()} <= {*lattice.positions(grid).tolist()}


@pytest.mark.parametrize("every", range(1, 26))
def test_one_patch_in_so_many_is_on_the_lattice_far_from_the_others(every: int) -> None:
    """Some begin in each row of pixels, where on a lattice of squares most rows have none."""
    grid = PatchGrid((10 * every + 18, 10 * every + 18, 1), 10)
    positions = CoveringLattice.of(grid, every).positions(grid)
    rows, columns = positions // grid.columns, positions % grid.columns
    inside = (rows.minimum(columns) >= every) & (rows.maximum(columns) < 9 * every)
    rows, columns = rows[inside].double(), columns[inside].double()
    assert len(rows) == 64 * every
    assert len(rows.unique()) == 8 * every
    places = torch.stack([rows, columns], 1)[: 20 * every]
    squares = torch.cdist(places, places).square() + torch.eye(len(places)) * 1e9
    assert float(squares.min()) >= 0.66 * every


def test_a_lattice_has_all_patches_at_most_and_a_quarter_of_their_pixels_between_them() -> None:
    grid = PatchGrid((20, 30, 1), 8)
    everything = CoveringLattice.of(grid, 1).positions(grid)
    assert torch.equal(everything, torch.arange(grid.patches))
    assert torch.equal(
        CoveringLattice.of(grid, 1000).positions(grid), CoveringLattice.of(grid, 16).positions(grid)
    )


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_the_pattern_of_a_lattice_is_evened_out(every: int) -> None:
    """As of error bars, which know of a pixel where in its patches it is."""
    grid = PatchGrid((30, 33, 2), 6)
    lattice = CoveringLattice.of(grid, every)
    rows, columns = torch.arange(30)[:, None], torch.arange(33)
    phase = (columns + lattice.shift * rows) % every
    level = torch.tensor([1.0, 4.0])
    evened = lattice.even_out(level * (1 + phase[..., None] / 10))
    inside = evened[every:-every, every:-every]
    expected = level * (1 + (every - 1) / 20)
    torch.testing.assert_close(inside, expected.expand_as(inside))
    smooth = level * torch.linspace(1, 2, 30)[:, None, None].expand(30, 33, 1)
    assert (lattice.even_out(smooth) / smooth - 1).abs().max() < 0.1
    assert torch.equal(lattice.even_out(torch.ones(30, 33, 2)), torch.ones(30, 33, 2))
