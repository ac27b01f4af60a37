"""Groups of similar patches, found in a first estimate.

Around each reference patch, on a coarse grid, the patches that look like it form a group. The
models of this package are fitted to one group after the other.

Dimensions: Y, X height and width, C channels, p patch size, D = p*p*C, G groups (as many as
reference patches), M members of a group.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evodenoise.patches.aggregation import PatchAverage
from evodenoise.patches.grid import PatchGrid, Places, extract_patches
from evodenoise.system.threads import available_threads, in_threads

BLOCK = 6
"""Members are sought for so many rows and columns of reference patches at once: more of them share
more candidates, but more of these are in reach of some of them only."""

GPU_BLOCKS = 32
"""Blocks that a GPU does at once; their distances take 20 MiB each at most."""

GROUPS = 256
"""Groups that a CPU fits a model to at once."""

GPU_GROUPS = 16 * GROUPS
"""The same of a GPU."""


MATCHING = 0.45
"""Time it takes to find a group, over that of fitting a model to it."""


@dataclass(frozen=True)
class GroupSettings:
    """How groups are formed.

    Attributes
    ----------
    patch_size : int
        Side p of the patches in pixels.
    members : int
        M, the reference patch included; fewer in a tiny image.
    radius : int
        Members are sought at most so many pixels away, in rows and columns.
    step : int
        Distance of the reference patches in pixels.
    """

    patch_size: int
    members: int
    radius: int
    step: int = 3


def match_groups(image: Tensor, settings: GroupSettings) -> Iterator[Tensor]:
    """Find, for reference patches on a grid, the patches nearest to them.

    Parameters
    ----------
    image : Tensor, shape (Y, X, C)
        Where to look; nearness is the squared distance of patches.
    settings : GroupSettings
        Grid, window and number of members.

    Yields
    ------
    Tensor of int64, shape (G, M)
        Positions (see `PatchGrid`) of the members, the reference itself first, for some rows of
        the grid at a time.
    """
    grid, radius = PatchGrid(image.shape, settings.patch_size), settings.radius
    rows, columns = grid.corners(settings.step)
    # At the border, and in a tiny image, there are fewer to choose from.
    fewest = min(grid.rows, radius + 1) * min(grid.columns, radius + 1)
    settings = replace(settings, members=min(settings.members, fewest))
    blocks = _alike(columns, _blocks_at_once(image.device))

    def match(strip: Places) -> Tensor:
        return torch.cat([_match_blocks(image, grid, settings, strip, some) for some in blocks])

    strips = [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]
    at_once = 16 * available_threads(image.device)
    for first in range(0, len(strips), at_once):
        yield torch.cat([*in_threads(match, strips[first : first + at_once], image.device)])


class GroupWork:
    """Tell how much of the work on groups is done.

    Parameters
    ----------
    groups : int
        How many `match_groups` finds.
    fits, matches : int
        How often each of them is fitted and found.
    on_share : callable or None
        Called with the share that is done.
    """

    def __init__(
        self, groups: int, fits: int, matches: int, on_share: Callable[[float], None] | None
    ) -> None:
        self.total, self.done = groups * (fits + MATCHING * matches), 0.0
        self.on_share = on_share

    def matched(self, groups: int) -> None:
        """Take in that so many groups have been found."""
        self._advance(MATCHING * groups)

    def fitted(self, groups: int) -> None:
        """Take in that a model has been fitted to so many."""
        self._advance(groups)

    def _advance(self, work: float) -> None:
        self.done += work
        if self.on_share is not None:
            self.on_share(min(self.done / self.total, 1.0))


def count_groups(grid: PatchGrid, step: int) -> int:
    """Count the groups that `match_groups` finds."""
    rows, columns = grid.corners(step)
    return len(rows) * len(columns)


def _blocks_at_once(device: torch.device) -> int:
    """Choose how many blocks are matched at once: one fits a CPU's cache, a GPU wants work."""
    return 1 if device.type == "cpu" else GPU_BLOCKS


