"""Images on one device: train on some of their patches, rebuild them from all, refine."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from evodenoise.config.settings import Covariance, DenoiseConfig, Refinement
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.pace import OnEstimate, OnShare, Pace
from evodenoise.noise.spectrum import NoiseSpectrum
from evodenoise.nonlocal_models.refinement import PASSES, refine
from evodenoise.patches.aggregation import PatchAggregator
from evodenoise.patches.grid import PatchGrid
from evodenoise.patches.lattices import CoveringLattice, choose_lattices, interleave
from evodenoise.patches.source import PatchSource
from evodenoise.tvae.batches import choose_batch_size, choose_workers, in_batches
from evodenoise.tvae.gaps import concatenate_patches
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import Observations
from evodenoise.tvae.reconstruction import (
    PatchEstimate,
    Reconstructor,
    collect_codebook,
    nearest_states,
)
from evodenoise.tvae.schedule import Budget
from evodenoise.tvae.states import VariationalStates, initial_states
from evodenoise.tvae.training import EpochReport, fit

REBUILDING = 0.65
"""Share of what is left of a time limit after training, if the estimate is to be refined, too."""


@dataclass(frozen=True)
class Fitted:
    """What training has left, or a checkpoint has brought.

    Attributes
    ----------
    model : BinaryLatentVAE
        The model.
    codebook : Tensor of int16, shape (M, K)
        Codes in use.
    positions : tuple of Tensor of int64, shape (N,)
        For each image the patches that were trained on; none of them with a checkpoint alone.
    variational : VariationalStates or None
        The states of these patches, image by image; None if there are none.
    """

    model: BinaryLatentVAE
    codebook: Tensor
    positions: tuple[Tensor, ...]
    variational: VariationalStates | None


@dataclass(frozen=True)
class Rebuilt:
    """An image put together from its estimated patches.

    Attributes
    ----------
    image : Tensor, shape (Y, X, C)
        Posterior mean.
    variance : Tensor, shape (Y, X, C)
        Weighted mean of the posterior variances of the patches that cover a pixel, without the
        pattern of those that were rebuilt.
    disagreement : Tensor, shape (Y, X, C)
        Weighted variance of what these patches say of it, without that pattern.
    free_energy : float
        Mean over the patches that were put together, in nats per patch.
    """

    image: Tensor
    variance: Tensor
    disagreement: Tensor
    free_energy: float


@dataclass(frozen=True, eq=False)
class Denoiser:
    """Scaled images that share a model, and how they are denoised.

    Attributes
    ----------
    sources : tuple of PatchSource
        The images, of the same channels and patch size, on one device.
    config : DenoiseConfig
        Settings.
    noise_variance : float
        sigma^2; 0: unknown, it is learned and there is no covariance.
    deadline : float or None
        When all must be done, on the scale of `time.perf_counter`.
    generator : torch.Generator
        Source of randomness, on the images' device.
    spectrum : NoiseSpectrum or None
        Of the noise, over frequency; None: white.
    patches : int or None
        How many are to be rebuilt until the deadline; None: those of the images.
    """

    sources: tuple[PatchSource, ...]
    config: DenoiseConfig
    noise_variance: float
    deadline: float | None
    generator: torch.Generator
    spectrum: NoiseSpectrum | None = None
    patches: int | None = None

    def train(
        self,
        checkpoint: Checkpoint | None,
        on_epoch: Callable[[EpochReport], bool],
        on_estimate: OnEstimate | None = None,
    ) -> Fitted:
        """Train until the budget is spent.

        Parameters
        ----------
        checkpoint : Checkpoint or None
            Where to start from; with 0 epochs it stays as it is.
        on_epoch : callable
            Called with a report after each epoch; if it returns True, training stops there.
        on_estimate : callable, optional
            Called after each epoch but the last with a function that estimates the images
            (Y, X, C) roughly.

        Returns
        -------
        Fitted
            What has been learned.
        """
        config, model = self.config, self._model(checkpoint)
        brought = None
        if checkpoint is not None:
            brought = self._collect(checkpoint.codebook.to(self.generator.device))
            if not config.epochs:
                nothing = torch.zeros(0, dtype=torch.int64, device=self.generator.device)
                return Fitted(model, brought, (nothing,) * len(self.sources), None)
        wanted = config.lattice_patches and max(1, config.lattice_patches // len(self.sources))
        lattices = [
            choose_lattices(source, wanted, config.lattices, generator=self.generator)
            for source in self.sources
        ]
        positions = tuple(torch.cat(own) for own in lattices)
        patches = concatenate_patches(
            [source.patches(own) for source, own in zip(self.sources, positions, strict=True)]
        )
        variational = self._first_states(model, patches, brought)
        budget = Budget(
            config.epochs,
            deadline=self.deadline,
            patches=self.patches or sum(source.grid.patches for source in self.sources),
            later_passes=PASSES[config.refinement],
        )
        for report in fit(
            patches,
            model,
            variational,
            config,
            lattices=interleave(lattices),
            budget=budget,
            noise_variance=self.noise_variance or None,
            generator=self.generator,
        ):
            if on_epoch(report):
                break
            if on_estimate is not None and report.stop_reason is None:
                on_estimate(partial(self._look, model, positions, variational))
        return Fitted(model, self._collect(variational.states[:, 0]), positions, variational)

    def _look(
        self, model: BinaryLatentVAE, positions: tuple[Tensor, ...], variational: VariationalStates
    ) -> list[Tensor]:
        """Estimate the images (Y, X, C) by few of their patches; no result depends on it."""
        device = self.generator.device
        rough = replace(
            self,
            config=replace(
                self.config,
                settling_rounds=1,
                rebuilt_every=self.sources[0].grid.pixels,  # or what is the most
            ),
            deadline=None,
            generator=torch.Generator(device).manual_seed(0),  # its own: that of the run goes on
        )
        codebook = rough._collect(variational.states[:, 0])
        return [
            page.image for page in rough.rebuild(Fitted(model, codebook, positions, variational))
        ]

    def _model(self, checkpoint: Checkpoint | None) -> BinaryLatentVAE:
        """Make a new model, or that of a checkpoint with the noise of these images."""
        config = self.config
        if checkpoint is None:
            return BinaryLatentVAE(
                config.latents,
                config.hidden,
                self.sources[0].grid.pixels,
                active=config.initial_active,
                covariance=config.covariance is Covariance.DCT and self.noise_variance > 0,
                noise_profile=self._profile(),
                generator=self.generator,
            )
        model = checkpoint.build(self.generator.device)
        model.noise_profile = self._profile()
        if checkpoint.unlocked:
            model.unlock(self.noise_variance)
        return model

    def _profile(self) -> Tensor | None:
        """Spread the noise over the coefficients of a patch: (D,); None: evenly."""
        if self.spectrum is None:
            return None
        source = self.sources[0]
        return torch.from_numpy(self.spectrum.profile(source.grid.patch_size)).to(source.image)

    def _first_states(
        self, model: BinaryLatentVAE, patches: Observations, codebook: Tensor | None
    ) -> VariationalStates:
        """Give patches random states, or those of a codebook that suit them most."""
        config = self.config
        states = initial_states(
            len(patches),
            config.states,
            config.latents,
            active=config.initial_active,
            generator=self.generator,
        )
        if codebook is None:
            return states
        nearest = [
            nearest_states(model, some, codebook, config.states)
            for some in patches.split(config.batch_size)
        ]
        return VariationalStates(torch.cat(nearest), states.log_joints)

    def _collect(self, states: Tensor) -> Tensor:
        return collect_codebook(
            states,
            self.config.states,
            self.config.latents,
            active=self.config.initial_active,
            generator=self.generator,
        )

    def rebuild(self, fitted: Fitted, on_share: OnShare | None = None) -> Iterator[Rebuilt]:
        """Estimate all clean patches and average them, weighted by their precision.

        Parameters
        ----------
        fitted : Fitted
            From `train`.
        on_share : callable, optional
            Called with the share of all images that is done.

        Yields
        ------
        Rebuilt
            One image after the other.
        """
        reconstructor = Reconstructor.of(
            fitted.model,
            fitted.variational,
            self.config,
            codebook=fitted.codebook,
            generator=self.generator,
        )
        total = sum(len(self._rebuilt(source)) for source in self.sources)
        pace = Pace(total, self._rebuilt_by(), on_share)
        first = 0
        for source, positions in zip(self.sources, fitted.positions, strict=True):
            places = torch.full((source.grid.patches,), -1, device=source.image.device)
            places[positions] = torch.arange(
                first, first + len(positions), device=source.image.device
            )
            first += len(positions)
            yield self._rebuild(source, places, reconstructor, pace)

    def _rebuild(
        self, source: PatchSource, places: Tensor, reconstructor: Reconstructor, pace: Pace
    ) -> Rebuilt:
        """Put one image together; `places` (N,) are those of its patches in the training, or -1."""
        aggregator, bounds = PatchAggregator(source), torch.zeros((), device=places.device)
        rebuilt = self._rebuilt(source).to(places.device)
        workers, estimates = choose_workers(places.device), 0

        def estimate(some: Tensor) -> Callable[[], tuple[Tensor, PatchEstimate] | None]:
            should_stop = partial(pace.late, workers * len(some))
            mine = reconstructor.fork() if workers > 1 else reconstructor
            wanted = some[self._needed(source.grid, some)] if should_stop() else some
            if not len(wanted):
                return lambda: None
            known = places[wanted] if acquainted else None
            return lambda: (
                wanted,
                mine(source.patches(wanted), known, should_stop=should_stop),
            )

        def add(some: Tensor, made: tuple[Tensor, PatchEstimate] | None) -> None:
            nonlocal bounds, estimates
            if made is not None:
                wanted, estimated = made
                variance = aggregator.pixel_variance(estimated.variance)
                weights = self._weights(reconstructor.model, variance)
                aggregator.add(wanted, estimated.mean, variance, weights)
                bounds = bounds + estimated.free_energy.sum()
                estimates += len(wanted)
            pace.advance(len(some))

        size = choose_batch_size(self.config.batch_size, places.device, training=False)
        for acquainted in (True, False):
            some = rebuilt[(places[rebuilt] >= 0) == acquainted]
            if len(some):
                size = in_batches(some, size, estimate, add, workers=workers)
        whole, lattice = aggregator.aggregate(), self._lattice(source.grid)
        variance, disagreement = map(lattice.even_out, (whole.variance, whole.disagreement))
        return Rebuilt(whole.image, variance, disagreement, float(bounds) / estimates)

    def _rebuilt(self, source: PatchSource) -> Tensor:
        """List the patches (N,) that an image is put together from."""
        # Every pixel is covered by several of them.
        return self._lattice(source.grid).positions(source.grid)

    def _lattice(self, grid: PatchGrid) -> CoveringLattice:
        return CoveringLattice.of(grid, self.config.rebuilt_every)

    def _needed(self, grid: PatchGrid, places: Tensor) -> Tensor:
        """Tell which of the patches (N,) an image needs even if there is no time for the others."""
        return self._lattice(grid).thinned(grid.patch_size).holds(grid, places)

    def _rebuilt_by(self) -> float | None:
        """When the first estimate is to be done; the rest of the time is for refining it."""
        if self.deadline is None or self.config.refinement is Refinement.NONE:
            return self.deadline
        now = time.perf_counter()
        return now + REBUILDING * max(self.deadline - now, 0.0)

    def _weights(self, model: BinaryLatentVAE, variance: Tensor) -> Tensor:
        """Weigh pixels of patches by the inverse of their variance (N, D)."""
        if not model.decoder.unlocked:
            return torch.ones_like(variance)
        return 1 / (variance / model.noise_variance + self.config.weight_floor)

    def refine(self, source: PatchSource, pilot: Tensor, on_share: OnShare | None = None) -> Tensor:
        """Refine the first estimate (Y, X, C) of an image by models of groups."""
        return refine(
            source.filled(pilot),
            pilot,
            self.noise_variance,
            self.config.refinement,
            spectrum=self.spectrum,
            step=self.config.group_step,
            sizes=self.config.group_sizes,
            deadline=self.deadline,
            on_share=on_share,
        )
