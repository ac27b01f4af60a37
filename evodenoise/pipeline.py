"""From a noisy array to a clean one."""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evodenoise.checks import RandomSource, check_finite, check_image, make_generator
from evodenoise.config import DenoiseConfig
from evodenoise.device import resolve_device
from evodenoise.errors import ImageError, TrainingError
from evodenoise.frames import Frames
from evodenoise.noise import NoiseEstimate
from evodenoise.presets import DEFAULT_PRESET, default_patch_size, preset_config
from evodenoise.session import OnShare
from evodenoise.task import Task
from evodenoise.trained import TrainedModel
from evodenoise.tvae.schedule import StopReason
from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[Any]
OnEpoch = Callable[[EpochReport], bool | None]


@dataclass(frozen=True)
class DenoiseResult:
    """A denoised image and how it came about.

    Attributes
    ----------
    image : ndarray
        The estimate, of the input's shape and dtype.
    std : ndarray of float32, of the same shape
        Predicted standard deviation of the error of the first estimate, in pixel units; zeros
        where no covariance was learned.
    noise_std : float
        Noise level used, in pixel units: given, estimated, or learned if neither.
    noise_estimate : NoiseEstimate
        What the image itself says about its noise.
    free_energy : float
        Mean over all patches, in nats per patch of pixel values; nan for a constant image.
    history : tuple of EpochReport
        One report an epoch.
    stop_reason : StopReason
        Why training ended.
    patch_size : int
        Side of the patches, in pixels.
    device : str
        Where it was computed.
    model : TrainedModel or None
        What was learned; None for a constant image.
    training_seconds, reconstruction_seconds, refinement_seconds : float
        Wall time of the three parts.
    """

    image: Array
    std: Array
    noise_std: float
    noise_estimate: NoiseEstimate
    free_energy: float
    history: tuple[EpochReport, ...]
    stop_reason: StopReason
    patch_size: int
    device: str
    model: TrainedModel | None = None
    training_seconds: float = 0.0
    reconstruction_seconds: float = 0.0
    refinement_seconds: float = 0.0


def denoise(
    image: Array,
    config: DenoiseConfig | None = None,
    *,
    missing: Array | None = None,
    model: TrainedModel | None = None,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
) -> DenoiseResult:
    """Denoise one image by a model trained on that image alone.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float; C at most 4. It is not modified. Pixels with a nan are
        missing: they are left out of the training and filled with the model's estimate.
    config : DenoiseConfig, optional
        Settings; by default the preset ``balanced``, fitted to the image.
    missing : ndarray of bool, shape (Y, X), optional
        More missing pixels.
    model : TrainedModel, optional
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
        altogether.
    ConfigError
        If the patch size does not fit the image, or the seed is out of range.
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
    check_image(image, config)
    result = denoise_stack(
        image[None],
        config,
        missing=None if missing is None else missing[None],
        model=model,
        rng=rng,
        on_epoch=on_epoch,
        on_reconstruction=on_reconstruction,
    )
    return dataclasses.replace(result, image=result.image[0], std=result.std[0])


def denoise_stack(
    stack: Array,
    config: DenoiseConfig | None = None,
    *,
    missing: Array | None = None,
    model: TrainedModel | None = None,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
) -> DenoiseResult:
    """Denoise the pages of a stack by one model, trained on patches of them all.

    Parameters
    ----------
    stack : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Noisy pages.
    missing : ndarray of bool, shape (T, Y, X), optional
        Missing pixels, beside those with a nan.
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
    started = time.perf_counter()
    config = _check_stack(stack, config)
    device = resolve_device(config.device)
    generator = make_generator(rng, device)
    pages = stack if stack.ndim == 4 else stack[..., None]  # (T, Y, X, C)
    frames = Frames.of(pages, missing)
    if frames.missing.all():
        raise ImageError("every pixel is missing; nothing is left to learn from")
    if frames.constant:
        image = _like(frames.restore(frames.values, pages), stack)
        return _constant(image, pages.shape[-1], device)
    deadline = None if config.time_limit is None else started + config.time_limit
    task = Task.of(frames, config, model=model, deadline=deadline, generator=generator)
    outcome = _run(task, on_epoch, on_reconstruction)
    std = frames.restore(task.scaling.undo_std(outcome.variance), np.zeros(pages.shape))
    last = outcome.history[-1] if outcome.history else None
    return DenoiseResult(
        image=_like(frames.restore(task.scaling.undo(outcome.estimate), pages), stack),
        std=std.reshape(stack.shape).clip(max=np.finfo(np.float32).max).astype(np.float32),
        noise_std=task.noise_std or (last.noise_std if last else 0.0),
        noise_estimate=task.noise,
        free_energy=outcome.free_energy,
        history=outcome.history,
        stop_reason=_stop_reason(last),
        patch_size=task.session.scenes[0].grid.patch_size,
        device=str(device),
        model=task.keep(),
        training_seconds=outcome.trained - started,
        reconstruction_seconds=outcome.rebuilt - outcome.trained,
        refinement_seconds=time.perf_counter() - outcome.rebuilt,
    )


