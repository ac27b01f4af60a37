"""Truncated posteriors: weights, bounds and expectations over each patch's states.

Lücke et al., "Truncated Variational Sampling for 'Black Box' Optimization of Generative
Models" (2018): the exact posterior, restricted to S states and normalised over them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
        The patch that each state belongs to.
    states : Tensor of int16, shape (M, K)
        Indices of ones.
    weights : Tensor, shape (M,)
        q_n(z), normalised over the entries of a patch, in descending order; 0 at entries that
        only fill the list up.
    wanted : Tensor of int64, shape ()
        Entries that it takes; the list may be shorter.
    """

    owners: Tensor
    states: Tensor
    weights: Tensor
    wanted: Tensor

    def split(self, size: int) -> Iterator["PosteriorSample"]:
        """Deal the entries out to parts of at most `size`, all of about as much weight."""
        count = -(-len(self.owners) // size)
        for first in range(count):
            part = slice(first, None, count)
            yield replace(
                self,
                owners=self.owners[part],
                states=self.states[part],
                weights=self.weights[part],
            )


def truncate_posterior(
    log_joints: Tensor, states: Tensor, mass: float, *, most: int | None = None
) -> PosteriorSample:
    """Drop the states that hardly count: keep the best ones until they carry `mass`.

    Parameters
    ----------
    log_joints : Tensor, shape (N, S)
        Nats.
    states : Tensor of int16, shape (N, S, K)
        Indices of ones.
    mass : float
        Share of each patch's posterior to keep, in (0, 1]; at least one state stays.
    most : int, optional
        Length of the list, N S by default: known beforehand, so that nothing waits for it. Where
        it is too short, the lightest of all entries go and the others stand for them.

    Returns
    -------
    PosteriorSample
        The states that are left.
    """
    patches, count = log_joints.shape
    ordered, order = posterior_weights(log_joints).sort(dim=1, descending=True)
    # Before the best state there is nothing: it stays.
    kept = ordered.masked_fill(ordered.cumsum(1) - ordered >= mass, 0)
    normalised = (kept / kept.sum(1, keepdim=True)).flatten()
    length = patches * count if most is None else min(most, patches * count)
    weights, entries = normalised.topk(length)
    if length < patches * count:
        weights *= patches / weights.sum()
    owners = entries // count
    places = owners * count + order.flatten()[entries]
    return PosteriorSample(owners, states.flatten(0, 1)[places], weights, (kept > 0).sum())


def expected_ones(sample: PosteriorSample, latents: int) -> Tensor:
    """Sum E_q[z_h] over the patches of a sample: (H,)."""
    totals = sample.weights.new_zeros(latents + 1)
    shares = sample.weights[:, None].expand(sample.states.shape)
    totals.index_add_(0, sample.states.int().flatten(), shares.flatten())
    return totals[:latents]
