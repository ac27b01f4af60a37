"""Estimates of one picture mixed, pixel by pixel, by what has proved best in places like that.

No model is best everywhere: large patches win on edges and stripes, small ones at corners, the
autoencoder where nothing repeats, and each loses something that the others still have. Which to
believe is told by how much goes on around a pixel and by how far the estimates differ there.

Dimensions: Y, X height and width, K terms, A, B nodes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from evodenoise.config.settings import Refinement

WEIGHTS_FILE = Path(__file__).with_name("mixing_weights.json")

ACTIVITIES = (0.04, 2.0, 5)
"""Standard deviation of the detail around a pixel, in units of the noise's: first and last node,
and how many there are, evenly on a logarithmic scale."""

DISAGREEMENTS = (0.02, 0.2, 5)
"""The same of what the estimates differ by."""

FINE, COARSE = 1.0, 2.0
"""Standard deviations, in pixels, of the Gaussians that part detail from what is below it."""

REACH = 3
"""Standard deviations at which these Gaussians end."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """What is known of a gray picture, or of the brightness of another.

    Attributes
    ----------
    noisy : Tensor, shape (Y, X)
        Noisy image.
    base : Tensor, shape (Y, X)
        The estimate to start from.
    others : sequence of Tensor, shape (Y, X)
        Further estimates.
    noise_variance : float
        sigma^2.
    """

    noisy: Tensor
    base: Tensor
    others: Sequence[Tensor]
    noise_variance: float

    def terms(self) -> Iterator[Tensor]:
        """Yield what may be added to the base, K planes (Y, X).

        What each of the others would change, all of it and its coarse part; the coarse part of the
        residual; and the detail of the base, of two widths, of which there may be too little.
        """
        for other in self.others:
            change = other - self.base
            yield change
            yield blur(change, COARSE)
        yield blur(self.noisy - self.base, COARSE)
        for width in (FINE, COARSE):
            yield self.base - blur(self.base, width)

    def places(self) -> tuple["Places", "Places"]:
        """Say how much goes on around each pixel, and how far the estimates differ there."""
        detail = (self.base - blur(self.base, COARSE)).square()
        spread = torch.stack([(other - self.base).square() for other in self.others]).mean(0)
        return (
            Places.of(blur(detail, COARSE) / self.noise_variance, ACTIVITIES),
            Places.of(blur(spread, COARSE) / self.noise_variance, DISAGREEMENTS),
        )

    def mixed(self, weights: Tensor) -> Tensor:
        """Add the terms with weights (K, A + B) at the nodes of both places: (Y, X).

        The weight of a term at a pixel is the sum of two, each interpolated between its nodes.
        """
        activity, disagreement = self.places()
        estimate = self.base
        for term, own in zip(self.terms(), weights, strict=True):
            active, different = own.split([ACTIVITIES[2], DISAGREEMENTS[2]])
            estimate = estimate + term * (activity.read(active) + disagreement.read(different))
        return estimate


@dataclass(frozen=True, eq=False)
class Places:
    """Where pixels lie between nodes.

    Attributes
    ----------
    node : Tensor of int64, shape (Y, X)
        The node below each.
    above : Tensor, shape (Y, X)
        How far it is on the way to the next, 0 to 1.
    """

    node: Tensor
    above: Tensor

    @classmethod
    def of(cls, squares: Tensor, nodes: tuple[float, float, int]) -> "Places":
        """Find the places of squared values (Y, X) between logarithmic nodes."""
        first, last, count = nodes
        lowest, highest = (2 * torch.tensor([first, last]).log()).tolist()
        place = (squares.clamp(min=first**2, max=last**2).log() - lowest) / (highest - lowest)
        place = place.clamp(0, 1) * (count - 1)
        node = place.long().clamp(max=count - 2)
        return cls(node, place - node)

    def read(self, values: Tensor) -> Tensor:
        """Interpolate between the values of the nodes: (Y, X)."""
        return torch.lerp(values[self.node], values[self.node + 1], self.above)

    def shares(self, count: int) -> Tensor:
        """Return the share of each of so many nodes in each pixel, (count, Y, X)."""
        return torch.stack([self.read(one) for one in torch.eye(count).to(self.above)])


def mixing_weights(refinement: Refinement) -> Tensor:
    """Return the weights (K, A + B) of the terms.

    They were learned from gray pictures other than those that results are reported of, by
    `examples/learn_mixing.py`, which writes them.

    Parameters
    ----------
    refinement : Refinement
        How the estimates were made.

    Returns
    -------
    Tensor
        The weights.
    """
    return torch.tensor(_all_weights()[refinement.value])


@cache
def _all_weights() -> dict[str, list[list[float]]]:
    weights: dict[str, list[list[float]]] = json.loads(WEIGHTS_FILE.read_text(encoding="ascii"))
    return weights


def blur(plane: Tensor, width: float) -> Tensor:
    """Convolve a plane (Y, X) with a Gaussian of that standard deviation in pixels.

    The picture is continued by its mirror image.
    """
    reach = round(REACH * width)
    offsets = torch.arange(-reach, reach + 1).to(plane)
    kernel = torch.exp(-offsets.square() / (2 * width**2))
    kernel = (kernel / kernel.sum())[None, None]
    for _ in range(2):
        rows = conv1d(plane[:, None, _mirrored(plane, reach)], kernel)[:, 0]
        plane = rows.T
    return plane.contiguous()


def _mirrored(plane: Tensor, reach: int) -> Tensor:
    """Return the columns of a plane and so many beyond its edges, which are mirrors."""
    length = plane.shape[1]
    columns = torch.arange(-reach, length + reach, device=plane.device) % (2 * length)
    return torch.minimum(columns, 2 * length - 1 - columns)
