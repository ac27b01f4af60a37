"""Which patches to train on, and which to rebuild: sub-lattices of the positions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from evodenoise.patches.grid import PatchGrid
from evodenoise.patches.source import PatchSource


def choose_lattices(
    source: PatchSource, wanted: int | None, count: int, *, generator: torch.Generator
) -> list[Tensor]:
    """Choose the sub-lattices to train on: strides, and random distinct offsets.

    Parameters
    ----------
    source : PatchSource
        The image.
    wanted : int or None
        Patches of a sub-lattice, about; None: all of them.
    count : int
        Sub-lattices at most.
    generator : torch.Generator
        Source of randomness; its device is the result's.

    Returns
    -------
    list of Tensor of int64
        Positions, lattice by lattice; patches without any pixel are left out.
    """
    grid = source.grid
    ratio = grid.patches / (wanted or grid.patches)
    # In a strip too narrow for equal strides the longer side takes what is left.
    down = min(max(1, math.ceil(math.sqrt(ratio))), grid.rows)
    right = min(max(1, math.ceil(ratio / down)), grid.columns)
    down = min(max(down, math.ceil(ratio / right)), grid.rows)
    offsets = torch.randperm(down * right, generator=generator, device=generator.device)
    return [
        source.visible(grid.sublattice((down, right), divmod(offset, right)).to(generator.device))
        for offset in offsets[:count].tolist()
    ]


def interleave(lattices: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Join the sub-lattices of all images that an epoch visits together.

    Parameters
    ----------
    lattices : sequence of sequence of Tensor
        For each image its sub-lattices; where there are fewer of them they come again.

    Returns
    -------
    list of Tensor of int64
        Places in the list of all patches, image by image and lattice by lattice.
    """
    device = lattices[0][0].device
    sizes = [len(lattice) for own in lattices for lattice in own]
    places = list(torch.arange(sum(sizes), device=device).split(sizes))
    numbered = [[places.pop(0) for _ in own] for own in lattices]
    rounds = max(map(len, numbered))
    joined = [torch.cat([own[turn % len(own)] for own in numbered]) for turn in range(rounds)]
    return [lattice for lattice in joined if len(lattice)]


def covering_lattice(grid: PatchGrid, step: int, *, staggered: bool = False) -> Tensor:
    """List positions that are spread evenly and cover the image.

    Parameters
    ----------
    grid : PatchGrid
        All positions.
    step : int
        Distance of the rows, and of the columns, in pixels; the last ones are among them.
    staggered : bool
        Leave out every second position, but for those at the border.

    Returns
    -------
    Tensor of int64, shape (N,)
        Their numbers.
    """
    rows, columns = (torch.from_numpy(each) for each in grid.corners(step))
    places = rows[:, None] * grid.columns + columns
    if not staggered:
        return places.flatten()
    down, across = torch.arange(len(rows))[:, None], torch.arange(len(columns))
    kept = (down + across) % 2 == 0
    kept[[0, -1]] = kept[:, [0, -1]] = True
    return places[kept]
