"""Channels made clean: noise levelled, coarser scales first, then the model, then back.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.coarse_scales import Finest, remove_coarse
from evodenoise.denoising.denoiser import Fitted
from evodenoise.denoising.judgement import judge
from evodenoise.denoising.levelling import Levelled, choose_levelling
from evodenoise.denoising.pace import estimate_of, share_of_part
from evodenoise.denoising.preparing import Prepared, prepare
from evodenoise.denoising.tools import Tools
from evodenoise.errors import ConfigError, TrainingError
from evodenoise.noise.record import NoiseEstimate
from evodenoise.system.device import synchronise
from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Channels without noise, and how that came about.

    Attributes
    ----------
    values, std : ndarray of float64, shape (T, Y, X, C)
        Estimate, and standard deviation of its error, in pixel units.
    noise : NoiseEstimate
        What is known of the noise.
    noise_std : float
        Level that was used, in pixel units; 0: nothing but gaps was estimated.
    free_energy : float
        Mean over all patches, in nats per patch of pixel values.
    structured : float
        Share of the windows whose residual is not white; nan: the noise is not either.
    history : tuple of EpochReport
        Of the finest scale.
    patch_size : int or None
        Side of the patches, in pixels; None: there were none.
    model : Checkpoint or None
        What was learned.
    training_seconds, reconstruction_seconds, refinement_seconds : float
        Wall time of the parts; coarser scales count as training.
    """

    values: Array
    std: Array
    noise: NoiseEstimate
    noise_std: float = 0.0
    free_energy: float = math.nan
    structured: float = math.nan
    history: tuple[EpochReport, ...] = ()
    patch_size: int | None = None
    model: Checkpoint | None = None
    training_seconds: float = 0.0
    reconstruction_seconds: float = 0.0
    refinement_seconds: float = 0.0

    @classmethod
    def unchanged(cls, values: Array, noise: NoiseEstimate) -> "Cleaned":
        """Return values without noise: there is nothing to remove and nothing to learn."""
        return cls(values, np.zeros(values.shape), noise)


@dataclass(frozen=True, eq=False)
class Ready:
    """Channels that are ready for the model, and the way back to pixels.

    Attributes
    ----------
    levelled : Levelled
        Their values, with noise of one level.
    finest : Finest
        What is left of it once coarser scales are done.
    prepared : Prepared
        The rest, as the model takes it.
    noise : NoiseEstimate
        Of the pixels.
    """

    levelled: Levelled
    finest: Finest
    prepared: Prepared
    noise: NoiseEstimate

    @classmethod
    def of(
        cls, channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate, tools: Tools
    ) -> "Ready":
        """Level the noise, remove its coarse part, and scale what is left.

        Raises
        ------
        ImageError
            If the model that is brought is not for images like this.
        ConfigError
            If nothing would ever be trained, or what is told of the noise cannot be right.
        """
        deadline = None if config.time_limit is None else time.perf_counter() + config.time_limit
        model = tools.model
        if model is not None:
            model.check_fits(channels.values.shape[-1], channels.values.shape[1:3])
            model.check_noise(config)
            levelling, config = model.levelling, model.configure(config)
            noise = replace(noise, spectrum=model.spectrum)
        else:
            levelling = choose_levelling(channels, config, noise)
            if not config.epochs:
                raise ConfigError("0 epochs leave the model untrained; ask for at least one")
        levelled = Levelled.of(channels, noise, levelling, brought=model is not None)
        if levelling is not None:
            config = replace(config, noise_std=None)
        finest = remove_coarse(
            levelled.channels,
            config,
            levelled.noise,
            partial(_estimate, tools=tools),
            model=model,
        )
        prepared = prepare(
            finest.channels,
            config,
            finest.noise,
            checkpoint=model,
            deadline=deadline,
            patches=tools.patches,
            generator=tools.generator,
        )
        return cls(levelled, finest, prepared, noise)

    @property
    def level(self) -> float:
        """The noise level that is used, in pixel units."""
        return self.prepared.noise_std / self.finest.share * self.levelled.unit

    def log_density(self, nats: float) -> float:
        """Turn the log-density of a patch into that of one of pixel values."""
        pixels = self.prepared.denoiser.sources[0].grid.pixels
        return self.prepared.log_density(nats) + pixels * self.levelled.log_slope

    def estimate(self, pages: Iterable[Tensor]) -> Array:
        """Turn what a denoiser says of its images (Y, X, C) into pixels (T, Y, X, C)."""
        values = self.prepared.scaling.undo(torch.stack([*pages]).cpu().numpy())
        levelling = self.levelled.levelling
        return values if levelling is None else levelling.undo(values)

    def keep(self, fitted: Fitted) -> Checkpoint:
        """Take down what was learned."""
        return Checkpoint.of(
            fitted.model,
            fitted.codebook,
            self.prepared.denoiser.sources[0].grid,
            self.prepared.scaling,
            self.levelled.levelling,
            self.levelled.noise.spectrum,
            self.finest.coarser,
        )

    def train(self, tools: Tools) -> tuple[tuple[EpochReport, ...], Fitted]:
        """Train until the end, or until the caller has seen enough; report in pixel units."""
        history: list[EpochReport] = []
        unit = self.prepared.scaling.std * self.levelled.unit / self.finest.share

        def note(report: EpochReport) -> bool:
            history.append(
                replace(
                    report,
                    noise_std=report.noise_std * unit,
                    free_energy=self.log_density(report.free_energy),
                    scale=tools.scale,
                )
            )
            return tools.on_epoch is not None and bool(tools.on_epoch(history[-1]))

        told = estimate_of(tools.on_estimate, self.estimate)
        fitted = self.prepared.denoiser.train(tools.model, note, told)
        return tuple(history), fitted


