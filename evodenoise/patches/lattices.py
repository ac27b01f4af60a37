"""Which patches to train on, and which to rebuild: sub-lattices of the positions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

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


@dataclass(frozen=True)
class CoveringLattice:
    """Patches spread evenly over an image, which they cover.

    Rows are shifted against each other: some patches begin in each row of pixels, and none is near
    another. One patch in 8 makes as good an image as one in 4 on a lattice of squares.

    Attributes
    ----------
    rows, columns : int
        Distance of the rows, and of the patches of a row, in pixels.
    shift : int
        How far a row begins to the left of the row of pixels above.
    border : int
        Distance of the patches along the borders, with the corners among them.
    """

    rows: int
    columns: int
    shift: int
    border: int

    @classmethod
    def of(cls, grid: PatchGrid, every: int) -> "CoveringLattice":
        """Choose one patch in so many, at most a quarter of the pixels of a patch."""
        every = min(every, (grid.patch_size // 2) ** 2) or 1
        return cls(1, every, _best_shift(every), math.isqrt(every))

    def thinned(self, patch_size: int) -> "CoveringLattice":
        """Leave out rows, and patches of a row, that the rest can cover the image without."""
        half = math.ceil(patch_size / 2)
        return replace(
            self,
            rows=half if self.columns <= patch_size else 1,
            columns=self.columns * max(1, half // self.columns),
            border=self.border * (half // self.border),
        )

    def holds(self, grid: PatchGrid, positions: Tensor) -> Tensor:
        """Tell which positions (N,) are on the lattice: (N,)."""
        row, column = positions // grid.columns, positions % grid.columns
        inner = (row % self.rows == 0) & ((column + self.shift * row) % self.columns == 0)
        last_row, last_column = row == grid.rows - 1, column == grid.columns - 1
        along = (column % self.border == 0) | last_column
        down = (row % self.border == 0) | last_row
        edge = ((row == 0) | last_row) & along | ((column == 0) | last_column) & down
        return inner | edge

    def even_out(self, image: Tensor) -> Tensor:
        """Rid an image (Y, X, C) of the pattern of the lattice, by averages over its neighbours.

        What is known of a pixel depends on where in its patches it is; so many neighbours along a
        row, or in a column, are at all of these places once.
        """
        before, after = (self.columns - 1) // 2, self.columns // 2
        planes = image.movedim(2, 0)[None]
        along = pad(planes, (before, after, 0, 0), mode="replicate")
        down = pad(planes, (0, 0, before, after), mode="replicate")
        evened = avg_pool2d(along, (1, self.columns), 1) + avg_pool2d(down, (self.columns, 1), 1)
        return torch.movedim(evened[0] / 2, 0, 2)

    def positions(self, grid: PatchGrid) -> Tensor:
        """List the positions on the lattice (N,), row-major."""
        every = torch.arange(grid.patches)
        return every[self.holds(grid, every)]


@cache
def _best_shift(every: int) -> int:
    """Find the shift of rows that puts patches furthest apart, one in so many."""
    return max(range(every), key=lambda shift: _nearest(every, shift))


def _nearest(every: int, shift: int) -> int:
    """Return the squared distance of neighbours in a lattice of rows with that shift."""
    lengths = [every**2]
    for row in range(1, every):
        across = row * shift % every
        lengths.append(row**2 + min(across, every - across) ** 2)
    return min(lengths)
