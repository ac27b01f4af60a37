"""Training: E-steps and M-steps over mini-batches, one report an epoch."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import TrainingError
from evodenoise.tvae.adam import Adam, Optimizer
from evodenoise.tvae.batches import choose_workers, in_batches
from evodenoise.tvae.e_step import EStep
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import Observations
from evodenoise.tvae.posterior import (
    PosteriorSample,
    expected_ones,
    truncate_posterior,
    truncated_free_energy,
)
from evodenoise.tvae.schedule import Budget, Convergence, StopReason, learning_rate
from evodenoise.tvae.states import VariationalStates, trim


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    progress : float
        Share of the run that is done, from 0 to 1.
    patches : int
        Patches visited.
    free_energy : float
        Mean over these patches, in nats per patch.
    noise_std : float
        Learned sigma, in the units of the patches (pixel units in `DenoiseResult.history`).
    active_latents : float
        Expected number of ones of a code, sum of pi.
    replaced : float
        States replaced by better ones, per patch.
    learning_rate : float
        Adam's rate in the last mini-batch.
    seconds : float
        Wall time of the epoch.
    stop_reason : StopReason or None
        Why this is the last epoch, if it is.
    """

    epoch: int
    progress: float
    patches: int
    free_energy: float
    noise_std: float
    active_latents: float
    replaced: float
    learning_rate: float
    seconds: float
    stop_reason: StopReason | None = None


class EpochSums:
    """Sums over the patches of an epoch, from which the closed-form updates follow."""

    def __init__(self, latents: int, device: torch.device) -> None:
        self.patches = 0
        self.values = torch.zeros((), dtype=torch.int64, device=device)
        self.expected_ones = torch.zeros(latents, device=device)
        self.squared_error = torch.zeros((), device=device)
        self.free_energy = torch.zeros((), device=device)
        self.replaced = torch.zeros((), device=device)


def m_step(
    model: BinaryLatentVAE,
    optimizer: Optimizer,
    patches: Observations,
    sample: PosteriorSample,
    *,
    share: float = 1.0,
) -> Tensor:
    """Take one gradient step on the decoder.

    The gradient of the free energy with respect to the weights is that of the
    posterior-weighted log-joint with the posterior weights held fixed.

    Parameters
    ----------
    model : BinaryLatentVAE
        Its decoder is changed.
    optimizer : Optimizer
        Over the decoder's parameters.
    patches : Observations, (B, D)
        The mini-batch.
    sample : PosteriorSample
        States of these patches and their weights; all of them or a part.
    share : float
        The part that the sample is of all states of the mini-batch.

    Returns
    -------
    Tensor, shape ()
        sum_n E_q[||x_n - mu(z)||^2] before the step.
    """
    mine = patches[sample.owners]
    emission = model.decoder(sample.states)
    likelihood = mine.surrogate_log_likelihood(emission, model.noise_variance)
    loss = -(sample.weights * likelihood).sum() / (len(patches) * share)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        expected_error: Tensor = (sample.weights * mine.squared_errors(emission.mean)).sum()
    return expected_error


class Evolved(NamedTuple):
    """A mini-batch after its E-step.

    Attributes
    ----------
    patches : Observations, (B, D)
        Its patches.
    states : VariationalStates, (B, S)
        Their states.
    sample : PosteriorSample
        Those that carry the posterior mass.
    expected_ones : Tensor, shape (H,)
        sum_n E_q[z_h].
    free_energy, replaced : Tensor, shape ()
        Sums over the patches: of their bounds, in nats, and of how many states are new.
    """

    patches: Observations
    states: VariationalStates
    sample: PosteriorSample
    expected_ones: Tensor
    free_energy: Tensor
    replaced: Tensor


