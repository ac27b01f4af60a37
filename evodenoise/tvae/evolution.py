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
    flip_by_gain,
    flip_sparsely,
    flip_uniformly,
    select_parents,
)
from evodenoise.tvae.states import (
    VariationalStates,
    concatenate,
    hash_keys,
    hash_states,
    keep_best,
    repeated,
    trim,
)


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

    def offspring(self, pool: VariationalStates, scorer: Scorer, active: float) -> Tensor:
        """Make one generation of offspring.

        Parameters
        ----------
        pool : VariationalStates, (N, S)
            Candidates for parents.
        scorer : Scorer
            Guides the mutation.
        active : float
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
        total = count * self.config.offspring
        uniform = round(self.config.uniform_share * total)
        shape, device = (patches, uniform), parents.states.device
        origins = torch.randint(count, shape, generator=self.generator, device=device)
        random = flip_uniformly(
            parents.choose(origins).states, self.latents, generator=self.generator
        )
        if uniform == total:
            return random
        scores = scorer.flip_gains(parents.states).add_(parents.log_joints[..., None])
        guided = flip_by_gain(parents.states, scores, total - uniform)
        return concatenate([guided, random], self.latents)

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
        best = current.choose(current.log_joints.argmax(1, keepdim=True)).states[:, 0]
        if migrant_pool is not None:
            best = concatenate([best, migrant_pool], self.latents, dim=0)
        distinct = distinct_states(trim(best, self.latents), self.keys)
        scores = scorer.cross_log_joints(distinct)
        return distinct[scores.topk(min(self.config.migrants, len(distinct)), dim=1).indices]


def distinct_states(states: Tensor, keys: Tensor) -> Tensor:
    """Drop repetitions from a list of states (M, K), keeping the order of the rest."""
    return states[~repeated(hash_states(states, keys)[None])[0]]


def evolve(
    current: VariationalStates,
    scorer: Scorer,
    variation: Variation,
    *,
    active: float,
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
    active : float
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
        candidates = trim(candidates, variation.latents)
        pool = VariationalStates(candidates, scorer.log_joint(candidates))
        current, new = keep_best(current, pool, variation.keys, variation.latents)
        replaced += new
    return current, replaced
