"""Images on one device: train on some of their patches, rebuild them from all, refine."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest

import torch
from torch import Tensor

from evodenoise.canvas import Canvas, Rebuilt
from evodenoise.config import Covariance, DenoiseConfig, Refinement
from evodenoise.errors import TrainingError
from evodenoise.groups import (
    GroupSettings,
    gaussian_groups,
    gaussian_settings,
    low_rank_groups,
    low_rank_settings,
)
from evodenoise.lattices import choose_lattices, interleave
from evodenoise.scene import Scene
from evodenoise.trained import TrainedModel
from evodenoise.tvae.batches import choose_workers, in_batches
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import Patches, concatenate_patches
from evodenoise.tvae.reconstruction import (
    Estimate,
    Reconstructor,
    collect_codebook,
    nearest_states,
)
from evodenoise.tvae.schedule import Budget
from evodenoise.tvae.states import VariationalStates, initial_states
from evodenoise.tvae.training import EpochReport, fit

OnShare = Callable[[float], None]
GroupMethod = Callable[[Tensor, Tensor, float, GroupSettings], Tensor]

LOW_RANK_SHARE = 0.6
"""Weight of the low-rank estimate beside the Gaussian one: what each misses differs."""

REFINEMENT_PASSES = {
    Refinement.NONE: (0.0,),
    Refinement.GAUSSIAN: (0.5,),
    Refinement.FULL: (8.5, 0.5),
}
"""Refinement costs about as much as so many quick visits to all patches; what it costs without
the low-rank groups comes second."""

LOW_RANK_COST = 1 / 6**3
"""Of an iteration for each cubic pixel of a patch's side, in runs of the Gaussian groups."""


