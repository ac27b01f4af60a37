"""The evolutionary E-step: better states for each patch, by variation and selection.

Guiraud, Drefs, Lücke, "Direct Evolutionary Optimization of Variational Autoencoders with
Binary Latents" (arXiv 2011.13704). What a state is worth comes in through `Scorer`, so
that this module knows no model.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from evodenoise.config.settings import EvolutionConfig, Mutation
from evodenoise.tvae.operators import (
    crossover,
    flip_parents,
    flip_sparsely,
    leading_entries,
    select_parents,
)
from evodenoise.tvae.states import (
    VariationalStates,
    concatenate,
    hash_keys,
    hash_states,
    keep_best,
    repeated,
)

MOST_OFFERED = 512
"""Patches of a mini-batch whose best states are offered to all others: it costs their product."""


class Scorer(Protocol):
    """What evolution asks about the N patches of a mini-batch; all answers in nats."""

    def log_joint(self, states: Tensor) -> Tensor:
        """Evaluate log p(x_n, z): states (N, M, K) to (N, M)."""

    def flip_gains(self, states: Tensor) -> Tensor:
        """Estimate the change of log p(x_n, z) for flipping each bit: (N, P, K) to (N, P, H)."""

    def cross_log_joints(self, states: Tensor) -> Tensor:
        """Estimate log p(x_n, z) of each of M states (M, K) for all patches: (N, M)."""


@dataclass(frozen=True)
class Variation:
    """How offspring are made.

    Attributes
    ----------
    config : EvolutionConfig
        Operators and numbers.
    latents : int
        H.
    keys : Tensor of int64, shape (H + 1,)
        As made by `hash_keys`.
    generator : torch.Generator
        Source of randomness.
    """

    config: EvolutionConfig
    latents: int
    keys: Tensor
    generator: torch.Generator

    @classmethod
    def of(
        cls, config: EvolutionConfig, latents: int, *, generator: torch.Generator
    ) -> "Variation":
        """Draw the keys for H latents."""
        return cls(config, latents, hash_keys(latents, generator=generator), generator)

    def fork(self) -> "Variation":
        """Copy it for another thread, with randomness of its own."""
        mine = self.generator
        seed = int(torch.randint(2**62, (), generator=mine, device=mine.device))
        return replace(self, generator=torch.Generator(mine.device).manual_seed(seed))

    def offspring(self, pool: VariationalStates, scorer: Scorer, active: float | Tensor) -> Tensor:
        """Make one generation of offspring.

        Parameters
        ----------
        pool : VariationalStates, (N, S)
            Candidates for parents.
        scorer : Scorer
            Guides the mutation.
        active : float or Tensor, shape ()
            Expected number of ones under the prior, the aim of sparsity-driven flips.

        Returns
        -------
        Tensor of int16, shape (N, P * C, K)
            Indices of ones.
        """
        config, generator = self.config, self.generator
        chosen = select_parents(pool.log_joints, config.parents, generator=generator)
        parents = pool.choose(chosen)
        if config.mutation is Mutation.GUIDED:
            return self._guided(parents, scorer)
        offspring = parents.states[:, :, None].expand(-1, -1, config.offspring, -1)
        if config.crossover:
            offspring = crossover(offspring, self.latents, generator=generator)
        return flip_sparsely(
            offspring,
            self.latents,
            active=active,
            mean_flips=config.mean_flips,
            generator=generator,
        ).flatten(1, 2)

    def _guided(self, parents: VariationalStates, scorer: Scorer) -> Tensor:
        """Make most offspring by promise, the rest by uniform flips of random parents."""
        patches, count = parents.log_joints.shape
        total, possible = count * self.config.offspring, count * self.latents
        uniform = round(self.config.uniform_share * total)
        shape, device = (patches, uniform), parents.states.device
        flips = torch.randint(possible, shape, generator=self.generator, device=device)
        if uniform < total:
            scores = scorer.flip_gains(parents.states).add_(parents.log_joints[..., None])
            leading = leading_entries(scores.flatten(1), total - uniform)
            flips = torch.cat([leading, flips], dim=1)
        return flip_parents(parents.states, flips, self.latents)

    def migrants(
        self, current: VariationalStates, scorer: Scorer, migrant_pool: Tensor | None
    ) -> Tensor:
        """Offer every patch the best states of the others that suit it most.

        Parameters
        ----------
        current : VariationalStates, (N, S)
            States with up-to-date log-joints.
        scorer : Scorer
            Its `cross_log_joints` ranks the candidates.
        migrant_pool : Tensor of int16, shape (M, K), or None
            More candidates, for all patches.

        Returns
        -------
        Tensor of int16, shape (N, `config.migrants` or less, K)
            Candidates.
        """
        every = -(-len(current.states) // MOST_OFFERED)
        some = VariationalStates(current.states[::every], current.log_joints[::every])
        offered = some.choose(some.log_joints.argmax(1, keepdim=True)).states[:, 0]
        if migrant_pool is not None:
            offered = concatenate([offered, migrant_pool], self.latents, dim=0)
        # Repetitions stay, for their number would have to be waited for, but come last.
        again = repeated(hash_states(offered, self.keys)[None])
        scores = scorer.cross_log_joints(offered).masked_fill_(again, -torch.inf)
        return offered[scores.topk(min(self.config.migrants, len(offered)), dim=1).indices]


def distinct_states(states: Tensor, keys: Tensor) -> Tensor:
    """Drop repetitions from a list of states (M, K), keeping the order of the rest."""
    return states[~repeated(hash_states(states, keys)[None])[0]]


def evolve(
    current: VariationalStates,
    scorer: Scorer,
    variation: Variation,
    *,
    active: float | Tensor,
    migrant_pool: Tensor | None = None,
) -> tuple[VariationalStates, Tensor]:
    """Improve the states of a mini-batch; the free energy of no patch falls.

    Parameters
    ----------
    current : VariationalStates, (N, S)
        States with up-to-date log-joints.
    scorer : Scorer
        Evaluates states for these N patches.
    variation : Variation
        Makes the offspring.
    active : float or Tensor, shape ()
        Expected number of ones under the prior.
    migrant_pool : Tensor of int16, shape (M, K), optional
        More candidates for migration.

    Returns
    -------
    VariationalStates, (N, S)
        The best distinct states found.
    Tensor of int64, shape (N,)
        How often a state of a patch was replaced.
    """
    pool = current
    replaced = current.log_joints.new_zeros(len(current.states), dtype=torch.int64)
    for generation in range(variation.config.generations):
        candidates = variation.offspring(pool, scorer, active)
        if generation == 0 and variation.config.migrants:
            migrants = variation.migrants(current, scorer, migrant_pool)
            candidates = concatenate([candidates, migrants], variation.latents)
        pool = VariationalStates(candidates, scorer.log_joint(candidates))
        current, new = keep_best(current, pool, variation.keys, variation.latents)
        replaced += new
    return current, replaced
