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

from evodenoise.config import MINIMUM_PATCH_SIZE, DenoiseConfig
from evodenoise.device import resolve_device
from evodenoise.errors import ConfigError, ImageError, TrainingError
from evodenoise.frames import Frames
from evodenoise.noise import NoiseEstimate, estimate_noise, mean_estimate
from evodenoise.presets import DEFAULT_PRESET, default_patch_size, preset_config
from evodenoise.scaling import Scaling
from evodenoise.scene import Scene
from evodenoise.session import OnShare, Session, noise_to_signal
from evodenoise.tvae.schedule import StopReason
from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[Any]
OnEpoch = Callable[[EpochReport], bool | None]

MOST_NOISE = 0.99
"""Share of the image's variance that the noise can have; beyond it the level must be wrong."""


MOST_READ_PAGES = 8
"""Pages of a stack whose noise is estimated."""


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
    training_seconds: float = 0.0
    reconstruction_seconds: float = 0.0
    refinement_seconds: float = 0.0


def denoise(
    image: Array,
    config: DenoiseConfig | None = None,
    *,
    missing: Array | None = None,
    rng: torch.Generator | np.random.Generator | int | None = None,
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
    rng: torch.Generator | np.random.Generator | int | None = None,
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
    config, rng, on_epoch, on_reconstruction
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
    if stack.ndim < 3 or not len(stack):
        raise ImageError(f"shape {stack.shape} is not a stack (T, Y, X) or (T, Y, X, C)")
    check_image(stack[0], config)
    check_finite(stack, name="stack")
    config = config or preset_config(DEFAULT_PRESET, stack.shape[1:])
    device = resolve_device(config.device)
    generator = _generator(rng, device)
    pages = stack if stack.ndim == 4 else stack[..., None]  # (T, Y, X, C)
    frames = Frames.of(pages, missing)
    if frames.missing.all():
        raise ImageError("every pixel is missing; nothing is left to learn from")
    if frames.constant:
        image = _like(frames.restore(frames.values, pages), stack)
        return _constant(image, pages.shape[-1], device)
    noise = _noise_of(frames)
    scaling = Scaling.of(frames.values[~frames.missing], noise)
    noise_std = noise.std if config.noise_std is None else config.noise_std
    noise_variance = min((noise_std / scaling.std) ** 2, MOST_NOISE)
    session = Session(
        _scenes(frames, scaling, config.patch_size, noise_variance, device),
        config,
        noise_variance=noise_variance,
        deadline=None if config.time_limit is None else started + config.time_limit,
        generator=generator,
    )
    outcome = _run(session, scaling, on_epoch, on_reconstruction)
    estimate = scaling.undo(outcome.estimate)
    std = frames.restore(scaling.undo_std(outcome.variance), np.zeros(pages.shape))
    return DenoiseResult(
        image=_like(frames.restore(estimate, pages), stack),
        std=std.reshape(stack.shape).astype(np.float32),
        noise_std=noise_std or outcome.history[-1].noise_std,
        noise_estimate=noise,
        free_energy=outcome.free_energy,
        history=outcome.history,
        stop_reason=outcome.history[-1].stop_reason or StopReason.STOPPED,
        patch_size=session.scenes[0].grid.patch_size,
        device=str(device),
        training_seconds=outcome.trained - started,
        reconstruction_seconds=outcome.rebuilt - outcome.trained,
        refinement_seconds=time.perf_counter() - outcome.rebuilt,
    )


def _noise_of(frames: Frames) -> NoiseEstimate:
    """Estimate the noise of some pages, evenly spaced."""
    count = len(frames.values)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_READ_PAGES)).round().astype(int))
    return mean_estimate(
        [estimate_noise(frames.values[page], missing=frames.missing[page]) for page in chosen]
    )


