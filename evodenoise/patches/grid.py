"""An image as its overlapping patches, and back.

Dimensions: Y, X height and width, C channels, p patch size, N patches, D = p*p*C. A patch
is named by its position: the number of its upper left corner, row-major, among the
(Y-p+1)(X-p+1) corners where it lies inside the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.fft import dct
from torch import Tensor

Places = npt.NDArray[np.int64]  # rows or columns, known to the host


@dataclass(frozen=True)
class PatchGrid:
    """All positions of a p x p patch in an image (stride 1).

    Attributes
    ----------
    shape : sequence of int
        (Y, X, C) of the image.
    patch_size : int
        Side p of a patch in pixels, at most min(Y, X).
    """

    shape: Sequence[int]
    patch_size: int

    @property
    def rows(self) -> int:
        """Positions from top to bottom."""
        return self.shape[0] - self.patch_size + 1

    @property
    def columns(self) -> int:
        """Positions from left to right."""
        return self.shape[1] - self.patch_size + 1

    @property
    def patches(self) -> int:
        """N, the number of positions."""
        return self.rows * self.columns

    @property
    def pixels(self) -> int:
        """D, the values of a patch."""
        return self.patch_size**2 * self.shape[2]

    def lines(self, positions: Tensor) -> Tensor:
        """Find the pixels that the p rows of patches (N,) begin with: (N, p)."""
        width = self.shape[1]
        corners = positions // self.columns * width + positions % self.columns
        return corners[:, None] + torch.arange(self.patch_size, device=positions.device) * width

    def values(self, positions: Tensor) -> Tensor:
        """Locate the values of patches (N,) in the flattened image: (N, D), as (p, p, C)."""
        channels = self.shape[2]
        along = torch.arange(self.patch_size * channels, device=positions.device)
        return (self.lines(positions)[..., None] * channels + along).flatten(1)

    def corners(self, step: int) -> tuple[Places, Places]:
        """List rows and columns of positions, `step` apart, that cover the image with the last."""
        return _spaced(self.rows, step), _spaced(self.columns, step)

    def sublattice(self, strides: tuple[int, int], offset: tuple[int, int]) -> Tensor:
        """List the positions at strides and from an offset, each as (rows, columns)."""
        rows = torch.arange(offset[0], self.rows, strides[0])
        columns = torch.arange(offset[1], self.columns, strides[1])
        return (rows[:, None] * self.columns + columns).flatten()


def _spaced(count: int, step: int) -> Places:
    """List every step-th of so many places, and the last."""
    return np.unique([*range(0, count, step), count - 1])


def extract_patches(image: Tensor, patch_size: int, positions: Tensor | None = None) -> Tensor:
    """Cut overlapping patches out of an image.

    Parameters
    ----------
    image : Tensor, shape (Y, X, C)
        The image.
    patch_size : int
        Side p of a patch in pixels, at most min(Y, X).
    positions : Tensor of int64, shape (N,), optional
        Which patches; all by default, row-major.

    Returns
    -------
    Tensor, shape (N, D)
        Patches, each flattened as (p, p, C).
    """
    grid = PatchGrid(image.shape, patch_size)
    if positions is None:
        positions = torch.arange(grid.patches, device=image.device)
    # A row of a patch lies in one piece: copied as such, it takes a fifth of the time.
    values, channels = image.flatten().contiguous(), image.shape[2]
    length = patch_size * channels
    rows = values.as_strided(((len(values) - length) // channels + 1, length), (channels, 1))
    chosen = rows.index_select(0, grid.lines(positions).flatten())
    return chosen.view(len(positions), grid.pixels)


def cosine_basis(patch_size: int, channels: int) -> Tensor:
    """Make the orthonormal 2-D DCT of a patch, channel by channel.

    Parameters
    ----------
    patch_size : int
        Side p of a patch in pixels.
    channels : int
        C.

    Returns
    -------
    Tensor of float64, shape (D, D)
        U; patches x of shape (N, D), flattened as (p, p, C), have the coefficients x @ U, and
        come back as coefficients @ U.T.
    """
    waves = torch.from_numpy(dct(np.eye(patch_size), norm="ortho", axis=1))
    return torch.kron(torch.kron(waves, waves), torch.eye(channels, dtype=torch.float64))
