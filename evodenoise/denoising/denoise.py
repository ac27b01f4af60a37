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

from evodenoise.config.presets import DEFAULT_PRESET, default_patch_size, preset_config
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.checks import RandomSource, check_finite, check_image, make_generator
from evodenoise.denoising.denoiser import Fitted, OnShare
from evodenoise.denoising.preparing import Prepared, prepare
from evodenoise.errors import ImageError, TrainingError
from evodenoise.noise.estimation import NoiseEstimate
from evodenoise.system.device import resolve_device
from evodenoise.system.numbers import round_to
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
    model : Checkpoint or None
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
    model: Checkpoint | None = None
    training_seconds: float = 0.0
    reconstruction_seconds: float = 0.0
    refinement_seconds: float = 0.0


def denoise(
    image: Array,
    config: DenoiseConfig | None = None,
    *,
    missing: Array | None = None,
    model: Checkpoint | None = None,
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
    model: Checkpoint | None = None,
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
    channels = DistinctChannels.of(pages, missing)
    if channels.missing.all():
        raise ImageError("every pixel is missing; nothing is left to learn from")
    if channels.constant:
        image = _like(channels.restore(channels.values, pages), stack)
        return _constant(image, pages.shape[-1], device)
    deadline = None if config.time_limit is None else started + config.time_limit
    prepared = prepare(channels, config, checkpoint=model, deadline=deadline, generator=generator)
    denoiser, scaling = prepared.denoiser, prepared.scaling
    history, fitted = _train(prepared, model, on_epoch)
    trained = time.perf_counter()
    first = list(denoiser.rebuild(fitted, on_reconstruction))
    rebuilt = time.perf_counter()
    refined = [
        denoiser.refine(source, page.image)
        for source, page in zip(denoiser.sources, first, strict=True)
    ]
    estimate = torch.stack(refined).cpu().numpy()
    if not np.isfinite(estimate).all():
        raise TrainingError("training diverged in its last steps; lower the learning rate")
    variance = torch.stack([page.variance for page in first]).cpu().numpy()
    std = channels.restore(scaling.undo_std(variance), np.zeros(pages.shape))
    grid, last = denoiser.sources[0].grid, history[-1] if history else None
    return DenoiseResult(
        image=_like(channels.restore(scaling.undo(estimate), pages), stack),
        std=std.reshape(stack.shape).clip(max=np.finfo(np.float32).max).astype(np.float32),
        noise_std=prepared.noise_std or (last.noise_std if last else 0.0),
        noise_estimate=prepared.noise,
        free_energy=scaling.log_density(
            sum(page.free_energy for page in first) / len(first), grid.pixels
        ),
        history=history,
        stop_reason=_stop_reason(last),
        patch_size=grid.patch_size,
        device=str(device),
        model=Checkpoint.of(fitted.model, fitted.codebook, grid, scaling),
        training_seconds=trained - started,
        reconstruction_seconds=rebuilt - trained,
        refinement_seconds=time.perf_counter() - rebuilt,
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
) -> Checkpoint:
    """Train one model on patches of all pages of a stack, and denoise none of them.

    Parameters
    ----------
    stack : ndarray, shape (T, Y, X) or (T, Y, X, C)
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
    config = _check_stack(stack, config)
    generator = make_generator(rng, resolve_device(config.device))
    channels = DistinctChannels.of(stack if stack.ndim == 4 else stack[..., None])
    if channels.constant:
        raise ImageError("the images are constant; there is nothing to learn from")
    prepared = prepare(channels, config, generator=generator)
    _, fitted = _train(prepared, None, on_epoch)
    grid = prepared.denoiser.sources[0].grid
    return Checkpoint.of(fitted.model, fitted.codebook, grid, prepared.scaling)


def _train(
    prepared: Prepared, checkpoint: Checkpoint | None, on_epoch: OnEpoch | None
) -> tuple[tuple[EpochReport, ...], Fitted]:
    """Train until the end, or until the caller has seen enough; report in pixel units."""
    scaling, values = prepared.scaling, prepared.denoiser.sources[0].grid.pixels
    history: list[EpochReport] = []

    def note(report: EpochReport) -> bool:
        history.append(
            dataclasses.replace(
                report,
                noise_std=report.noise_std * scaling.std,
                free_energy=scaling.log_density(report.free_energy, values),
            )
        )
        return on_epoch is not None and bool(on_epoch(history[-1]))

    fitted = prepared.denoiser.train(checkpoint, note)
    return tuple(history), fitted


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
        return round_to(shaped, image.dtype)
    return shaped.astype(image.dtype)