def _scenes(
    frames: Frames,
    scaling: Scaling,
    patch_size: int | None,
    noise_variance: float,
    device: torch.device,
) -> list[Scene]:
    """Make a scene of each page, with patches as the noise demands."""
    shape = frames.values.shape[1:]
    side = patch_size or default_patch_size(noise_to_signal(noise_variance), shape)
    return [
        Scene(
            torch.from_numpy(scaling.apply(page)).to(device),
            side,
            torch.from_numpy(gaps).to(device),
        )
        for page, gaps in zip(frames.values, frames.missing, strict=True)
    ]


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
    session: Session,
    scaling: Scaling,
    on_epoch: OnEpoch | None,
    on_reconstruction: OnShare | None,
) -> _Outcome:
    """Train, rebuild and refine."""
    values = session.scenes[0].grid.pixels
    history: list[EpochReport] = []
    for report in session.train():
        history.append(scaling.in_pixel_units(report, values))
        if on_epoch is not None and on_epoch(history[-1]):
            break
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
        scaling.log_density(sum(page.free_energy for page in first) / len(first), values),
        tuple(history),
        trained,
        rebuilt,
    )


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


def check_image(image: Array, config: DenoiseConfig | None = None, *, name: str = "image") -> None:
    """Check that an array is an image that the settings fit.

    Parameters
    ----------
    image : ndarray
        To be checked.
    config : DenoiseConfig, optional
        The settings.
    name : str
        What to call the image in a message.

    Raises
    ------
    ImageError
        If the array is no image of finite numbers, or too small.
    ConfigError
        If the patch size does not fit.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4):
        raise ImageError(
            f"{name}: shape {image.shape} is not a gray (Y, X) or colour (Y, X, C) image"
        )
    if image.dtype.kind not in "uif":
        raise ImageError(f"{name}: values of type {image.dtype}; integers or floats are needed")
    bad = np.count_nonzero(np.isinf(image))
    if bad:
        raise ImageError(
            f"{name}: {bad} values are infinite; replace them first, by NaN if missing"
        )
    height, width = image.shape[:2]
    shorter = int(min(height, width))
    if shorter < MINIMUM_PATCH_SIZE:
        raise ImageError(
            f"{name}: {width} x {height} pixels; "
            f"at least {MINIMUM_PATCH_SIZE} x {MINIMUM_PATCH_SIZE} are needed"
        )
    if config is not None and config.patch_size is not None and config.patch_size > shorter:
        raise ConfigError(
            f"{name}: patch size {config.patch_size} does not fit into {width} x {height} pixels; "
            f"use at most {shorter}"
        )


def check_finite(values: Array, *, name: str) -> None:
    """Refuse infinite values; those that are no number are taken for missing.

    Raises
    ------
    ImageError
        If there are any.
    """
    bad = np.count_nonzero(np.isinf(values))
    if bad:
        raise ImageError(f"{name}: {bad} values are infinite; replace them, by NaN where missing")


def _generator(
    rng: torch.Generator | np.random.Generator | int | None, device: torch.device
) -> torch.Generator:
    """Make the one generator of a run, on the device that computes."""
    if isinstance(rng, torch.Generator) and rng.device.type == device.type:
        return rng
    if isinstance(rng, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    elif isinstance(rng, np.random.Generator):
        seed = int(rng.integers(2**62))
    else:
        seed = check_seed(rng or 0)
    return torch.Generator(device).manual_seed(seed)


def check_seed(seed: int) -> int:
    """Refuse seeds that torch could not take; return the seed.

    Raises
    ------
    ConfigError
        If the seed is no whole number of 63 bits.
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= int(seed) < 2**63:
        raise ConfigError(f"seed is {seed!r}; it must be a whole number from 0 to 2^63 - 1")
    return int(seed)


def _like(estimate: Array, image: Array) -> Array:
    """Give an estimate the shape and dtype of the input; only integers are rounded and clipped."""
    shaped = estimate.reshape(image.shape)
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        shaped = shaped.round().clip(limits.min, limits.max)
    return shaped.astype(image.dtype)