class Progress:
    """How many patches have been estimated, and whether that is quick enough.

    Parameters
    ----------
    total : int
        Patches to be estimated.
    deadline : float or None
        When all must be done, on the scale of `time.perf_counter`.
    on_share : callable or None
        Called with the share that is done.
    """

    def __init__(self, total: int, deadline: float | None, on_share: OnShare | None) -> None:
        self.total, self.deadline, self.on_share = total, deadline, on_share
        self.done, self.started = 0, time.perf_counter()

    def advance(self, patches: int) -> None:
        """Note that so many more patches are done."""
        self.done += patches
        if self.on_share is not None:
            self.on_share(self.done / self.total)

    def late(self, patches: int) -> bool:
        """Say whether more time has gone than there is for what will be done after so many."""
        if self.deadline is None:
            return False
        share = (self.done + patches) / self.total
        return time.perf_counter() - self.started > share * (self.deadline - self.started)


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
    trained : TrainedModel, optional
        Where to start from; with 0 epochs it stays as it is.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        config: DenoiseConfig,
        *,
        noise_variance: float,
        deadline: float | None,
        generator: torch.Generator,
        trained: TrainedModel | None = None,
    ) -> None:
        self.scenes, self.config, self.generator = scenes, config, generator
        self.noise_variance, self.deadline = noise_variance, deadline
        self.codebook: Tensor | None = None  # of the model given, then of what was learned
        self.collected = False
        self.positions: list[Tensor] = []
        self.variational: VariationalStates | None = None
        if trained is None:
            self.model = BinaryLatentVAE(
                config.latents,
                config.hidden,
                scenes[0].grid.pixels,
                active=config.initial_active,
                covariance=config.covariance is Covariance.DCT and noise_variance > 0,
                generator=generator,
            )
        else:
            self.model = trained.build(generator.device)
            self.codebook = self._collect(trained.codebook.to(generator.device))
            if trained.unlocked:
                self.model.noise_variance.fill_(noise_variance)

    def train(self) -> Iterator[EpochReport]:
        """Train until the budget is spent; yield a report an epoch."""
        config, count = self.config, len(self.scenes)
        if not config.epochs:
            return
        wanted = config.lattice_patches and max(1, config.lattice_patches // count)
        lattices = [
            choose_lattices(scene, wanted, config.lattices, generator=self.generator)
            for scene in self.scenes
        ]
        self.positions = [torch.cat(own) for own in lattices]
        own = zip(self.scenes, self.positions, strict=True)
        patches = concatenate_patches([scene.patches(positions) for scene, positions in own])
        self.variational, self.collected = self._first_states(patches), False
        budget = Budget(
            config.epochs,
            deadline=self.deadline,
            patches=sum(scene.grid.patches for scene in self.scenes),
            later_passes=REFINEMENT_PASSES[config.refinement],
        )
        yield from fit(
            patches,
            self.model,
            self.variational,
            config,
            lattices=interleave(lattices),
            budget=budget,
            noise_variance=self.noise_variance or None,
            generator=self.generator,
        )

    def _first_states(self, patches: Patches) -> VariationalStates:
        """Give patches random states, or those of a trained model that suit them most."""
        config = self.config
        states = initial_states(
            len(patches),
            config.states,
            config.latents,
            active=config.initial_active,
            generator=self.generator,
        )
        if self.codebook is None:
            return states
        size = config.batch_size
        nearest = [
            nearest_states(self.model, some, self.codebook, config.states)
            for some in patches.split(size)
        ]
        return VariationalStates(torch.cat(nearest), states.log_joints)

    def learned(self) -> Tensor:
        """Return codes in use (M, K): of the training, or of the model that was given."""
        if self.variational is not None and not self.collected:
            self.codebook = self._collect(self.variational.states[:, 0])
            self.collected = True
        if self.codebook is None:
            raise TrainingError("nothing was trained; ask for at least one epoch")
        return self.codebook

    def _collect(self, states: Tensor) -> Tensor:
        return collect_codebook(
            states,
            self.config.states,
            self.config.latents,
            active=self.config.initial_active,
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
            self.model,
            self.variational,
            self.config,
            codebook=self.learned(),
            generator=self.generator,
        )
        total = sum(scene.grid.patches for scene in self.scenes)
        progress = Progress(total, self.deadline, on_share)
        for scene, places in zip(self.scenes, self._places(), strict=True):
            yield self._rebuild(scene, places, reconstructor, progress)

    def _places(self) -> Iterator[Tensor]:
        """Say for every patch of each image which place it has in the training, or -1: (N,)."""
        first = 0
        for scene, positions in zip_longest(self.scenes, self.positions):
            places = torch.full((scene.grid.patches,), -1, device=scene.image.device)
            if positions is not None:
                known = torch.arange(first, first + len(positions), device=places.device)
                places[positions] = known
                first += len(positions)
            yield places

    def _rebuild(
        self, scene: Scene, places: Tensor, reconstructor: Reconstructor, progress: "Progress"
    ) -> Rebuilt:
        """Put one image together."""
        canvas = Canvas(scene)
        workers = choose_workers(places.device)

        def estimate(some: Tensor) -> Callable[[], Estimate]:
            hurry = partial(progress.late, workers * len(some))
            mine = reconstructor.fork() if workers > 1 else reconstructor
            return lambda: mine(scene.patches(some), places[some], hurry=hurry)

        def add(some: Tensor, estimated: Estimate) -> None:
            canvas.add(some, estimated, self._weights)
            progress.advance(len(some))

        every = torch.arange(scene.grid.patches, device=places.device)
        in_batches(every, self.config.batch_size, estimate, add, workers=workers)
        return canvas.rebuilt()

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
        cost = LOW_RANK_COST * settings.patch_size**3 * settings.iterations
        too_long = self._expired(after=cost * seconds)
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

    def _expired(self, after: float = 0.0) -> bool:
        """Say whether the deadline will have passed after so many more seconds."""
        return self.deadline is not None and time.perf_counter() + after > self.deadline


def noise_to_signal(noise_variance: float) -> float:
    """Noise over signal, as standard deviations, of an image of unit variance in all."""
    return math.sqrt(noise_variance / max(1 - noise_variance, 1e-3))
