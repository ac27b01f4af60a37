"""Training: a plain loop of E-steps, M-steps and a report, epoch by epoch.

What is optimised: the free energy F = sum_n log sum_{z in K_n} p(x_n, z), by the E-step over the
sets K_n, which never lowers it, and by the M-step over the parameters. The M-step takes only the
best states of each K_n that carry `posterior_mass` of its posterior; that is the E-step's bound
with smaller sets, another lower bound of the same likelihood, at most -log(posterior_mass) nats
a patch below F (0.22 at four fifths). With all of the mass both are the same. A mini-batch that
needs more states than the epoch before let expect leaves out its lightest ones; then it is more.

One change of the model is no ascent: when the decoder's variances are unlocked, sigma^2 is set
from its learned value, which had to stand for them, to the known one.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import TrainingError
from evodenoise.tvae.adam import Adam
from evodenoise.tvae.batches import choose_batch_size, choose_workers, in_batches
from evodenoise.tvae.e_step import EStep
from evodenoise.tvae.evolution import Variation
from evodenoise.tvae.m_step import gradient_steps
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import Observations
from evodenoise.tvae.posterior import (
    PosteriorSample,
    expected_ones,
    truncate_posterior,
    truncated_free_energy,
)
from evodenoise.tvae.schedule import Budget, Convergence, StopReason, learning_rate
from evodenoise.tvae.states import VariationalStates, count_ones

SPARE_SAMPLED = 1.1
"""Room for more entries of a `PosteriorSample` than there were in the epoch before."""


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
    scale : int
        How many times the size of the image had been halved for this training.
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
    scale: int = 0


@dataclass
class TrainingState:
    """What changes in a run; all else is fixed when it begins.

    Attributes
    ----------
    model : BinaryLatentVAE
        Prior, decoder, noise variance.
    variational : VariationalStates, (N, S)
        The states of all patches.
    optimizer : Adam
        Its moments, over the decoder's parameters.
    epoch : int
        Epochs done.
    noise_is_known : bool
        Whether sigma^2 stays as it is, and the decoder's variances speak, if it has any.
    batch_size : int
        Patches of an E-step; it shrinks if a GPU's memory is too small.
    places : int
        Ones of a state, at most, K.
    sampled : float
        Entries of a `PosteriorSample` for each patch. It and `places` are looked up once an epoch:
        within it all shapes are known beforehand, and nothing waits for a GPU.
    """

    model: BinaryLatentVAE
    variational: VariationalStates
    optimizer: Adam
    epoch: int
    noise_is_known: bool
    batch_size: int
    places: int
    sampled: float


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


@dataclass
class EpochSums:
    """Sums over the patches of an epoch, from which the closed-form updates follow.

    Attributes
    ----------
    expected_ones : Tensor, shape (H,)
        sum_n E_q[z_h].
    squared_error, free_energy, replaced, sampled : Tensor, shape ()
        sum_n E_q[||x_n - mu(z)||^2]; bounds, in nats; states replaced by better ones; states that
        carry the posterior mass.
    values : Tensor of int64, shape ()
        Observed pixels.
    patches : int
        Patches.
    learning_rate : float
        Of the last mini-batch.
    """

    expected_ones: Tensor
    squared_error: Tensor
    free_energy: Tensor
    replaced: Tensor
    sampled: Tensor
    values: Tensor
    patches: int
    learning_rate: float

    @classmethod
    def none(cls, latents: int, device: torch.device) -> "EpochSums":
        """Begin with nothing."""
        zero = torch.zeros((), device=device)
        counts = torch.zeros((), dtype=torch.int64, device=device)
        return cls(torch.zeros(latents, device=device), zero, zero, zero, zero, counts, 0, 0.0)

    def add(self, evolved: Evolved, squared_error: Tensor) -> None:
        """Add a mini-batch."""
        self.squared_error = self.squared_error + squared_error
        self.expected_ones = self.expected_ones + evolved.expected_ones
        self.free_energy = self.free_energy + evolved.free_energy
        self.replaced = self.replaced + evolved.replaced
        self.sampled = self.sampled + evolved.sample.wanted
        self.values = self.values + evolved.patches.observed_values()
        self.patches += len(evolved.patches)


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
        Known sigma^2, in the units of the patches. It is used, and a decoder that has a covariance
        is unlocked, after `config.mean_share` of the run, if anything is left of it then; before,
        and without it, sigma^2 is learned.
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
    variation = Variation.of(config.evolution, model.latents, generator=generator)
    optimizer = Adam(model.decoder.parameters())
    state = TrainingState(
        model,
        variational,
        optimizer,
        epoch=0,
        noise_is_known=model.decoder.unlocked,
        batch_size=choose_batch_size(config.batch_size, patches.device, training=True),
        places=variational.states.shape[-1],
        sampled=variational.states.shape[1],
    )
    convergence, stop = Convergence(len(lattices)), None
    while stop is None:
        start = time.perf_counter()
        lattice = lattices[state.epoch % len(lattices)]
        sums = _visit(lattice, patches, state, variation, config, budget)
        state.epoch += 1
        progress = budget.progress(state.epoch)
        if progress >= config.prior_delay * budget.epochs:
            model.update_prior(sums.expected_ones, sums.patches)
        if not state.noise_is_known:
            model.update_noise_variance(sums.squared_error, sums.values)
        figures = _look_up(state, sums)
        free_energy = _finite(figures.free_energy, state.epoch)
        seconds = time.perf_counter() - start
        budget.record(seconds / sums.patches)
        stop = budget.over(state.epoch)
        if stop is None and noise_variance is not None and not state.noise_is_known:
            # Never after the last epoch: variances would speak that nothing has trained.
            if progress >= config.mean_share * budget.epochs:
                model.unlock(noise_variance)
                state.noise_is_known = True
                figures = figures._replace(noise_variance=noise_variance)
        elif stop is None and convergence.reached(state.epoch - 1, free_energy, figures.replaced):
            stop = StopReason.CONVERGED
        yield EpochReport(
            epoch=state.epoch,
            progress=1.0 if stop else budget.progress(state.epoch) / budget.epochs,
            patches=sums.patches,
            free_energy=free_energy,
            noise_std=math.sqrt(figures.noise_variance),
            active_latents=figures.active,
            replaced=figures.replaced,
            learning_rate=sums.learning_rate,
            seconds=seconds,
            stop_reason=stop,
        )


def _visit(
    lattice: Tensor,
    patches: Observations,
    state: TrainingState,
    variation: Variation,
    config: DenoiseConfig,
    budget: Budget,
) -> EpochSums:
    """Visit the patches of a sub-lattice (M,) once, in random order: E-steps, gradient steps."""
    model, generator = state.model, variation.generator
    sums = EpochSums.none(model.latents, patches.device)
    order = lattice[torch.randperm(len(lattice), generator=generator, device=lattice.device)]
    e_step = EStep.measured(model, variation, state.variational.states[order, 0])
    workers = choose_workers(patches.device)

    def begin(chosen: Tensor) -> Callable[[], Evolved]:
        # Beside gradient steps, an E-step sees the decoder as it is now, before these.
        mine = e_step.fork(copy.deepcopy(model)) if workers > 1 else e_step
        # What else there is is room for a bit that was flipped in patches visited before.
        states = state.variational.states[chosen][..., : state.places]
        most = math.ceil(state.sampled * len(chosen))
        return lambda: _evolve(mine, patches[chosen], states, config.posterior_mass, most)

    def finish(chosen: Tensor, evolved: Evolved) -> None:
        progress = budget.progress(state.epoch + sums.patches / len(order))
        rate = learning_rate(config.learning_rate, progress, budget.epochs)
        state.optimizer.rate = rate
        state.variational.put(chosen, evolved.states, model.latents)
        squared_error = gradient_steps(
            model, state.optimizer, evolved.patches, evolved.sample, config.gradient_batch_size
        )
        # From here on nothing can fail for want of memory: no patch is counted twice.
        sums.add(evolved, squared_error)
        sums.learning_rate = rate

    state.batch_size = in_batches(order, state.batch_size, begin, finish, workers=workers)
    return sums


def _evolve(
    e_step: EStep, patches: Observations, states: Tensor, mass: float, most: int
) -> Evolved:
    """Do the E-step of a mini-batch from its states (B, S, K)."""
    before = e_step.evaluate(patches, states)
    current, replaced = e_step(patches, before)
    sample = truncate_posterior(current.log_joints, current.states, mass, most=most)
    free_energy = truncated_free_energy(current.log_joints).sum()
    ones = expected_ones(sample, e_step.model.latents)
    return Evolved(patches, current, sample, ones, free_energy, replaced.sum())


class Figures(NamedTuple):
    """What there is to tell of an epoch: means over its patches, sigma^2 and sum pi after it."""

    free_energy: float
    replaced: float
    noise_variance: float
    active: float


def _look_up(state: TrainingState, sums: EpochSums) -> Figures:
    """Wait for an epoch, once, and fit the shapes of the next one to what came of it."""
    model, variational = state.model, state.variational
    most_ones = count_ones(variational.states, model.latents).max()
    asked = (sums.free_energy, sums.replaced, sums.sampled, most_ones)
    found = torch.stack([*asked, model.noise_variance, model.prior.sum()]).tolist()
    free_energy, replaced, sampled, ones, noise_variance, active = found
    state.places = max(int(ones), 1)
    variational.states = variational.states[..., : state.places]
    state.sampled = SPARE_SAMPLED * sampled / sums.patches
    return Figures(free_energy / sums.patches, replaced / sums.patches, noise_variance, active)


def _finite(free_energy: float, epoch: int) -> float:
    if not math.isfinite(free_energy):
        raise TrainingError(
            f"training diverged in epoch {epoch}: the free energy is {free_energy}; "
            "lower the learning rate"
        )
    return free_energy
