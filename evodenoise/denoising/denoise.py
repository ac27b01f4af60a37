"""From a noisy array to a clean one."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from evodenoise.config.settings import DenoiseConfig, Impulses
from evodenoise.denoising.channels import DistinctChannels, mark_impulses
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.checks import (
    Mask,
    RandomSource,
    as_array,
    as_mask,
    as_stack,
    check_image,
    make_generator,
)
from evodenoise.denoising.denoiser import Fitted, OnShare
from evodenoise.denoising.low_counts import denoise_few_counts
from evodenoise.denoising.preparing import Prepared, prepare
from evodenoise.denoising.result import Array, DenoiseResult, unchanged
from evodenoise.errors import ImageError, ModelError, TrainingError
from evodenoise.noise.estimation import NoiseEstimate
from evodenoise.system.device import resolve_device, synchronise
from evodenoise.system.numbers import round_to
from evodenoise.tvae.schedule import StopReason
from evodenoise.tvae.training import EpochReport

OnEpoch = Callable[[EpochReport], bool | None]


def denoise(
    image: npt.ArrayLike,
    config: DenoiseConfig | str | None = None,
    *,
    missing: npt.ArrayLike | None = None,
    model: Checkpoint | None = None,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
) -> DenoiseResult:
    """Denoise one image by a model trained on that image alone.

    Parameters
    ----------
    image : array-like, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float; C at most 4. It is not modified. Pixels with a nan are
        missing: they are left out of the training and filled with the model's estimate. So are
        impulses, unless the settings say otherwise.
    config : DenoiseConfig or str, optional
        Settings, or the name of a preset; by default ``balanced``, fitted to the image.
    missing : array-like, shape (Y, X), optional
        More missing pixels: those that are not zero.
    model : Checkpoint, optional
        Of a sibling image, `DenoiseResult.model`. It replaces the settings of the model and its
        patches, and is trained further for as many epochs as the settings say, 0 for none.
    rng : torch.Generator, numpy.random.Generator or int, optional
        Source of randomness, or a seed; 0 by default, so that results repeat.
    on_epoch : callable, optional
        Called with each `EpochReport`; if it returns True, training stops there.
    on_reconstruction : callable, optional
        Called with the share of the reconstruction that is done, from 0 to 1.

    Returns
    -------
    DenoiseResult
        The estimate, rounded and clipped for integer images only, and what is known about it.

    Raises
    ------
    ImageError
        If the array is no image, smaller than 4 x 4 pixels, infinite somewhere or missing
        altogether; if the mask is not one of its pixels.
    ConfigError
        If the settings are none or do not fit the image, or the seed is out of range.
    DeviceError
        If the device is not there.
    TrainingError
        If training diverges.

    Notes
    -----
    The method is that of Drefs, Guiraud, Panagiotou, Lücke, "Direct Evolutionary
    Optimization of Variational Autoencoders with Binary Latents" (ECML PKDD 2022): every
    overlapping patch is replaced by its posterior mean, and overlaps are averaged. Beyond
    it, the decoder emits a covariance, and local models refine the estimate.

    Examples
    --------
    >>> import numpy as np
    >>> from evodenoise import DenoiseConfig, denoise
    >>> noisy = np.random.default_rng(0).normal(100.0, 5.0, (32, 32))
    >>> result = denoise(noisy, DenoiseConfig(epochs=2, latents=16, hidden=(16,)))
    >>> result.image.shape
    (32, 32)
    """
    pixels = as_array(image)
    check_image(pixels)
    gaps = as_mask(missing, pixels.shape[:2])
    result = denoise_stack(
        pixels[None],
        config,
        missing=None if gaps is None else gaps[None],
        model=model,
        rng=rng,
        on_epoch=on_epoch,
        on_reconstruction=on_reconstruction,
    )
    return dataclasses.replace(result, image=result.image[0], std=result.std[0])


def denoise_stack(
    stack: npt.ArrayLike,
    config: DenoiseConfig | str | None = None,
    *,
    missing: npt.ArrayLike | None = None,
    model: Checkpoint | None = None,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
) -> DenoiseResult:
    """Denoise the pages of a stack by one model, trained on patches of them all.

    Parameters
    ----------
    stack : array-like, shape (T, Y, X) or (T, Y, X, C)
        Noisy pages.
    missing : array-like, shape (T, Y, X), optional
        Missing pixels, beside those with a nan: those that are not zero.
    config, model, rng, on_epoch, on_reconstruction
        As in `denoise`; the cost of training does not grow with the number of pages.

    Returns
    -------
    DenoiseResult
        Of the stack.

    Raises
    ------
    ImageError, ConfigError, DeviceError, TrainingError
        As in `denoise`.
    """
    noisy, config = as_stack(stack, config)
    gaps = as_mask(missing, noisy.shape[:3])
    _check_model(model)
    generator = make_generator(rng, resolve_device(config.device))

    def once(pages: Array, settings: DenoiseConfig, hidden: Mask | None) -> DenoiseResult:
        return _denoise(pages, settings, hidden, model, generator, on_epoch, on_reconstruction)

    if model is not None:
        return once(noisy, config, gaps)
    result = denoise_few_counts(noisy, config, gaps, once)
    return dataclasses.replace(result, image=_like(result.image, noisy))


def _denoise(
    noisy: Array,
    config: DenoiseConfig,
    gaps: Mask | None,
    model: Checkpoint | None,
    generator: torch.Generator,
    on_epoch: OnEpoch | None,
    on_reconstruction: OnShare | None,
) -> DenoiseResult:
    """Denoise pages as they are."""
    started = time.perf_counter()
    device = str(generator.device)
    pages = _with_channels(noisy)
    channels, impulses = _take_apart(pages, gaps, config)
    if channels.missing.all():
        raise ImageError("every pixel is missing; nothing is left to learn from")
    if channels.constant:
        image = _like(channels.restore(channels.values, pages), noisy)
        noise = NoiseEstimate.none(pages.shape[-1])
        return unchanged(image, noise, device, impulses=impulses)
    deadline = None if config.time_limit is None else started + config.time_limit
    prepared = prepare(channels, config, checkpoint=model, deadline=deadline, generator=generator)
    if not prepared.noise_std and not channels.missing.any():
        return unchanged(noisy.copy(), prepared.noise, device)
    outcome = _run(prepared, model, on_epoch, on_reconstruction)
    image, std = _in_pixels(prepared, channels, pages, outcome)
    grid = prepared.denoiser.sources[0].grid
    return DenoiseResult(
        image=_like(image, noisy),
        std=std.reshape(noisy.shape),
        noise_std=prepared.noise_std,
        noise_estimate=prepared.noise,
        free_energy=prepared.log_density(outcome.free_energy),
        history=outcome.history,
        stop_reason=_stop_reason(outcome.history),
        patch_size=grid.patch_size,
        device=device,
        impulses=impulses,
        model=_keep(prepared, outcome.fitted),
        training_seconds=outcome.trained - started,
        reconstruction_seconds=outcome.rebuilt - outcome.trained,
        refinement_seconds=outcome.refined - outcome.rebuilt,
    )


@dataclass(frozen=True)
class _Outcome:
    """What came of a denoiser: scaled values (T, Y, X, C), nats a patch, and when it was."""

    fitted: Fitted
    history: tuple[EpochReport, ...]
    estimate: Array
    variance: Array
    free_energy: float
    trained: float
    rebuilt: float
    refined: float


def _run(
    prepared: Prepared,
    model: Checkpoint | None,
    on_epoch: OnEpoch | None,
    on_reconstruction: OnShare | None,
) -> _Outcome:
    """Train, rebuild and refine."""
    denoiser = prepared.denoiser
    history, fitted = _train(prepared, model, on_epoch)
    trained = _now(prepared)
    first = list(denoiser.rebuild(fitted, on_reconstruction))
    rebuilt = _now(prepared)
    refined = [
        denoiser.refine(source, page.image)
        for source, page in zip(denoiser.sources, first, strict=True)
    ]
    estimate = torch.stack(refined).cpu().numpy()
    if not np.isfinite(estimate).all():
        raise TrainingError("training diverged in its last steps; lower the learning rate")
    variance = torch.stack([page.variance for page in first]).cpu().numpy()
    free_energy = sum(page.free_energy for page in first) / len(first)
    return _Outcome(
        fitted, history, estimate, variance, free_energy, trained, rebuilt, _now(prepared)
    )


def _in_pixels(
    prepared: Prepared, channels: DistinctChannels, pages: Array, outcome: _Outcome
) -> tuple[Array, Array]:
    """Turn scaled estimates and their variances into pixels and deviations (T, Y, X, C)."""
    values, deviations = prepared.to_pixels(outcome.estimate, outcome.variance)
    image = channels.restore(values, pages)
    std = channels.restore(deviations, np.zeros(pages.shape))
    if not prepared.noise_std:
        seen = ~channels.missing
        image[seen], std[seen] = pages[seen], 0.0
    return image, std.clip(max=np.finfo(np.float32).max).astype(np.float32)


def _now(prepared: Prepared) -> float:
    """Read the clock once all that the device was given is done."""
    synchronise(prepared.denoiser.generator.device)
    return time.perf_counter()


def _check_model(model: Checkpoint | None) -> None:
    if model is not None and not isinstance(model, Checkpoint):
        raise ModelError(f"model is a {type(model).__name__}; give what read_model returns")


def _take_apart(
    pages: Array, gaps: Mask | None, config: DenoiseConfig
) -> tuple[DistinctChannels, int]:
    """Take pages (T, Y, X, C) apart, impulses as missing as gaps; second, how many there are."""
    if config.impulses is Impulses.OFF:
        return DistinctChannels.of(pages, gaps), 0
    impulses = mark_impulses(pages, gaps)
    unknown = impulses if gaps is None else impulses | gaps
    return DistinctChannels.of(pages, unknown), int(impulses.sum())


def _with_channels(stack: Array) -> Array:
    """Give a stack an axis of channels: (T, Y, X, C)."""
    return stack if stack.ndim == 4 else stack[..., None]


def _stop_reason(history: tuple[EpochReport, ...]) -> StopReason:
    """Say why training ended: after none, all of the epochs wanted have been done."""
    if not history:
        return StopReason.EPOCHS
    return history[-1].stop_reason or StopReason.STOPPED


def train_model(
    stack: npt.ArrayLike,
    config: DenoiseConfig | str | None = None,
    *,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
) -> Checkpoint:
    """Train one model on patches of all pages of a stack, and denoise none of them.

    Parameters
    ----------
    stack : array-like, shape (T, Y, X) or (T, Y, X, C)
        Noisy pages.
    config, rng, on_epoch
        As in `denoise`.

    Returns
    -------
    Checkpoint
        For `denoise` and images of that kind.

    Raises
    ------
    ImageError, ConfigError, DeviceError, TrainingError
        As in `denoise`; ImageError too if all pages are constant.
    """
    pages, config = as_stack(stack, config)
    generator = make_generator(rng, resolve_device(config.device))
    channels, _ = _take_apart(_with_channels(pages), None, config)
    if channels.constant:
        raise ImageError("the images are constant; there is nothing to learn from")
    prepared = prepare(channels, config, generator=generator)
    _, fitted = _train(prepared, None, on_epoch)
    return _keep(prepared, fitted)


def _keep(prepared: Prepared, fitted: Fitted) -> Checkpoint:
    """Take down what was learned."""
    grid = prepared.denoiser.sources[0].grid
    return Checkpoint.of(fitted.model, fitted.codebook, grid, prepared.scaling, prepared.levelling)


def _train(
    prepared: Prepared, checkpoint: Checkpoint | None, on_epoch: OnEpoch | None
) -> tuple[tuple[EpochReport, ...], Fitted]:
    """Train until the end, or until the caller has seen enough; report in pixel units."""
    history: list[EpochReport] = []

    def note(report: EpochReport) -> bool:
        history.append(
            dataclasses.replace(
                report,
                noise_std=report.noise_std * prepared.scaling.std * prepared.unit,
                free_energy=prepared.log_density(report.free_energy),
            )
        )
        return on_epoch is not None and bool(on_epoch(history[-1]))

    fitted = prepared.denoiser.train(checkpoint, note)
    return tuple(history), fitted


def _like(estimate: Array, image: Array) -> Array:
    """Give an estimate the shape and dtype of the input; only integers are rounded and clipped."""
    shaped = estimate.reshape(image.shape)
    if image.dtype.kind in "ui":
        return round_to(shaped, image.dtype)
    return shaped.astype(image.dtype)
