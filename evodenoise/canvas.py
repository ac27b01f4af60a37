"""An image put together from its estimated patches."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from evodenoise.patches import PatchAverage
from evodenoise.scene import Scene
from evodenoise.tvae.reconstruction import Estimate


@dataclass(frozen=True)
class Rebuilt:
    """An image put together from its patches.

    Attributes
    ----------
    image : Tensor, shape (Y, X, C)
        Posterior mean.
    variance : Tensor, shape (Y, X, C)
        Weighted mean of the posterior variances of the patches that cover a pixel.
    free_energy : float
        Mean over all patches, in nats per patch.
    """

    image: Tensor
    variance: Tensor
    free_energy: float


class Canvas:
    """The running average of the estimated patches of an image.

    Parameters
    ----------
    scene : Scene
        The image.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        dtype, device = scene.image.dtype, scene.image.device
        self.image = PatchAverage(scene.grid, dtype, device)
        self.variance = PatchAverage(scene.grid, dtype, device)
        self.free_energy = torch.zeros((), device=device)

    def add(self, positions: Tensor, estimate: Estimate, weigh: Callable[[Tensor], Tensor]) -> None:
        """Add estimated patches at their positions (N,), weighed by their pixels' variance."""
        basis = self.scene.basis
        # The diagonal of U diag(variance) U^T.
        variance = estimate.variance @ basis.T.square()
        weights = weigh(variance)
        self.image.add(positions, estimate.mean @ basis.T, weights)
        self.variance.add(positions, variance, weights)
        self.free_energy += estimate.free_energy.sum()

    def rebuilt(self) -> Rebuilt:
        """Return what has been put together."""
        free_energy = float(self.free_energy) / self.scene.grid.patches
        return Rebuilt(self.image.image(), self.variance.image(), free_energy)
