"""Images on one device: train on some of their patches, rebuild them from all, refine."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from evodenoise.config import Covariance, DenoiseConfig, Refinement
from evodenoise.groups import (
    GroupSettings,
    gaussian_groups,
    gaussian_settings,
    low_rank_groups,
    low_rank_settings,
)
from evodenoise.patches import PatchAverage
from evodenoise.scene import Scene
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import concatenate_patches
from evodenoise.tvae.reconstruction import Estimate, Reconstructor
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


class Canvas:
    """The running average of the estimated patches of an image.

    Parameters
    ----------
    scene : Scene
        The image.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        dtype, device = scene.image.dtype, scene.image.device
        self.image = PatchAverage(scene.grid, dtype, device)
        self.variance = PatchAverage(scene.grid, dtype, device)
        self.free_energy = torch.zeros((), device=device)

    def add(self, positions: Tensor, estimate: Estimate, weigh: Callable[[Tensor], Tensor]) -> None:
        """Add estimated patches at their positions (N,), weighed by their pixels' variance."""
        basis = self.scene.basis
        # The diagonal of U diag(variance) U^T.
        variance = estimate.variance @ basis.T.square()
        weights = weigh(variance)
        self.image.add(positions, estimate.mean @ basis.T, weights)
        self.variance.add(positions, variance, weights)
        self.free_energy += estimate.free_energy.sum()

    def rebuilt(self) -> Rebuilt:
        """Return what has been put together."""
        free_energy = float(self.free_energy) / self.scene.grid.patches
        return Rebuilt(self.image.image(), self.variance.image(), free_energy)


class Session:
    """Scaled images and the model that they share.

    Parameters
    ----------
    scenes : sequence of Scene
        The images, of the same channels and patch size, on one device.
    config : DenoiseConfig
        Settings.
    noise_variance : float
        sigma^2; 0: unknown, it is learned and there is no covariance.
    deadline : float or None
        When all must be done, on the scale of `time.perf_counter`.
    generator : torch.Generator
        Source of randomness, on the images' device.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        config: DenoiseConfig,
        *,
        noise_variance: float,
        deadline: float | None,
        generator: torch.Generator,
    ) -> None:
        self.scenes, self.config, self.generator = scenes, config, generator
        self.noise_variance, self.deadline = noise_variance, deadline
        wanted = config.lattice_patches and max(1, config.lattice_patches // len(scenes))
        lattices = [
            choose_lattices(scene, wanted, config.lattices, generator=generator) for scene in scenes
        ]
        self.positions = [torch.cat(own) for own in lattices]
        self.lattices = interleave(lattices)
        self.model = BinaryLatentVAE(
            config.latents,
            config.hidden,
            scenes[0].grid.pixels,
            active=config.initial_active,
            covariance=config.covariance is Covariance.DCT and noise_variance > 0,
            generator=generator,
        )
        self.variational = initial_states(
            sum(map(len, self.positions)),
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
            patches=sum(scene.grid.patches for scene in self.scenes),
            later_passes=passes,
        )
        own = zip(self.scenes, self.positions, strict=True)
        return fit(
            concatenate_patches([scene.patches(positions) for scene, positions in own]),
            self.model,
            self.variational,
            self.config,
            lattices=self.lattices,
            budget=budget,
            noise_variance=self.noise_variance or None,
            generator=self.generator,
        )

    def rebuild(self, on_share: OnShare | None = None) -> Iterator[Rebuilt]:
        """Estimate all clean patches and average them, weighted by their precision.

        Parameters
        ----------
        on_share : callable, optional
            Called with the share of all images that is done.

        Yields
        ------
        Rebuilt
            One image after the other.
        """
        reconstructor = Reconstructor(
            self.model, self.variational, self.config, generator=self.generator
        )
        started, done, first = time.perf_counter(), 0, 0
        total = sum(scene.grid.patches for scene in self.scenes)
        for scene, positions in zip(self.scenes, self.positions, strict=True):
            places = torch.full((scene.grid.patches,), -1, device=scene.image.device)
            places[positions] = torch.arange(first, first + len(positions), device=places.device)
            first += len(positions)
            canvas = Canvas(scene)
            every = torch.arange(scene.grid.patches, device=places.device)
            for some in every.split(self.config.batch_size):
                done += len(some)
                hurry = partial(self._late, started, done / total)
                estimate = reconstructor(scene.patches(some), places[some], hurry=hurry)
                canvas.add(some, estimate, self._weights)
                if on_share is not None:
                    on_share(done / total)
            yield canvas.rebuilt()

    def refine(self, scene: Scene, pilot: Tensor) -> Tensor:
        """Fit local models to groups of patches that are alike in a first estimate.

        Parameters
        ----------
        scene : Scene
            The noisy image.
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
        ratio = noise_to_signal(self.noise_variance)
        channels = scene.image.shape[2]
        gaussian = self._group(gaussian_groups, scene, pilot, gaussian_settings(ratio, channels))
        seconds = time.perf_counter() - started
        settings = low_rank_settings(ratio)
        too_long = self._expired(after=1.5 * settings.iterations * seconds)
        if refinement is Refinement.GAUSSIAN or too_long:
            return gaussian
        low_rank = self._group(low_rank_groups, scene, pilot, settings)
        return LOW_RANK_SHARE * low_rank + (1 - LOW_RANK_SHARE) * gaussian

    def _group(
        self, method: GroupMethod, scene: Scene, pilot: Tensor, settings: GroupSettings
    ) -> Tensor:
        """Average a refinement over the configured patch sizes."""
        shorter = min(scene.image.shape[:2])
        noisy = scene.filled(pilot)
        results = [
            method(
                noisy,
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
    scene: Scene, wanted: int | None, count: int, *, generator: torch.Generator
) -> list[Tensor]:
    """Choose the sub-lattices to train on: strides, and random distinct offsets.

    Parameters
    ----------
    scene : Scene
        The image.
    wanted : int or None
        Patches of a sub-lattice, about; None: all of them.
    count : int
        Sub-lattices at most.
    generator : torch.Generator
        Source of randomness; its device is the result's.

    Returns
    -------
    list of Tensor of int64
        Positions, lattice by lattice; patches without any pixel are left out.
    """
    grid = scene.grid
    ratio = grid.patches / (wanted or grid.patches)
    # In a strip too narrow for equal strides the longer side takes what is left.
    down = min(max(1, math.ceil(math.sqrt(ratio))), grid.rows)
    right = min(max(1, math.ceil(ratio / down)), grid.columns)
    down = min(max(down, math.ceil(ratio / right)), grid.rows)
    offsets = torch.randperm(down * right, generator=generator, device=generator.device)
    return [
        scene.visible(grid.sublattice((down, right), divmod(offset, right)).to(generator.device))
        for offset in offsets[:count].tolist()
    ]


def interleave(lattices: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Join the sub-lattices of all images that an epoch visits together.

    Parameters
    ----------
    lattices : sequence of sequence of Tensor
        For each image its sub-lattices; where there are fewer of them they come again.

    Returns
    -------
    list of Tensor of int64
        Places in the list of all patches, image by image and lattice by lattice.
    """
    device = lattices[0][0].device
    sizes = [len(lattice) for own in lattices for lattice in own]
    places = list(torch.arange(sum(sizes), device=device).split(sizes))
    numbered = [[places.pop(0) for _ in own] for own in lattices]
    rounds = max(map(len, numbered))
    joined = [torch.cat([own[turn % len(own)] for own in numbered]) for turn in range(rounds)]
    return [lattice for lattice in joined if len(lattice)]
