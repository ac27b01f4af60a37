"""Truncated posteriors: weights, bounds and expectations over each patch's states.

Lücke et al., "Truncated Variational Sampling for 'Black Box' Optimization of Generative
Models" (2018): the exact posterior, restricted to S states and normalised over them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


def posterior_weights(log_joints: Tensor) -> Tensor:
    """Normalise log-joints (N, S) to the truncated posterior q_n(z): (N, S)."""
    return log_joints.softmax(dim=-1)


def truncated_free_energy(log_joints: Tensor) -> Tensor:
    """Compute F_n = log sum_z p(x_n, z) over each patch's states: (N, S) to (N,), in nats."""
    return log_joints.logsumexp(dim=-1)


def posterior_mean(weights: Tensor, values: Tensor) -> Tensor:
    """Average values (N, S, D) under weights (N, S): (N, D)."""
    return torch.einsum("ns,nsd->nd", weights, values)


@dataclass(frozen=True)
class PosteriorSample:
    """The states that carry the posterior mass of a mini-batch, as a flat list of M entries.

    Attributes
    ----------
    owners : Tensor of int64, shape (M,)
        The patch that each state belongs to, ascending.
    states : Tensor of int16, shape (M, K)
        Indices of ones.
    weights : Tensor, shape (M,)
        q_n(z), normalised over the entries of a patch.
    """

    owners: Tensor
    states: Tensor
    weights: Tensor

    def split(self, size: int) -> Iterator["PosteriorSample"]:
        """Cut the list into parts of at most `size` entries, all of about as many."""
        count = -(-len(self.owners) // size)
        parts = (each.tensor_split(count) for each in (self.owners, self.states, self.weights))
        for owners, states, weights in zip(*parts, strict=True):
            yield PosteriorSample(owners, states, weights)


def truncate_posterior(log_joints: Tensor, states: Tensor, mass: float) -> PosteriorSample:
    """Drop the states that hardly count: keep the best ones until they carry `mass`.

    Parameters
    ----------
    log_joints : Tensor, shape (N, S)
        Nats.
    states : Tensor of int16, shape (N, S, K)
        Indices of ones.
    mass : float
        Share of each patch's posterior to keep, in (0, 1]; at least one state stays.

    Returns
    -------
    PosteriorSample
        The states that are left.
    """
    weights = posterior_weights(log_joints)
    ordered, order = weights.sort(dim=1, descending=True)
    before = ordered.cumsum(1) - ordered
    # The best state stays, whatever rounding makes of nothing or a diverged model of the rest.
    matters = (before < mass) & (ordered > 0)
    matters[:, 0] = True
    keep = torch.zeros_like(matters).scatter_(1, order, matters)
    kept = weights * keep
    owners, places = keep.nonzero(as_tuple=True)
    normalised = kept / kept.sum(1, keepdim=True)
    return PosteriorSample(owners, states[owners, places], normalised[owners, places])


def expected_ones(sample: PosteriorSample, latents: int) -> Tensor:
    """Sum E_q[z_h] over the patches of a sample: (H,)."""
    totals = sample.weights.new_zeros(latents + 1)
    shares = sample.weights[:, None].expand(sample.states.shape)
    totals.index_add_(0, sample.states.int().flatten(), shares.flatten())
    return totals[:latents]
