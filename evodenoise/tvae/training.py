"""Training: E-steps and M-steps over mini-batches, one report an epoch."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from evodenoise.config import DenoiseConfig, LearningRateConfig, Schedule
from evodenoise.errors import TrainingError
from evodenoise.tvae.evolution import evolve
from evodenoise.tvae.model import (
    BinaryLatentVAE,
    expected_ones,
    posterior_mean,
    posterior_weights,
    truncated_free_energy,
)
from evodenoise.tvae.states import VariationalStates, hash_keys


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did.

    Attributes
    ----------
    epoch, epochs : int
        This epoch, counted from 1, and how many there will be.
    free_energy : float
        Mean over the patches, in nats per patch.
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
    """

    epoch: int
    epochs: int
    free_energy: float
    noise_std: float
    active_latents: float
    replaced: float
    learning_rate: float
    seconds: float


class EpochStatistics:
    """Sums over the patches of an epoch, from which the closed-form updates follow."""

    def __init__(self, latents: int, device: torch.device) -> None:
        self.patches = 0
        self.expected_ones = torch.zeros(latents, device=device)
        self.squared_error = torch.zeros((), device=device)
        self.free_energy = torch.zeros((), device=device, dtype=torch.float32)
        self.replaced = torch.zeros((), device=device, dtype=torch.int64)


def learning_rate(config: LearningRateConfig, progress: float, epochs: int) -> float:
    """Compute Adam's learning rate at a point of the run.

    Parameters
    ----------
    config : LearningRateConfig
        Schedule and bounds.
    progress : float
        Epochs done, with a fraction for the mini-batches of the present one.
    epochs : int
        Length of the run.

    Returns
    -------
    float
        The rate.
    """
    low, high = config.minimum, config.maximum
    if config.schedule is Schedule.CYCLIC:
        phase = progress % config.period / config.period
        return low + (high - low) * (1 - abs(2 * phase - 1))
    # A short run gives at most a quarter of its length to the warm-up.
    warm_up = min(config.warm_up, epochs / 4)
    if progress < warm_up:
        return low + (high - low) * progress / warm_up
    done = (progress - warm_up) / (epochs - warm_up)
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


@torch.no_grad()
def e_step(
    model: BinaryLatentVAE,
    patches: Tensor,
    current: VariationalStates,
    config: DenoiseConfig,
    *,
    keys: Tensor,
    generator: torch.Generator,
) -> tuple[VariationalStates, Tensor]:
    """Re-evaluate and evolve the states of a mini-batch.

    Parameters
    ----------
    model : BinaryLatentVAE
        Evaluates the states.
    patches : Tensor, shape (B, D)
        The mini-batch.
    current : VariationalStates, (B, S)
        Its states; their log-joints may be out of date.
    config : DenoiseConfig
        Its `evolution`.
    keys : Tensor
        As made by `hash_keys`.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    VariationalStates, (B, S)
        The best states found.
    Tensor of int64, shape (B,)
        How often a state of a patch was replaced.
    """

    def log_joint(states: Tensor) -> Tensor:
        return model.log_joint(patches, states)

    return evolve(
        VariationalStates(current.states, log_joint(current.states)),
        log_joint,
        config.evolution,
        latents=model.latents,
        active=model.active,
        keys=keys,
        generator=generator,
    )


def m_step(
    model: BinaryLatentVAE,
    optimizer: torch.optim.Optimizer,
    patches: Tensor,
    current: VariationalStates,
    statistics: EpochStatistics,
) -> None:
    """Take one gradient step on the decoder and add up what the closed-form updates need.

    The gradient of the free energy with respect to the weights is that of the
    posterior-weighted log-joint with the posterior weights held fixed.

    Parameters
    ----------
    model : BinaryLatentVAE
        Its decoder is changed.
    optimizer : torch.optim.Optimizer
        Over the decoder's parameters.
    patches : Tensor, shape (B, D)
        The mini-batch.
    current : VariationalStates, (B, S)
        Its states, evaluated at the present parameters.
    statistics : EpochStatistics
        Changed in place.
    """
    weights = posterior_weights(current.log_joints)
    expected_error = (weights * model.squared_errors(patches, current.states)).sum()
    loss = expected_error / (2 * model.noise_variance * len(patches))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    statistics.patches += len(patches)
    statistics.squared_error += expected_error.detach()
    statistics.expected_ones += expected_ones(weights, current.states, model.latents)
    statistics.free_energy += truncated_free_energy(current.log_joints).sum()


