"""The evolutionary E-step: better states for each patch, by selection and variation.

The operators follow Guiraud, Drefs, Lücke, "Evolutionary Expectation Maximization"
(GECCO 2018) and Drefs, Guiraud, Lücke, "Evolutionary Variational Optimization of
Generative Models" (JMLR 23, 2022). States are those of `evodenoise.tvae.states`: sorted
indices of ones. What a state is worth comes in as a callable, so that this module
knows no model.
"""

from typing import Protocol

import torch
from torch import Tensor

from evodenoise.config import EvolutionConfig, Mutation, ParentSelection
from evodenoise.tvae.states import (
    STATE_DTYPE,
    VariationalStates,
    count_ones,
    keep_best,
    trim,
)


class LogJoint(Protocol):
    """Anything that evaluates log p(x_n, z) for M states of each of N patches."""

    def __call__(self, states: Tensor) -> Tensor:
        """Map states (N, M, K) to log-joints (N, M), in nats."""


def select_parents(
    log_joints: Tensor, parents: int, selection: ParentSelection, *, generator: torch.Generator
) -> Tensor:
    """Draw parents from the states of each patch, without replacement.

    Parameters
    ----------
    log_joints : Tensor, shape (N, S)
        Log-joints in nats; -inf marks states that must lose.
    parents : int
        P; capped at S.
    selection : ParentSelection
        ``fitness``: with probability proportional to the log-joint's height above the
        patch's own lowest one; ``uniform``: all alike.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int64, shape (N, P)
        Indices into the S states.
    """
    races = torch.empty_like(log_joints).exponential_(generator=generator)
    if selection is ParentSelection.FITNESS:
        races = races / _fitness(log_joints)
    # The smallest of exponential variables of rates f_s is s with probability f_s / sum f.
    return races.topk(min(parents, log_joints.shape[1]), dim=1, largest=False).indices


def _fitness(log_joints: Tensor) -> Tensor:
    """Scale the log-joints of each patch to [0, 1], a little above 0 for the worst: (N, S)."""
    finite = log_joints.isfinite()
    lowest = log_joints.where(finite, torch.inf).amin(1, keepdim=True)
    highest = log_joints.where(finite, -torch.inf).amax(1, keepdim=True)
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


def flip_bits(states: Tensor, bits: Tensor, latents: int) -> Tensor:
    """Flip one bit of each state.

    Parameters
    ----------
    states : Tensor of int16, shape (..., K)
        Indices of ones.
    bits : Tensor of integers, shape (...)
        The bit to flip, 0 to H-1, or H to leave the state as it is.
    latents : int
        H.

    Returns
    -------
    Tensor of int16, shape (..., K + 1)
        The changed states.
    """
    bit = bits[..., None].to(STATE_DTYPE)
    hit = states == bit
    removed = states.where(~hit, latents)
    added = bit.where(~hit.any(-1, keepdim=True), latents)
    return torch.cat([removed, added], dim=-1).sort(-1).values


def flip_uniformly(states: Tensor, latents: int, *, generator: torch.Generator) -> Tensor:
    """Flip one bit of each state (..., K), every bit with the same probability."""
    bits = torch.randint(0, latents, states.shape[:-1], generator=generator, device=states.device)
    return trim(flip_bits(states, bits, latents), latents)


def flip_probabilities(
    ones: Tensor, latents: int, *, active: float, mean_flips: float
) -> tuple[Tensor, Tensor]:
    """Compute the flip probabilities of sparsity-driven mutation.

    They solve (H - n) p01 - n p10 = active - n, so that an offspring has `active` ones
    on average, and (H - n) p01 + n p10 = mean_flips (JMLR 23, 2022, appendix on
    the variation operators), clipped to [0, 1].

    Parameters
    ----------
    ones : Tensor of integers
        n, the ones of the parents.
    latents : int
        H.
    active : float
        The wanted number of ones: the sum of the prior's probabilities.
    mean_flips : float
        Flipped bits on average.

    Returns
    -------
    p01, p10 : Tensor of float
        Probability to flip a 0, and to flip a 1.
    """
    zeros = latents - ones
    p01 = (mean_flips + active - ones) / (2 * zeros.clamp(min=1))
    p10 = (mean_flips - active + ones) / (2 * ones.clamp(min=1))
    return p01.clamp(0, 1), p10.clamp(0, 1)


def flip_sparsely(
    states: Tensor,
    latents: int,
    *,
    active: float,
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
    active, mean_flips : float
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


def mutate(
    states: Tensor,
    latents: int,
    config: EvolutionConfig,
    *,
    active: float,
    generator: torch.Generator,
) -> Tensor:
    """Apply the configured mutation to states (..., K); see `EvolutionConfig`."""
    match config.mutation:
        case Mutation.UNIFORM:
            return flip_uniformly(states, latents, generator=generator)
        case Mutation.SPARSE:
            return flip_sparsely(
                states,
                latents,
                active=active,
                mean_flips=config.mean_flips,
                generator=generator,
            )
        case Mutation.NONE:
            return states


def breed(
    pool: VariationalStates,
    latents: int,
    config: EvolutionConfig,
    *,
    active: float,
    generator: torch.Generator,
) -> Tensor:
    """Make the offspring of one generation from a pool of (N, S) states: (N, P*C, K)."""
    chosen = select_parents(pool.log_joints, config.parents, config.selection, generator=generator)
    places = pool.states.shape[-1]
    parents = pool.states.gather(1, chosen[..., None].expand(-1, -1, places))
    offspring = parents[:, :, None].expand(-1, -1, config.offspring, -1)  # (N, P, C, K)
    if config.crossover:
        offspring = crossover(offspring, latents, generator=generator)
    mutated = mutate(offspring, latents, config, active=active, generator=generator)
    return mutated.flatten(1, 2)


def evolve(
    current: VariationalStates,
    log_joint: LogJoint,
    config: EvolutionConfig,
    *,
    latents: int,
    active: float,
    keys: Tensor,
    generator: torch.Generator,
) -> tuple[VariationalStates, Tensor]:
    """Improve the states of a mini-batch; the free energy of no patch falls.

    Parameters
    ----------
    current : VariationalStates, (N, S)
        States with up-to-date log-joints.
    log_joint : LogJoint
        Evaluates the states of these N patches.
    config : EvolutionConfig
        Operators and numbers.
    latents : int
        H.
    active : float
        Expected number of ones under the prior, the aim of sparsity-driven flips.
    keys : Tensor
        As made by `hash_keys`.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    VariationalStates, (N, S)
        The best distinct states found.
    Tensor of int64, shape (N,)
        How often a state of a patch was replaced.
    """
    pool, replaced = (
        current,
        torch.zeros(len(current.states), dtype=torch.int64, device=current.states.device),
    )
    for _ in range(config.generations):
        offspring = breed(pool, latents, config, active=active, generator=generator)
        pool = VariationalStates(offspring, log_joint(offspring))
        current, new = keep_best(current, pool, keys, latents)
        replaced += new
    return current, replaced