def groups_at_once(device: torch.device) -> int:
    """Choose to how many groups a model is fitted at once."""
    return GROUPS if device.type == "cpu" else GPU_GROUPS


def _alike(corners: Places, most: int) -> list[Places]:
    """Cut a line of corners into blocks, and join up to so many of the same length: (B, C) each."""
    full = len(corners) // BLOCK * BLOCK
    whole = corners[:full].reshape(-1, BLOCK)
    joined = [whole[first : first + most] for first in range(0, len(whole), most)]
    return joined if full == len(corners) else [*joined, corners[None, full:]]


def _match_blocks(
    image: Tensor, grid: PatchGrid, settings: GroupSettings, rows: Places, columns: Places
) -> Tensor:
    """Find the groups (G, M) around reference patches, in some rows (R,) and columns (B, C).

    Those of a block, R x C, share most of their candidates, so that the distances cost one matrix
    product. Rows and columns are known to the host: nothing here waits for a GPU.
    """
    size, device = settings.patch_size, image.device

    def there(places: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(places).to(device)

    down, tops, height = _reach(rows[None], settings.radius, grid.rows)
    across, lefts, width = _reach(columns, settings.radius, grid.columns)
    top, blocks = int(tops[0, 0]), len(columns)
    strip = image[top : top + height + size - 1]
    strip = strip - strip.mean((0, 1))  # the squares are small: little is lost by their differences
    patches = strip.unfold(0, size, 1).unfold(1, size, 1)  # (height, columns, C, p, p)
    windows = [patches[:, left : left + width] for left in lefts[:, 0]]
    candidates = torch.stack(windows).view(blocks, height * width, -1)
    inside = (rows - top)[:, None] * width + (columns - lefts)[:, None]  # (B, R, C)
    references = there(inside.reshape(blocks, -1, 1))
    led = candidates.gather(1, references.expand(-1, -1, candidates.shape[2]))
    # |a - b|^2 without |a|^2, which is the same for all candidates of a reference a.
    squares = candidates.square().sum(2).view(blocks, 1, 1, height, width)
    # (B, R, C, height, width), infinite out of reach: of rows first, which are fewer values.
    costs = squares + there(down)[:, :, None, :, None] + there(across)[:, None, :, None]
    costs = costs.view(blocks, references.shape[1], -1)
    costs.baddbmm_(led, candidates.mT, alpha=-2)
    costs.scatter_(2, references, -torch.inf)  # each leads its own group
    chosen = costs.topk(settings.members, dim=2, largest=False).indices
    corner = there(top * grid.columns + lefts)[..., None]
    return (corner + chosen // width * grid.columns + chosen % width).flatten(0, 1)


def _reach(corners: Places, radius: int, count: int) -> tuple[npt.NDArray[np.float32], Places, int]:
    """Find what reference patches reach along one axis, of `count` places: corners (B, R).

    Returns 0 for a block's places that each can reach and infinity for others, (B, R, P), the
    first place of each block, (B, 1), and their number P, the same for all blocks.
    """
    first = np.maximum(corners[:, :1] - radius, 0)
    end = np.minimum(corners[:, -1:] + radius + 1, count)
    length = int((end - first).max())
    first = np.minimum(first, count - length)
    places = first + np.arange(length)
    far = np.abs(corners[..., None] - places[:, None]) > radius
    return np.where(far, np.float32(np.inf), np.float32(0)), first, length


def cut_members(image: Tensor, patch_size: int, positions: Tensor) -> Tensor:
    """Cut out the patches of groups (G, M): (G, M, D)."""
    return extract_patches(image, patch_size, positions.flatten()).view(*positions.shape, -1)


def add_groups(average: PatchAverage, positions: Tensor, patches: Tensor, weights: Tensor) -> None:
    """Add groups of patches (G, M, D) with one weight a group (G,)."""
    each = weights[:, None].expand(positions.shape).reshape(-1, 1)
    average.add(positions.flatten(), patches.flatten(0, 1), each)
