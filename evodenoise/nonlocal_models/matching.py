"""Groups of similar patches, found in a first estimate.

Around each reference patch, on a coarse grid, the patches that look like it form a group. The
models of this package are fitted to one group after the other.

Dimensions: Y, X height and width, C channels, p patch size, D = p*p*C, G groups (as many as
reference patches), M members of a group.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from evodenoise.patches.aggregation import PatchAverage
from evodenoise.patches.grid import PatchGrid, extract_patches
from evodenoise.system.threads import available_threads, in_threads

BLOCK = 6
"""Members are sought for so many rows and columns of reference patches at once: more of them share
more candidates, but more of these are in reach of some of them only."""

GROUPS = 256
"""Groups that a model works on at once."""


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
    rows, columns = (some.to(image.device) for some in grid.corners(settings.step))
    # At the border, and in a tiny image, there are fewer to choose from.
    fewest = min(grid.rows, radius + 1) * min(grid.columns, radius + 1)
    settings = replace(settings, members=min(settings.members, fewest))

    def match(strip: Tensor) -> Tensor:
        blocks = columns.split(BLOCK)
        return torch.cat([_match_block(image, grid, settings, strip, block) for block in blocks])

    strips = rows.split(BLOCK)
    at_once = 16 * available_threads(image.device)
    for first in range(0, len(strips), at_once):
        yield torch.cat([*in_threads(match, strips[first : first + at_once], image.device)])


def _match_block(
    image: Tensor, grid: PatchGrid, settings: GroupSettings, rows: Tensor, columns: Tensor
) -> Tensor:
    """Find the groups (G, M) around neighbouring reference patches, in some rows and columns.

    They share most of their candidates, so that the distances cost one matrix product.
    """
    size, radius = settings.patch_size, settings.radius
    near_rows, top = _reach(rows, radius, grid.rows)  # (rows, height)
    near_columns, left = _reach(columns, radius, grid.columns)  # (columns, width)
    height, width = near_rows.shape[1], near_columns.shape[1]
    area = image[top : top + height + size - 1, left : left + width + size - 1]
    area = area - area.mean((0, 1))  # the squares are small: little is lost by their differences
    candidates = area.unfold(0, size, 1).unfold(1, size, 1).reshape(height * width, -1)
    references = ((rows - top)[:, None] * width + (columns - left)).flatten()  # (G,)
    # |a - b|^2 without |a|^2, which is the same for all candidates of a reference a.
    costs = torch.addmm(candidates.square().sum(1), candidates[references], candidates.T, alpha=-2)
    near = near_rows[:, None, :, None] & near_columns[:, None]
    costs.masked_fill_(~near.view(costs.shape), torch.inf)
    costs.scatter_(1, references[:, None], -torch.inf)  # each leads its own group
    chosen = costs.topk(settings.members, dim=1, largest=False).indices
    return (top + chosen // width) * grid.columns + left + chosen % width


def _reach(corners: Tensor, radius: int, count: int) -> tuple[Tensor, int]:
    """Find what reference patches reach along one axis, of `count` places.

    Returns which of the places that any of them reaches are in reach of each, and the first place.
    """
    first = max(int(corners[0]) - radius, 0)
    last = min(int(corners[-1]) + radius, count - 1)
    places = torch.arange(first, last + 1, device=corners.device)
    return (corners[:, None] - places).abs() <= radius, first


def cut_members(image: Tensor, patch_size: int, positions: Tensor) -> Tensor:
    """Cut out the patches of groups (G, M): (G, M, D)."""
    return extract_patches(image, patch_size, positions.flatten()).view(*positions.shape, -1)


def add_groups(average: PatchAverage, positions: Tensor, patches: Tensor, weights: Tensor) -> None:
    """Add groups of patches (G, M, D) with one weight a group (G,)."""
    spread = weights[:, None, None].expand_as(patches).flatten(0, 1)
    average.add(positions.flatten(), patches.flatten(0, 1), spread)
