"""The E-step of a mini-batch: the model as judge of evolution."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from evodenoise.tvae.evolution import Variation, evolve
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import Observations
from evodenoise.tvae.states import VariationalStates

CURVATURE_SAMPLE = 32
"""States over which the curvature of each latent is averaged."""


@dataclass(frozen=True)
class PatchScorer:
    """A model's answers about the patches of a mini-batch; see `evolution.Scorer`.

    Attributes
    ----------
    model : BinaryLatentVAE
        The model.
    patches : Observations, (N, D)
        The mini-batch.
    curvature : Tensor, shape (H,)
        As made by `BinaryLatentVAE.flip_curvature`.
    """

    model: BinaryLatentVAE
    patches: Observations
    curvature: Tensor

    def log_joint(self, states: Tensor) -> Tensor:
        """Evaluate log p(x_n, z): states (N, M, K) to (N, M).

        Where that is expensive, of the most promising states only; the others count as
        impossible.
        """
        most = self.patches.most_exact
        if most is None or states.shape[1] <= most:
            return self.model.log_joint(self.patches, states)
        rough = self.model.rough_log_joint(self.patches, states)
        chosen = rough.topk(most, dim=1).indices
        exact = self.model.log_joint(
            self.patches, states.gather(1, chosen[..., None].expand(-1, -1, states.shape[2]))
        )
        return torch.full_like(rough, -torch.inf).scatter_(1, chosen, exact)

    def flip_gains(self, states: Tensor) -> Tensor:
        """Estimate the change of log p(x_n, z) for flipping each bit: (N, P, K) to (N, P, H)."""
        return self.model.flip_gains(self.patches, states, self.curvature)

    def cross_log_joints(self, states: Tensor) -> Tensor:
        """Estimate log p(x_n, z) of each of M states (M, K) for all patches: (N, M)."""
        return self.model.cross_log_joints(self.patches, states)


@dataclass(frozen=True, eq=False)
class EStep:
    """E-steps with one model.

    Attributes
    ----------
    model : BinaryLatentVAE
        Judges the states; may change between the steps.
    variation : Variation
        Makes the offspring.
    curvature : Tensor, shape (H,)
        As made by `BinaryLatentVAE.flip_curvature`.
    """

    model: BinaryLatentVAE
    variation: Variation
    curvature: Tensor

    @classmethod
    @torch.no_grad()
    def measured(cls, model: BinaryLatentVAE, variation: Variation, states: Tensor) -> "EStep":
        """Measure at states (M, K) in use what guided mutation needs of a model."""
        return cls(model, variation, model.flip_curvature(states[:CURVATURE_SAMPLE]))

    def fork(self, model: BinaryLatentVAE) -> "EStep":
        """Copy the step for another thread, with randomness of its own and a model to judge by."""
        return replace(self, model=model, variation=self.variation.fork())

    @torch.no_grad()
    def evaluate(self, patches: Observations, states: Tensor) -> VariationalStates:
        """Evaluate the log-joints of states (B, S, K) of patches (B, D) at the present model."""
        return VariationalStates(states, self.model.log_joint(patches, states))

    @torch.no_grad()
    def __call__(
        self,
        patches: Observations,
        current: VariationalStates,
        *,
        migrant_pool: Tensor | None = None,
    ) -> tuple[VariationalStates, Tensor]:
        """Evolve the states of a mini-batch.

        Parameters
        ----------
        patches : Observations, (B, D)
            The mini-batch.
        current : VariationalStates, (B, S)
            Its states with up-to-date log-joints (`evaluate`).
        migrant_pool : Tensor of int16, shape (M, K), optional
            More candidates for migration.

        Returns
        -------
        VariationalStates, (B, S)
            The best states found.
        Tensor of int64, shape (B,)
            How often a state of a patch was replaced.
        """
        scorer = PatchScorer(self.model, patches, self.curvature)
        active = self.model.prior.sum()
        return evolve(current, scorer, self.variation, active=active, migrant_pool=migrant_pool)