def clean(
    channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate, tools: Tools
) -> Cleaned:
    """Denoise channels.

    Parameters
    ----------
    channels : DistinctChannels
        Values that are not constant.
    config : DenoiseConfig
        Settings.
    noise : NoiseEstimate
        What is known of the noise.
    tools : Tools
        Randomness, a model to start from, and whom to tell.

    Returns
    -------
    Cleaned
        The estimate and what is known about it; without noise and gaps, the values as they are.

    Raises
    ------
    ImageError, ConfigError, TrainingError
        If the model is not for images like this, the settings do not fit them, or training
        diverges.
    """
    started = time.perf_counter()
    ready = Ready.of(channels, config, noise, tools)
    if not ready.level and not channels.missing.any():
        return Cleaned.unchanged(channels.values, noise)
    outcome = _run(ready, tools)
    std = ready.finest.with_coarser(outcome.std)
    values, std = ready.levelled.to_pixels(outcome.values, std)
    if not ready.level:
        seen = ~channels.missing
        values[seen], std[seen] = channels.values[seen], 0.0
    return Cleaned(
        values=values,
        std=std,
        noise=noise,
        noise_std=ready.level,
        free_energy=ready.log_density(outcome.free_energy),
        structured=outcome.structured,
        history=outcome.history,
        patch_size=ready.prepared.denoiser.sources[0].grid.patch_size,
        model=ready.keep(outcome.fitted),
        training_seconds=outcome.trained - started,
        reconstruction_seconds=outcome.rebuilt - outcome.trained,
        refinement_seconds=outcome.refined - outcome.rebuilt,
    )


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned from images, none of which has been denoised.

    Attributes
    ----------
    model : Checkpoint
        The model.
    noise_std : float
        Noise level that was used, in pixel units; 0: there is none.
    history : tuple of EpochReport
        Of the finest scale.
    """

    model: Checkpoint
    noise_std: float
    history: tuple[EpochReport, ...]


def learn(
    channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate, tools: Tools
) -> Learned:
    """Train a model on channels, as `clean` does, and leave them as they are.

    Raises
    ------
    ImageError, ConfigError, TrainingError
        As there.
    """
    ready = Ready.of(channels, config, noise, tools)
    history, fitted = ready.train(tools)
    return Learned(ready.keep(fitted), ready.level, history)


def _estimate(
    finest: Finest, config: DenoiseConfig, model: Checkpoint | None, tools: Tools
) -> tuple[Array, Array, Checkpoint]:
    """Estimate values (T, Y, X, C) whose noise has one level, by a model of their scale."""
    started = time.perf_counter()
    deadline = None if config.time_limit is None else started + config.time_limit
    prepared = prepare(
        finest.channels,
        config if model is None else model.configure(config),
        finest.noise,
        checkpoint=model,
        deadline=deadline,
        generator=tools.generator,
    )
    ready = Ready(Levelled(finest.channels, finest.noise, None), finest, prepared, finest.noise)
    own = replace(tools.at_half(model), scale=tools.scale + finest.scale)
    outcome = _run(ready, own)
    return outcome.values, finest.with_coarser(outcome.std), ready.keep(outcome.fitted)


@dataclass(frozen=True)
class _Outcome:
    """What came of a denoiser, as `Cleaned` has it, and when."""

    fitted: Fitted
    history: tuple[EpochReport, ...]
    values: Array
    std: Array
    free_energy: float
    structured: float
    trained: float
    rebuilt: float
    refined: float


def _run(ready: Ready, tools: Tools) -> _Outcome:
    """Train, rebuild and refine."""
    prepared = ready.prepared
    denoiser, scaling = prepared.denoiser, prepared.scaling
    history, fitted = ready.train(tools)
    trained = _now(denoiser.generator)
    if tools.on_reconstruction is not None:
        tools.on_reconstruction(0.0)
    first = list(denoiser.rebuild(fitted, tools.on_reconstruction))
    if tools.on_estimate is not None:
        tools.on_estimate(lambda: ready.estimate(page.image for page in first))
    rebuilt = _now(denoiser.generator)
    refined, judged = [], []
    for place, (source, page) in enumerate(zip(denoiser.sources, first, strict=True)):
        on_share = share_of_part(tools.on_refinement, place, len(first))
        if on_share is not None:
            on_share(0.0)
        refined.append(denoiser.refine(source, page.image, on_share))
        judged.append(judge(denoiser, source, fitted, page, refined[-1]))
        if on_share is not None:
            synchronise(denoiser.generator.device)
            on_share(1.0)
    estimate = torch.stack(refined).cpu().numpy()
    if not np.isfinite(estimate).all():
        raise TrainingError("training diverged in its last steps; lower the learning rate")
    variance = torch.stack([each.variance for each in judged]).cpu().numpy()
    return _Outcome(
        fitted,
        history,
        scaling.undo(estimate),
        scaling.undo_std(variance),
        sum(page.free_energy for page in first) / len(first),
        sum(each.structured for each in judged) / len(judged),
        trained,
        rebuilt,
        _now(denoiser.generator),
    )


def _now(generator: torch.Generator) -> float:
    """Read the clock once all that the device was given is done."""
    synchronise(generator.device)
    return time.perf_counter()
