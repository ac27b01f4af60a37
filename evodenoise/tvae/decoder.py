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
    """

    def __init__(
        self, latents: int, hidden: Sequence[int], pixels: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        device = generator.device
        self.latents = latents
        self.rows = nn.Parameter(torch.empty(latents, hidden[0], device=device))
        self.bias = nn.Parameter(torch.zeros(hidden[0], device=device))
        widths = [*hidden, pixels]
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs, device=device) for inputs, outputs in pairwise(widths)
        )
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        """Draw uniform weights that keep the scale of a code's few ones through the layers."""
        self.rows.uniform_(-0.5, 0.5, generator=generator)
        for layer in self.layers:
            for parameter in layer.parameters():
                if parameter.ndim == 2:
                    bound = 1 / math.sqrt(parameter.shape[1])
                    parameter.uniform_(-bound, bound, generator=generator)
                else:
                    parameter.zero_()

    def embed(self, states: Tensor) -> Tensor:
        """Sum the first layer's rows over the ones of states (..., K): (..., H_1)."""
        # The empty place H points at a row of zeros.
        table = F.pad(self.rows, (0, 0, 0, 1))
        bags = states.reshape(-1, states.shape[-1]).int()
        summed = F.embedding_bag(bags, table, mode="sum")
        return summed.view(*states.shape[:-1], -1) + self.bias

    def decode(self, embedding: Tensor) -> Tensor:
        """Map the first layer's pre-activations (..., H_1) to means (..., D)."""
        activation = embedding
        for layer in self.layers:
            activation = layer(F.leaky_relu(activation, LEAK))
        return activation

    def forward(self, states: Tensor) -> Tensor:
        """Map states (..., K), indices of ones, to means (..., D)."""
        return self.decode(self.embed(states))
