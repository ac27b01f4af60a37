"""The decoder: a small fully connected network from a binary code to a patch.

It emits the mean of each coefficient of the patch and, if it has a covariance, how far the
clean coefficient may stray from it (`Emission`).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.01
"""Slope of the leaky ReLU below zero."""


LOCKED_SPREAD = -3.0
"""Where the outputs for the spread start: softplus(-3)^2 = 0.0024, next to no variance."""


class Emission(NamedTuple):
    """What a code says about the clean coefficients of a patch.

    Attributes
    ----------
    mean : Tensor, shape (..., D)
        mu(z).
    variance : Tensor, shape (..., D), or None
        v(z), of the clean coefficients around the mean; None: they are the mean.
    """

    mean: Tensor
    variance: Tensor | None


class Decoder(nn.Module):
    """Map codes to means and variances: H -> hidden widths (leaky ReLU) -> D or 2 D (linear).

    The first layer is a sum of the weight rows of a code's ones, which for sparse codes
    is an order of magnitude cheaper than the matrix product it stands for.

    Parameters
    ----------
    latents : int
        H.
    hidden : sequence of int
        Widths of the hidden layers, at least one.
    pixels : int
        D.
    covariance : bool
        Whether there are outputs for the variances; they keep silent until `unlock`.
    generator : torch.Generator
        Source of the initial weights; its device becomes the decoder's.

    Attributes
    ----------
    rows : Parameter, shape (H + 1, H_1)
        Weights of the first layer; the last row, that of the empty place, stays zero.
    bias : Parameter, shape (H_1,)
        Its bias.
    weights, biases : ParameterList
        Of the layers that follow, each (outputs, inputs) and (outputs,).
    """

    def __init__(
        self,
        latents: int,
        hidden: Sequence[int],
        pixels: int,
        *,
        covariance: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()

        def uniform(*shape: int, bound: float) -> nn.Parameter:
            drawn = torch.empty(*shape, device=generator.device)
            return nn.Parameter(drawn.uniform_(-bound, bound, generator=generator))

        self.hidden, self.pixels, self.unlocked = tuple(hidden), pixels, False
        layers = list(pairwise([*hidden, 2 * pixels if covariance else pixels]))
        # A code has a few ones, not H: its rows may be large, and it still stays near unit scale.
        self.rows = uniform(latents + 1, hidden[0], bound=0.5)
        self.rows.data[latents] = 0
        self.bias = uniform(hidden[0], bound=0.0)
        self.weights = nn.ParameterList(
            uniform(outputs, inputs, bound=1 / math.sqrt(inputs)) for inputs, outputs in layers
        )
        self.biases = nn.ParameterList(uniform(outputs, bound=0.0) for _, outputs in layers)
        # From near zero: with variances from the start a handful of codes would explain it all.
        self.weights[-1].data[pixels:] *= 0.1
        self.biases[-1].data[pixels:] = LOCKED_SPREAD

    @property
    def covariance(self) -> bool:
        """Whether there are outputs for the variances."""
        return len(self.biases[-1]) > self.pixels

    @property
    def locked(self) -> bool:
        """Whether there are outputs for the variances that keep silent as yet."""
        return self.covariance and not self.unlocked

    def unlock(self) -> None:
        """Let the variances speak from now on, if there are outputs for them."""
        self.unlocked = self.covariance

    def embed(self, states: Tensor) -> Tensor:
        """Sum the first layer's rows over the ones of states (..., K): (..., H_1)."""
        bags = states.reshape(-1, states.shape[-1]).int()
        # Naming the empty place keeps its row out of the gradient, and is slower.
        empty = len(self.rows) - 1 if torch.is_grad_enabled() else None
        summed = F.embedding_bag(bags, self.rows, mode="sum", padding_idx=empty)
        return summed.add_(self.bias).view(*states.shape[:-1], -1)

    def decode(self, embedding: Tensor, *, mean_only: bool = False) -> Emission:
        """Map the first layer's pre-activations (..., H_1) to means and variances (..., D).

        Without gradients the pre-activations are overwritten, to save memory traffic.
        """
        activation = embedding
        inplace = not torch.is_grad_enabled()
        *hidden, (weight, bias) = zip(self.weights, self.biases, strict=True)
        for inner_weight, inner_bias in hidden:
            activation = F.leaky_relu(activation, LEAK, inplace=inplace)
            activation = F.linear(activation, inner_weight, inner_bias)
        activation = F.leaky_relu(activation, LEAK, inplace=inplace)
        if mean_only or not self.unlocked:
            return Emission(F.linear(activation, weight[: self.pixels], bias[: self.pixels]), None)
        mean, spread = F.linear(activation, weight, bias).split(self.pixels, dim=-1)
        return Emission(mean, F.softplus(spread).square())

    def forward(self, states: Tensor) -> Emission:
        """Map states (..., K), indices of ones, to means and variances (..., D)."""
        return self.decode(self.embed(states))