def _check_stack(stack: Array, config: DenoiseConfig | None) -> DenoiseConfig:
    """Refuse what is no stack of images; return the settings, by default those for its pages."""
    if stack.ndim < 3 or not len(stack):
        raise ImageError(f"shape {stack.shape} is not a stack (T, Y, X) or (T, Y, X, C)")
    check_image(stack[0], config)
    check_finite(stack, name="stack")
    return config or preset_config(DEFAULT_PRESET, stack.shape[1:])


def _stop_reason(last: EpochReport | None) -> StopReason:
    """Say why training ended: after none, all of the epochs wanted have been done."""
    if last is None:
        return StopReason.EPOCHS
    return last.stop_reason or StopReason.STOPPED


def train_model(
    stack: Array,
    config: DenoiseConfig | None = None,
    *,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
) -> TrainedModel:
    """Train one model on patches of all pages of a stack, and denoise none of them.

    Parameters
    ----------
    stack : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Noisy pages.
    config, rng, on_epoch
        As in `denoise`.

    Returns
    -------
    TrainedModel
        For `denoise` and images of that kind.

    Raises
    ------
    ImageError, ConfigError, DeviceError, TrainingError
        As in `denoise`; ImageError too if all pages are constant.
    """
    config = _check_stack(stack, config)
    generator = make_generator(rng, resolve_device(config.device))
    frames = Frames.of(stack if stack.ndim == 4 else stack[..., None])
    if frames.constant:
        raise ImageError("the images are constant; there is nothing to learn from")
    task = Task.of(frames, config, generator=generator)
    _train(task, on_epoch)
    return task.keep()


@dataclass(frozen=True)
class _Outcome:
    """What came of a session: scaled estimates and variances (T, Y, X, C), and when it was."""

    estimate: Array
    variance: Array
    free_energy: float
    history: tuple[EpochReport, ...]
    trained: float
    rebuilt: float


def _run(
    task: Task,
    on_epoch: OnEpoch | None,
    on_reconstruction: OnShare | None,
) -> _Outcome:
    """Train, rebuild and refine."""
    session, values = task.session, task.session.scenes[0].grid.pixels
    history = _train(task, on_epoch)
    trained = time.perf_counter()
    first = list(session.rebuild(on_reconstruction))
    rebuilt = time.perf_counter()
    refined = [
        session.refine(scene, page.image) for scene, page in zip(session.scenes, first, strict=True)
    ]
    estimate = torch.stack(refined).cpu().numpy()
    if not np.isfinite(estimate).all():
        raise TrainingError("training diverged in its last steps; lower the learning rate")
    return _Outcome(
        estimate,
        torch.stack([page.variance for page in first]).cpu().numpy(),
        task.scaling.log_density(sum(page.free_energy for page in first) / len(first), values),
        tuple(history),
        trained,
        rebuilt,
    )


def _train(task: Task, on_epoch: OnEpoch | None) -> list[EpochReport]:
    """Train until the end, or until the caller has seen enough."""
    values = task.session.scenes[0].grid.pixels
    history: list[EpochReport] = []
    for report in task.session.train():
        history.append(task.scaling.in_pixel_units(report, values))
        if on_epoch is not None and on_epoch(history[-1]):
            break
    return history


def _constant(image: Array, channels: int, device: torch.device) -> DenoiseResult:
    """Return a constant image as it is: there is nothing to learn and nothing to remove."""
    return DenoiseResult(
        image=image,
        std=np.zeros(image.shape, np.float32),
        noise_std=0.0,
        noise_estimate=NoiseEstimate.none(channels),
        free_energy=math.nan,
        history=(),
        stop_reason=StopReason.CONVERGED,
        patch_size=default_patch_size(0.0, image.shape[1:]),
        device=str(device),
    )


def _like(estimate: Array, image: Array) -> Array:
    """Give an estimate the shape and dtype of the input; only integers are rounded and clipped."""
    shaped = estimate.reshape(image.shape)
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        shaped = shaped.round().clip(limits.min, limits.max)
    return shaped.astype(image.dtype)
