"""One image on one device: train on some of its patches, rebuild it from all of them, refine."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from evodenoise.config import Covariance, DenoiseConfig, Refinement
from evodenoise.groups import (
    GAUSSIAN,
    GroupSettings,
    gaussian_groups,
    low_rank_groups,
    low_rank_settings,
)
from evodenoise.patches import PatchAverage, PatchGrid, cosine_basis, extract_patches
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.reconstruction import Reconstructor
from evodenoise.tvae.schedule import Budget
from evodenoise.tvae.states import initial_states
from evodenoise.tvae.training import EpochReport, fit

OnShare = Callable[[float], None]
GroupMethod = Callable[[Tensor, Tensor, float, GroupSettings], Tensor]

LOW_RANK_SHARE = 0.6
"""Weight of the low-rank estimate beside the Gaussian one: what each misses differs."""

REFINEMENT_PASSES = 6
"""Refinement costs about as much as so many visits to all patches."""


@dataclass(frozen=True)
class Rebuilt:
    """An image put together from its patches.

    Attributes
    ----------
    image : Tensor, shape (Y, X, C)
        Posterior mean.
    variance : Tensor, shape (Y, X, C)
        Weighted mean of the posterior variances of the patches that cover a pixel.
    free_energy : float
        Mean over all patches, in nats per patch.
    """

    image: Tensor
    variance: Tensor
    free_energy: float


class Session:
    """All that is known about one scaled image.

    Parameters
    ----------
    image : Tensor, shape (Y, X, C)
        Noisy image of unit variance.
    patch_size : int
        Side of the patches in pixels.
    config : DenoiseConfig
        Settings.
    noise_variance : float
        sigma^2; 0: unknown, it is learned and there is no covariance.
    deadline : float or None
        When all must be done, on the scale of `time.perf_counter`.
    generator : torch.Generator
        Source of randomness, on the image's device.
    """

    def __init__(
        self,
        image: Tensor,
        patch_size: int,
        config: DenoiseConfig,
        *,
        noise_variance: float,
        deadline: float | None,
        generator: torch.Generator,
    ) -> None:
        self.image, self.config, self.generator = image, config, generator
        self.noise_variance, self.deadline = noise_variance, deadline
        self.grid = PatchGrid(image.shape, patch_size)
        self.basis = cosine_basis(patch_size, image.shape[2]).to(image)
        lattices = choose_lattices(self.grid, config, generator)
        self.positions = torch.cat(lattices)
        sizes = [len(lattice) for lattice in lattices]
        self.lattices = torch.arange(len(self.positions), device=image.device).split(sizes)
        self.model = BinaryLatentVAE(
            config.latents,
            config.hidden,
            self.grid.pixels,
            active=config.initial_active,
            covariance=config.covariance is Covariance.DCT and noise_variance > 0,
            generator=generator,
        )
        self.variational = initial_states(
            len(self.positions),
            config.states,
            config.latents,
            active=config.initial_active,
            generator=generator,
        )

    def train(self) -> Iterator[EpochReport]:
        """Train until the budget is spent; yield a report an epoch."""
        passes = 0 if self.config.refinement is Refinement.NONE else REFINEMENT_PASSES
        budget = Budget(
            self.config.epochs,
            deadline=self.deadline,
            patches=self.grid.patches,
            later_passes=passes,
        )
        return fit(
            self._coefficients(self.positions),
            self.model,
            self.variational,
            self.config,
            lattices=self.lattices,
            budget=budget,
            noise_variance=self.noise_variance or None,
            generator=self.generator,
        )

    def rebuild(self, on_share: OnShare | None = None) -> Rebuilt:
        """Estimate all clean patches and average them, weighted by their precision.

        Parameters
        ----------
        on_share : callable, optional
            Called with the share that is done.

        Returns
        -------
        Rebuilt
            The image.
        """
        reconstructor = Reconstructor(
            self.model, self.variational, self.config, generator=self.generator
        )
        device = self.image.device
        image = PatchAverage(self.grid, self.image.dtype, device)
        variance = PatchAverage(self.grid, self.image.dtype, device)
        total = torch.zeros((), device=device)
        trained = torch.arange(len(self.positions), dtype=torch.int32, device=device)
        places = torch.full((self.grid.patches,), -1, dtype=torch.int32, device=device)
        places[self.positions] = trained
        started, done = time.perf_counter(), 0
        for positions in torch.arange(self.grid.patches, device=device).split(
            self.config.batch_size
        ):
            done += len(positions)
            share = done / self.grid.patches
            estimate = reconstructor(
                self._coefficients(positions),
                places[positions].long(),
                hurry=partial(self._late, started, share),
            )
            # The diagonal of U diag(variance) U^T.
            pixel_variance = estimate.variance @ self.basis.T.square()
            weights = self._weights(pixel_variance)
            image.add(positions, estimate.mean @ self.basis.T, weights)
            variance.add(positions, pixel_variance, weights)
            total += estimate.free_energy.sum()
            if on_share is not None:
                on_share(share)
        return Rebuilt(image.image(), variance.image(), float(total) / self.grid.patches)

    def refine(self, pilot: Tensor) -> Tensor:
        """Fit local models to groups of patches that are alike in a first estimate.

        Parameters
        ----------
        pilot : Tensor, shape (Y, X, C)
            First estimate.

        Returns
        -------
        Tensor, shape (Y, X, C)
            Refined estimate; the pilot where the configuration or the clock forbids more.
        """
        refinement = self.config.refinement
        if refinement is Refinement.NONE or self.noise_variance == 0 or self._expired():
            return pilot
        started = time.perf_counter()
        gaussian = self._group(gaussian_groups, pilot, GAUSSIAN)
        seconds = time.perf_counter() - started
        settings = low_rank_settings(noise_to_signal(self.noise_variance))
        too_long = self._expired(after=1.5 * settings.iterations * seconds)
        if refinement is Refinement.GAUSSIAN or too_long:
            return gaussian
        low_rank = self._group(low_rank_groups, pilot, settings)
        return LOW_RANK_SHARE * low_rank + (1 - LOW_RANK_SHARE) * gaussian

    def _group(self, method: GroupMethod, pilot: Tensor, settings: GroupSettings) -> Tensor:
        """Average a refinement over the configured patch sizes."""
        shorter = min(self.image.shape[:2])
        results = [
            method(
                self.image,
                pilot,
                self.noise_variance,
                replace(
                    settings,
                    patch_size=min(settings.patch_size + added, shorter),
                    step=self.config.group_step,
                ),
            )
            for added in self.config.group_sizes
        ]
        return torch.stack(results).mean(0)

    def _coefficients(self, positions: Tensor) -> Tensor:
        return extract_patches(self.image, self.grid.patch_size, positions) @ self.basis

    def _weights(self, variance: Tensor) -> Tensor:
        """Weigh pixels of patches by the inverse of their variance (N, D)."""
        if not self.model.decoder.unlocked:
            return torch.ones_like(variance)
        return 1 / (variance / self.model.noise_variance + self.config.weight_floor)

    def _late(self, started: float, share: float) -> bool:
        """Say whether more than a share of the time left for rebuilding is gone."""
        if self.deadline is None:
            return False
        return time.perf_counter() - started > share * (self.deadline - started)

    def _expired(self, after: float = 0.0) -> bool:
        """Say whether the deadline will have passed after so many more seconds."""
        return self.deadline is not None and time.perf_counter() + after > self.deadline


def noise_to_signal(noise_variance: float) -> float:
    """Noise over signal, as standard deviations, of an image of unit variance in all."""
    return math.sqrt(noise_variance / max(1 - noise_variance, 1e-3))


def choose_lattices(
    grid: PatchGrid, config: DenoiseConfig, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Choose the sub-lattices to train on: strides, and random distinct offsets.

    Parameters
    ----------
    grid : PatchGrid
        All positions.
    config : DenoiseConfig
        Its `lattice_patches` and `lattices`.
    generator : torch.Generator
        Source of randomness; its device is the result's.

    Returns
    -------
    tuple of Tensor of int64
        Positions, lattice by lattice.
    """
    ratio = grid.patches / (config.lattice_patches or grid.patches)
    # In a strip too narrow for equal strides the longer side takes what is left.
    down = min(max(1, math.ceil(math.sqrt(ratio))), grid.rows)
    right = min(max(1, math.ceil(ratio / down)), grid.columns)
    down = min(max(down, math.ceil(ratio / right)), grid.rows)
    offsets = torch.randperm(down * right, generator=generator, device=generator.device)
    return tuple(
        grid.sublattice((down, right), divmod(offset, right)).to(generator.device)
        for offset in offsets[: config.lattices].tolist()
    )