class Trainer:
    """One training run: the model, the states of its patches, and what changes them.

    Parameters
    ----------
    patches : Observations, (N, D)
        Centred and scaled patches.
    model : BinaryLatentVAE
        Trained in place.
    variational : VariationalStates, (N, S)
        The states of the patches, improved in place.
    config : DenoiseConfig
        Evolution, batch sizes, learning rate.
    generator : torch.Generator
        Source of randomness, on the patches' device.
    """

    def __init__(
        self,
        patches: Observations,
        model: BinaryLatentVAE,
        variational: VariationalStates,
        config: DenoiseConfig,
        *,
        generator: torch.Generator,
    ) -> None:
        self.patches, self.model, self.variational = patches, model, variational
        self.config, self.generator = config, generator
        self.batch_size = config.batch_size
        self.e_step = EStep(model, config, generator=generator)
        self.optimizer = Adam(model.decoder.parameters())

    def epoch(self, lattice: Tensor, budget: Budget, done: int) -> tuple[EpochSums, float]:
        """Visit the patches of a sub-lattice once, in random order.

        Parameters
        ----------
        lattice : Tensor of int64, shape (M,)
            Indices of patches.
        budget : Budget
            Decides the learning rate.
        done : int
            Epochs done so far.

        Returns
        -------
        EpochSums
            Sums over the patches.
        float
            The last learning rate.
        """
        sums = EpochSums(self.model.latents, self.patches.device)
        shuffled = torch.randperm(len(lattice), generator=self.generator, device=lattice.device)
        order = lattice[shuffled]
        self.e_step.measure_curvature(self.variational.states[order, 0])
        rate = self.config.learning_rate.minimum

        def learn(chosen: Tensor, evolved: Evolved) -> None:
            nonlocal rate
            progress = budget.progress(done + sums.patches / len(order))
            rate = learning_rate(self.config.learning_rate, progress, budget.epochs)
            self.optimizer.rate = rate
            self._learn(chosen, evolved, sums)

        workers = choose_workers(self.patches.device)
        evolve = partial(self._evolve, beside=workers > 1)
        self.batch_size = in_batches(order, self.batch_size, evolve, learn, workers=workers)
        return sums, rate

    def _evolve(self, chosen: Tensor, *, beside: bool) -> Callable[[], Evolved]:
        """Prepare the E-step of a mini-batch, to be done beside gradient steps or not.

        If it is, it sees the decoder as it is now, before these.
        """
        e_step = self.e_step.fork(copy.deepcopy(self.model)) if beside else self.e_step
        latents = self.model.latents

        def evolve() -> Evolved:
            patches = self.patches[chosen]
            states = trim(self.variational.states[chosen], latents)
            current, replaced = e_step(patches, e_step.evaluate(patches, states))
            sample = truncate_posterior(
                current.log_joints, current.states, self.config.posterior_mass
            )
            ones = expected_ones(sample, latents)
            free_energy = truncated_free_energy(current.log_joints).sum()
            return Evolved(patches, current, sample, ones, free_energy, replaced.sum())

        return evolve

    def _learn(self, chosen: Tensor, evolved: Evolved, sums: EpochSums) -> None:
        """Keep the states of a mini-batch and do its gradient steps."""
        patches = evolved.patches
        self.variational.put(chosen, evolved.states, self.model.latents)
        parts = list(evolved.sample.split(self.config.gradient_batch_size))
        errors = [
            m_step(self.model, self.optimizer, patches, part, share=1 / len(parts))
            for part in parts
        ]
        # From here on nothing can fail for want of memory: no patch is counted twice.
        sums.squared_error += torch.stack(errors).sum()
        sums.expected_ones += evolved.expected_ones
        sums.free_energy += evolved.free_energy
        sums.replaced += evolved.replaced
        sums.patches += len(patches)
        sums.values += patches.observed_values()


def fit(
    patches: Observations,
    model: BinaryLatentVAE,
    variational: VariationalStates,
    config: DenoiseConfig,
    *,
    lattices: Sequence[Tensor] | None = None,
    budget: Budget | None = None,
    noise_variance: float | None = None,
    generator: torch.Generator,
) -> Iterator[EpochReport]:
    """Train a model and the states of its patches, in place.

    Parameters
    ----------
    patches : Observations, (N, D)
        Centred and scaled patches.
    model : BinaryLatentVAE
        The model.
    variational : VariationalStates, (N, S)
        The states of the patches.
    config : DenoiseConfig
        Epochs, batch sizes, evolution, learning rate.
    lattices : sequence of Tensor, optional
        Indices of the patches that the epochs visit in turn; all patches by default.
    budget : Budget, optional
        Length of the run; `config.epochs` by default.
    noise_variance : float, optional
        Known sigma^2, in the units of the patches. With it, a decoder that has a covariance
        is unlocked after `config.mean_share` of the run; else sigma^2 is learned.
    generator : torch.Generator
        Source of randomness, on the patches' device.

    Yields
    ------
    EpochReport
        After each epoch; the caller may stop here.

    Raises
    ------
    TrainingError
        If the free energy is no longer finite.
    """
    lattices = lattices or [torch.arange(len(patches), device=patches.device)]
    budget = budget or Budget(config.epochs)
    trainer = Trainer(patches, model, variational, config, generator=generator)
    convergence = Convergence(len(lattices))
    done, stop = 0, None
    while stop is None:
        start = time.perf_counter()
        sums, rate = trainer.epoch(lattices[done % len(lattices)], budget, done)
        done += 1
        if budget.progress(done) >= config.prior_delay * budget.epochs:
            model.update_prior(sums.expected_ones, sums.patches)
        if not model.decoder.unlocked:
            model.update_noise_variance(sums.squared_error, int(sums.values))
        ready = budget.progress(done) >= config.mean_share * budget.epochs
        if ready and noise_variance is not None and not model.decoder.unlocked:
            # From here on the variances could take sigma^2's place: it has to be told.
            model.noise_variance.fill_(noise_variance)
            model.decoder.unlock()
        free_energy = _finite(float(sums.free_energy) / sums.patches, done)
        replaced = float(sums.replaced) / sums.patches
        seconds = time.perf_counter() - start
        budget.record(seconds / sums.patches)
        stop = budget.over(done)
        if stop is None and convergence.reached(done - 1, free_energy, replaced):
            stop = StopReason.CONVERGED
        yield EpochReport(
            epoch=done,
            progress=1.0 if stop else budget.progress(done) / budget.epochs,
            patches=sums.patches,
            free_energy=free_energy,
            noise_std=math.sqrt(float(model.noise_variance)),
            active_latents=float(model.prior.sum()),
            replaced=replaced,
            learning_rate=rate,
            seconds=seconds,
            stop_reason=stop,
        )


def _finite(free_energy: float, epoch: int) -> float:
    if not math.isfinite(free_energy):
        raise TrainingError(
            f"training diverged in epoch {epoch}: the free energy is {free_energy}; "
            "lower the learning rate"
        )
    return free_energy
