"""Overlapping patches put together to an image, each pixel an average of all that cover it.

Dimensions: Y, X height and width, C channels, N patches, D values of a patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from evodenoise.patches.grid import PatchGrid
from evodenoise.patches.source import PatchSource


def merge_patches(patches: Tensor, shape: Sequence[int], patch_size: int) -> Tensor:
    """Average all overlapping patches into an image; the inverse of `extract_patches`.

    Parameters
    ----------
    patches : Tensor, shape (N, D)
        All patches, row-major.
    shape : sequence of int
        (Y, X, C) of the image.
    patch_size : int
        Side p of a patch in pixels.

    Returns
    -------
    Tensor, shape (Y, X, C)
        At each pixel the mean over all patches that cover it.
    """
    average = PatchAverage(PatchGrid(shape, patch_size), patches.dtype, patches.device)
    average.add(torch.arange(len(patches), device=patches.device), patches)
    return average.image()


class PatchAverage:
    """The running average of overlapping patches, for images whose patches come in parts.

    Parameters
    ----------
    grid : PatchGrid
        The positions.
    dtype : torch.dtype
        Of the sums.
    device : torch.device
        Where they lie.
    """

    def __init__(self, grid: PatchGrid, dtype: torch.dtype, device: torch.device) -> None:
        self.grid = grid
        height, width, channels = grid.shape
        self.total = torch.zeros(height * width * channels, dtype=dtype, device=device)
        self.pixel_weights = torch.zeros_like(self.total)
        self.patch_weights = torch.zeros(grid.patches, dtype=dtype, device=device)

    def add(self, positions: Tensor, patches: Tensor, weights: Tensor | None = None) -> None:
        """Add patches (N, D) at their positions (N,).

        Weights are of their pixels, (N, D), or of whole patches, (N, 1); 1 by default.
        """
        values = self.grid.values(positions).flatten()
        weights = torch.ones_like(patches[:, :1]) if weights is None else weights
        self.total.scatter_add_(0, values, (weights * patches).flatten())
        if weights.shape[1] == 1:
            # All its pixels have it: it is noted once, and spread at the end.
            self.patch_weights.index_add_(0, positions, weights[:, 0])
        else:
            self.pixel_weights.scatter_add_(0, values, weights.flatten())

    def weight(self) -> Tensor:
        """Sum up the weights of each value, in the order of the flattened image."""
        beyond, channels = self.grid.patch_size - 1, self.grid.shape[2]
        spread = self.patch_weights.view(1, self.grid.rows, self.grid.columns)
        spread = pad(spread, (beyond, beyond, beyond, beyond))
        for window in ((beyond + 1, 1), (1, beyond + 1)):
            spread = avg_pool2d(spread, window, stride=1, divisor_override=1)
        return self.pixel_weights + spread.flatten().repeat_interleave(channels)

    def image(self) -> Tensor:
        """Return the average (Y, X, C); nan where no patch has been added."""
        return (self.total / self.weight()).view(*self.grid.shape)


@dataclass(frozen=True)
class Aggregate:
    """An image put together from its patches.

    Attributes
    ----------
    image : Tensor, shape (Y, X, C)
        Weighted mean of the estimates.
    variance : Tensor, shape (Y, X, C)
        Weighted mean of the variances of the patches that cover a pixel.
    disagreement : Tensor, shape (Y, X, C)
        Weighted variance of their estimates of it: how far they differ from each other.
    """

    image: Tensor
    variance: Tensor
    disagreement: Tensor


class PatchAggregator:
    """The weighted average of the estimated patches of an image, as they come in.

    Parameters
    ----------
    source : PatchSource
        Where the patches are from.
    """

    def __init__(self, source: PatchSource) -> None:
        self.source = source
        dtype, device = source.image.dtype, source.image.device
        self.average = PatchAverage(source.grid, dtype, device)
        self.variance = torch.zeros_like(self.average.total)
        self.distance = torch.zeros_like(self.average.total)

    def pixel_variance(self, variance: Tensor) -> Tensor:
        """Turn the variances of independent coefficients (N, D) into those of pixels (N, D)."""
        # The diagonal of U diag(variance) U^T.
        return variance @ self.source.basis.T.square()

    def add(
        self, positions: Tensor, coefficients: Tensor, variance: Tensor, weights: Tensor
    ) -> None:
        """Add estimated patches.

        Parameters
        ----------
        positions : Tensor of int64, shape (N,)
            Where they are.
        coefficients : Tensor, shape (N, D)
            Their estimated coefficients.
        variance, weights : Tensor, shape (N, D)
            Of their pixels.
        """
        patches = coefficients @ self.source.basis.T
        values = self.source.grid.values(positions)
        self.average.add(positions, patches, weights)
        self.variance.scatter_add_(0, values.flatten(), (weights * variance).flatten())
        # Counted from the noisy pixel, which is near: squares of the estimates themselves would
        # leave rounding errors.
        distance = (patches - self.source.image.flatten()[values]).square()
        self.distance.scatter_add_(0, values.flatten(), (weights * distance).flatten())

    def aggregate(self) -> Aggregate:
        """Return what has been put together."""
        image, weight = self.average.image(), self.average.weight()
        variance, distance = (
            (total / weight).view_as(image) for total in (self.variance, self.distance)
        )
        disagreement = distance - (image - self.source.image).square()
        return Aggregate(image, variance, disagreement.clamp(min=0))
