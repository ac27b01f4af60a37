"""The decoder: a small fully connected network from a binary code to a patch."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.01
"""Slope of the leaky ReLU below zero."""


class Decoder(nn.Module):
    """Map codes to patch means: H -> hidden widths (leaky ReLU) -> D (linear).

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
        self, latents: int, hidden: Sequence[int], pixels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()

        def uniform(*shape: int, bound: float) -> nn.Parameter:
            drawn = torch.empty(*shape, device=generator.device)
            return nn.Parameter(drawn.uniform_(-bound, bound, generator=generator))

        layers = list(pairwise([*hidden, pixels]))
        # A code has a few ones, not H: its rows may be large, and it still stays near unit scale.
        self.rows = uniform(latents + 1, hidden[0], bound=0.5)
        self.rows.data[latents] = 0
        self.bias = uniform(hidden[0], bound=0.0)
        self.weights = nn.ParameterList(
            uniform(outputs, inputs, bound=1 / math.sqrt(inputs)) for inputs, outputs in layers
        )
        self.biases = nn.ParameterList(uniform(outputs, bound=0.0) for _, outputs in layers)

    def embed(self, states: Tensor) -> Tensor:
        """Sum the first layer's rows over the ones of states (..., K): (..., H_1)."""
        bags = states.reshape(-1, states.shape[-1]).int()
        # Naming the empty place keeps its row out of the gradient, and is slower.
        empty = len(self.rows) - 1 if torch.is_grad_enabled() else None
        summed = F.embedding_bag(bags, self.rows, mode="sum", padding_idx=empty)
        return summed.add_(self.bias).view(*states.shape[:-1], -1)

    def decode(self, embedding: Tensor) -> Tensor:
        """Map the first layer's pre-activations (..., H_1) to means (..., D).

        Without gradients the pre-activations are overwritten, to save memory traffic.
        """
        activation = embedding
        inplace = not torch.is_grad_enabled()
        for weight, bias in zip(self.weights, self.biases, strict=True):
            activation = F.linear(F.leaky_relu(activation, LEAK, inplace=inplace), weight, bias)
        return activation

    def forward(self, states: Tensor) -> Tensor:
        """Map states (..., K), indices of ones, to means (..., D)."""
        return self.decode(self.embed(states))
