"""Selection, crossover and mutation of binary states.

The operators follow Guiraud, Drefs, Lücke, "Evolutionary Expectation Maximization"
(GECCO 2018) and Drefs, Guiraud, Lücke, "Evolutionary Variational Optimization of
Generative Models" (JMLR 23, 2022); guided mutation is our own. States are those of
`evodenoise.tvae.states`: sorted indices of ones.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from evodenoise.tvae.states import count_ones, flip_bits, trim

GROUP = 8
"""Entries of which `leading_entries` takes at most one."""


def select_parents(log_joints: Tensor, parents: int, *, generator: torch.Generator) -> Tensor:
    """Draw parents from the states of each patch by fitness, without replacement.

    The probability is proportional to the log-joint's height above the patch's own lowest one.

    Parameters
    ----------
    log_joints : Tensor, shape (N, S)
        Log-joints in nats; states at -inf count as the lowest finite one.
    parents : int
        P; capped at S.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int64, shape (N, P)
        Indices into the S states.
    """
    races = torch.empty_like(log_joints).exponential_(generator=generator) / _fitness(log_joints)
    # The smallest of exponential variables of rates f_s is s with probability f_s / sum f.
    return races.topk(min(parents, log_joints.shape[1]), dim=1, largest=False).indices


def _fitness(log_joints: Tensor) -> Tensor:
    """Scale the log-joints of each patch to [0, 1], a little above 0 for the worst: (N, S)."""
    inf = torch.inf
    lowest = log_joints.nan_to_num(nan=inf, posinf=inf, neginf=inf).amin(1, keepdim=True)
    highest = log_joints.nan_to_num(nan=-inf, posinf=-inf, neginf=-inf).amax(1, keepdim=True)
    height = (log_joints - lowest) / (highest - lowest)
    # No spread (or nothing finite): all alike. The floor keeps every state in the draw.
    return height.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) + 1 / log_joints.shape[1]


def crossover(states: Tensor, latents: int, *, generator: torch.Generator) -> Tensor:
    """Cross every state with another parent of its patch at one random point.

    Parameters
    ----------
    states : Tensor of int16, shape (N, P, C, K)
        C copies of each of P parents; with P = 1 nothing changes.
    latents : int
        H.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int16, shape (N, P, C, K')
        The parent's bits below the cut, its mate's from the cut on.
    """
    patches, parents, offspring, places = states.shape
    if parents == 1 or latents == 1:
        return states
    size, device = (patches, parents, offspring), states.device
    shift = torch.randint(1, parents, size, generator=generator, device=device)
    mate = (torch.arange(parents, device=device)[:, None] + shift) % parents
    mates = states.gather(1, mate[..., None].expand(-1, -1, -1, places))
    cut = torch.randint(1, latents, (*size, 1), generator=generator, device=device)
    head = states.where(states < cut, latents)
    tail = mates.where(mates >= cut, latents)
    return trim(torch.cat([head, tail], dim=-1).sort(-1).values, latents)


def flip_probabilities(
    ones: Tensor, latents: int, *, active: float | Tensor, mean_flips: float
) -> tuple[Tensor, Tensor]:
    """Compute the flip probabilities of sparsity-driven mutation.

    They solve (H - n) p01 - n p10 = active - n, so that an offspring has `active` ones
    on average, and (H - n) p01 + n p10 = flips (JMLR 23, 2022, appendix on the variation
    operators). As many flips as `mean_flips` cannot always do that with probabilities from 0 to
    1: there are at least |active - n|, and a quarter of `mean_flips` more, so that no bit is out of
    reach, and at most what the zeros or the ones allow.

    Parameters
    ----------
    ones : Tensor of integers
        n, the ones of the parents.
    latents : int
        H.
    active : float or Tensor, shape ()
        The wanted number of ones: the sum of the prior's probabilities.
    mean_flips : float
        Flipped bits on average, where they can be so few or so many.

    Returns
    -------
    p01, p10 : Tensor of float
        Probability to flip a 0, and to flip a 1.
    """
    zeros, surplus = latents - ones, ones - active
    flips = (surplus.abs() + mean_flips / 4).clamp(min=mean_flips)
    flips = torch.minimum(flips, torch.minimum(2 * zeros + surplus, 2 * ones - surplus))
    p01 = (flips - surplus) / (2 * zeros.clamp(min=1))
    p10 = (flips + surplus) / (2 * ones.clamp(min=1))
    return p01.clamp(0, 1), p10.clamp(0, 1)  # against rounding


def flip_sparsely(
    states: Tensor,
    latents: int,
    *,
    active: float | Tensor,
    mean_flips: float,
    generator: torch.Generator,
) -> Tensor:
    """Flip every bit independently with the probabilities of `flip_probabilities`.

    Instead of H uniforms a state, the number of new ones is drawn (binomial), then each
    new one uniformly from the zeros that are left: the same distribution.

    Parameters
    ----------
    states : Tensor of int16, shape (..., K)
        Indices of ones.
    latents : int
        H.
    active, mean_flips
        As in `flip_probabilities`.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int16, shape (..., K')
        The changed states.
    """
    device = states.device
    ones = count_ones(states, latents)
    p01, p10 = flip_probabilities(ones, latents, active=active, mean_flips=mean_flips)
    lost = torch.rand(states.shape, generator=generator, device=device) < p10[..., None]
    gained = torch.binomial((latents - ones).to(p01), p01, generator=generator).long()
    changed = states
    for step in range(int(gained.max()) if gained.numel() else 0):
        bits = _draw_zeros(changed, latents, generator=generator)
        changed = flip_bits(changed, bits.where(step < gained, latents), latents)
    # Last, so that no bit is flipped twice: ones of the parent are dropped from the offspring.
    dropped = states.where(lost, latents)
    stays = (changed[..., :, None] != dropped[..., None, :]).all(-1)
    return trim(changed.where(stays, latents).sort(-1).values, latents)


def _draw_zeros(states: Tensor, latents: int, *, generator: torch.Generator) -> Tensor:
    """Draw one bit of each state (..., K) that is 0, uniformly; H where all are 1."""
    zeros = latents - count_ones(states, latents)
    draws = torch.rand(states.shape[:-1], generator=generator, device=states.device)
    rank = (draws * zeros).long().clamp(max=latents - 1)
    places = torch.arange(states.shape[-1], device=states.device)
    # The one at place k has o_k - k zeros below it; the wanted zero lies above it if rank >= that.
    passed = (states - places <= rank[..., None]) & (states < latents)
    return (rank + passed.sum(-1)).where(zeros > 0, latents)


def flip_parents(parents: Tensor, flips: Tensor, latents: int) -> Tensor:
    """Make offspring of the parents of each patch, each by one of the P * H possible flips.

    Parameters
    ----------
    parents : Tensor of int16, shape (N, P, K)
        Indices of ones.
    flips : Tensor of int64, shape (N, M)
        p H + h: of parent p bit h is flipped.
    latents : int
        H.

    Returns
    -------
    Tensor of int16, shape (N, M, K + 1)
        The offspring.
    """
    origins = (flips // latents)[..., None].expand(-1, -1, parents.shape[-1])
    return flip_bits(parents.gather(1, origins), flips % latents, latents)


def leading_entries(scores: Tensor, count: int) -> Tensor:
    """Find high entries of each row: the maxima of the groups whose maxima are highest.

    Two of the highest entries in one group of eight are taken for one, which is good enough
    for proposals and costs a third of an exact search.

    Parameters
    ----------
    scores : Tensor, shape (N, M)
        Values.
    count : int
        How many to find; capped at M.

    Returns
    -------
    Tensor of int64, shape (N, count)
        Indices of distinct entries, the highest first.
    """
    size = scores.shape[1]
    width = -(-size // GROUP)
    if count * 2 > width:
        return scores.topk(min(count, size), dim=1).indices
    if width * GROUP > size:
        scores = F.pad(scores, (0, width * GROUP - size), value=-torch.inf)
    groups = scores.view(-1, GROUP, width)
    leading = groups.amax(1).topk(count, dim=1).indices[:, None]
    # max is quicker than argmax here.
    members = groups.gather(2, leading.expand(-1, GROUP, -1)).max(1, keepdim=True).indices
    return (members * width + leading)[:, 0]
