"""From a trained model to clean patches, in a stream that never holds all states."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from evodenoise.config.settings import DenoiseConfig
from evodenoise.tvae.e_step import EStep
from evodenoise.tvae.evolution import Variation, distinct_states
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import Observations
from evodenoise.tvae.posterior import posterior_mean, posterior_weights, truncated_free_energy
from evodenoise.tvae.states import (
    VariationalStates,
    concatenate,
    count_ones,
    hash_keys,
    initial_states,
)

CODEBOOK = 1024
"""States of trained patches that are offered to all others."""


@dataclass(frozen=True)
class PatchEstimate:
    """Clean patches of a mini-batch.

    Attributes
    ----------
    mean : Tensor, shape (B, D)
        Posterior mean of the clean coefficients.
    variance : Tensor, shape (B, D)
        Their posterior variance: within the states and between them.
    free_energy : Tensor, shape (B,)
        Bound of each patch, in nats.
    """

    mean: Tensor
    variance: Tensor
    free_energy: Tensor


@dataclass(frozen=True, eq=False)
class Reconstructor:
    """Denoise patches with a trained model, whether they were trained on or not.

    Attributes
    ----------
    e_step : EStep
        With the trained model, which is not changed.
    trained : VariationalStates, (N, S), or None
        States of the patches it was trained on, if they are among those to come.
    config : DenoiseConfig
        When the states have settled.
    codebook : Tensor of int16, shape (M, K)
        States in use, as made by `collect_codebook`; at least S distinct ones.
    """

    e_step: EStep
    trained: VariationalStates | None
    config: DenoiseConfig
    codebook: Tensor

    @classmethod
    def of(
        cls,
        model: BinaryLatentVAE,
        trained: VariationalStates | None,
        config: DenoiseConfig,
        *,
        codebook: Tensor,
        generator: torch.Generator,
    ) -> "Reconstructor":
        """Get a model ready; randomness comes from a generator on its device."""
        variation = Variation.of(config.evolution, model.latents, generator=generator)
        return cls(EStep.measured(model, variation, codebook), trained, config, codebook)

    @property
    def model(self) -> BinaryLatentVAE:
        """The trained model."""
        return self.e_step.model

    def fork(self) -> "Reconstructor":
        """Copy it for another thread, with randomness of its own; the model is shared."""
        return replace(self, e_step=self.e_step.fork(self.model))

    @torch.no_grad()
    def __call__(
        self,
        patches: Observations,
        known: Tensor | None,
        *,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> PatchEstimate:
        """Estimate clean patches, after E-steps until their states have settled.

        Parameters
        ----------
        patches : Observations, (B, D)
            Noisy patches.
        known : Tensor of int64, shape (B,), or None
            Each patch's place in the training set; None: they are not in it.
        should_stop : callable
            Asked after each round; True: no further one.

        Returns
        -------
        PatchEstimate
            Clean patches.
        """
        trained = None if self.trained is None or known is None else self.trained.states[known]
        # Others start from what suits them most in the codebook: it has nothing more to offer.
        pool = self.codebook if trained is not None and self.config.evolution.migrants else None
        start = trained
        if start is None:
            start = nearest_states(self.model, patches, self.codebook, self.config.states)
        current = self.e_step.evaluate(patches, start)
        level = truncated_free_energy(current.log_joints).mean()
        for left in reversed(range(self.config.settling_rounds)):
            current, _ = self.e_step(patches, current, migrant_pool=pool)
            if not left:
                break
            reached = truncated_free_energy(current.log_joints).mean()
            # The one wait of a round tells what its states need, too.
            gain, ones = torch.stack([reached - level, self._most_ones(current)]).tolist()
            level = reached
            current.states = current.states[..., : max(1, int(ones))]
            if gain < self.config.settled or should_stop():
                break
        weights = posterior_weights(current.log_joints)
        means, variances = self.model.clean_moments(patches, current.states)
        mean = posterior_mean(weights, means)
        variance = posterior_mean(weights, variances + (means - mean[:, None]).square())
        return PatchEstimate(mean, variance, truncated_free_energy(current.log_joints))

    def _most_ones(self, current: VariationalStates) -> Tensor:
        return count_ones(current.states, self.model.latents).max()


def nearest_states(
    model: BinaryLatentVAE, patches: Observations, codebook: Tensor, count: int
) -> Tensor:
    """Choose for each patch the states of a codebook (M, K) that suit it most: (B, S, K)."""
    return codebook[model.cross_log_joints(patches, codebook).topk(count, dim=1).indices]


def collect_codebook(
    states: Tensor, count: int, latents: int, *, active: float, generator: torch.Generator
) -> Tensor:
    """Collect distinct states in use, in random order.

    Parameters
    ----------
    states : Tensor of int16, shape (N, K)
        The best state of each patch, or of any number of them.
    count : int
        How many there must be at least, S; what is missing is drawn at random.
    latents : int
        H.
    active : float
        Ones of a random state, on average.
    generator : torch.Generator
        Source of randomness, on the states' device.

    Returns
    -------
    Tensor of int16, shape (M, K)
        The codebook.
    """
    device = generator.device
    sample = torch.randperm(len(states), generator=generator, device=device)[: 4 * CODEBOOK]
    spare = initial_states(1, count, latents, active=active, generator=generator).states[0]
    pool = distinct_states(
        concatenate([states[sample], spare], latents, dim=0),
        hash_keys(latents, generator=generator),
    )
    return pool[: max(CODEBOOK, count)]