def fit(
    patches: Tensor,
    model: BinaryLatentVAE,
    variational: VariationalStates,
    config: DenoiseConfig,
    *,
    generator: torch.Generator,
) -> Iterator[EpochReport]:
    """Train a model and the states of its patches, in place.

    Parameters
    ----------
    patches : Tensor, shape (N, D)
        Centred and scaled patches.
    model : BinaryLatentVAE
        The model.
    variational : VariationalStates, (N, S)
        The states of the patches.
    config : DenoiseConfig
        Epochs, batch size, evolution, learning rate.
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
    keys = hash_keys(model.latents, generator=generator)
    optimizer = torch.optim.Adam(model.decoder.parameters(), lr=config.learning_rate.minimum)
    for epoch in range(config.epochs):
        start = time.perf_counter()
        statistics = EpochStatistics(model.latents, patches.device)
        order = torch.randperm(len(patches), generator=generator, device=patches.device)
        for chosen in order.split(config.batch_size):
            progress = epoch + statistics.patches / len(patches)
            rate = learning_rate(config.learning_rate, progress, config.epochs)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = patches[chosen]
            current, replaced = e_step(
                model, batch, variational.take(chosen), config, keys=keys, generator=generator
            )
            m_step(model, optimizer, batch, current, statistics)
            statistics.replaced += replaced.sum()
            variational.put(chosen, current, model.latents)
        model.update_prior(statistics.expected_ones, statistics.patches)
        model.update_noise_variance(statistics.squared_error, statistics.patches)
        yield _report(model, statistics, epoch, config.epochs, rate, time.perf_counter() - start)


def _report(
    model: BinaryLatentVAE,
    statistics: EpochStatistics,
    epoch: int,
    epochs: int,
    rate: float,
    seconds: float,
) -> EpochReport:
    free_energy = float(statistics.free_energy) / statistics.patches
    if not math.isfinite(free_energy):
        raise TrainingError(
            f"training diverged in epoch {epoch + 1}: the free energy is {free_energy}; "
            "lower the learning rate"
        )
    return EpochReport(
        epoch=epoch + 1,
        epochs=epochs,
        free_energy=free_energy,
        noise_std=math.sqrt(float(model.noise_variance)),
        active_latents=model.active,
        replaced=float(statistics.replaced) / statistics.patches,
        learning_rate=rate,
        seconds=seconds,
    )


@torch.no_grad()
def reconstruct(
    patches: Tensor, model: BinaryLatentVAE, variational: VariationalStates, batch_size: int
) -> Tensor:
    """Estimate the clean patches: E_q[mu(z)] under the truncated posteriors.

    Parameters
    ----------
    patches : Tensor, shape (N, D)
        Noisy patches.
    model : BinaryLatentVAE
        The trained model.
    variational : VariationalStates, (N, S)
        Their states.
    batch_size : int
        Patches handled at once.

    Returns
    -------
    Tensor, shape (N, D)
        Estimates.
    """
    estimates = torch.empty_like(patches)
    for chosen in torch.arange(len(patches), device=patches.device).split(batch_size):
        states = variational.states[chosen]
        means = model.decoder(states)
        squared_errors = (means - patches[chosen][:, None]).square().sum(-1)
        log_joints = model.log_prior(states) + model.log_likelihood(squared_errors)
        estimates[chosen] = posterior_mean(posterior_weights(log_joints), means)
    return estimates
