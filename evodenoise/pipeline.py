"""From a noisy array to a clean one."""

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
from evodenoise.noise import NoiseEstimate, estimate_noise
from evodenoise.presets import DEFAULT_PRESET, default_patch_size, preset_config
from evodenoise.scaling import Scaling
from evodenoise.session import OnShare, Session, noise_to_signal
from evodenoise.tvae.schedule import StopReason
from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[Any]
OnEpoch = Callable[[EpochReport], bool | None]

MOST_NOISE = 0.99
"""Share of the image's variance that the noise can have; beyond it the level must be wrong."""


@dataclass(frozen=True)
class DenoiseResult:
    """A denoised image and how it came about.

    Attributes
    ----------
    image : ndarray
        The estimate, of the input's shape and dtype.
    std : ndarray of float32, shape (Y, X) or (Y, X, C)
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
    rng: torch.Generator | np.random.Generator | int | None = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
) -> DenoiseResult:
    """Denoise one image by a model trained on that image alone.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float; C at most 4. It is not modified.
    config : DenoiseConfig, optional
        Settings; by default the preset ``balanced``, fitted to the image.
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
        If the array is no image of finite numbers, or smaller than 4 x 4 pixels.
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
    started = time.perf_counter()
    check_image(image, config)
    config = config or preset_config(DEFAULT_PRESET, image.shape)
    device = resolve_device(config.device)
    generator = _generator(rng, device)
    scaling = Scaling.of(image)
    if scaling.constant:
        return _untouched(image, device)
    noise = estimate_noise(image)
    noise_std = noise.std if config.noise_std is None else config.noise_std
    noise_variance = min((noise_std / scaling.std) ** 2, MOST_NOISE)
    session = Session(
        torch.from_numpy(scaling.apply(image)).to(device),
        config.patch_size or default_patch_size(noise_to_signal(noise_variance), image.shape),
        config,
        noise_variance=noise_variance,
        deadline=None if config.time_limit is None else started + config.time_limit,
        generator=generator,
    )
    pixels = session.grid.pixels
    history: list[EpochReport] = []
    for report in session.train():
        history.append(scaling.in_pixel_units(report, pixels))
        if on_epoch is not None and on_epoch(history[-1]):
            break
    trained = time.perf_counter()
    first = session.rebuild(on_reconstruction)
    rebuilt = time.perf_counter()
    estimate = session.refine(first.image).cpu().numpy()
    if not np.isfinite(estimate).all():
        raise TrainingError("training diverged in its last steps; lower the learning rate")
    return DenoiseResult(
        image=_like(scaling.undo(estimate), image),
        std=_shaped(first.variance.clamp(min=0).sqrt().cpu().numpy() * scaling.std, image),
        noise_std=noise_std or history[-1].noise_std,
        noise_estimate=noise,
        free_energy=scaling.log_density(first.free_energy, pixels),
        history=tuple(history),
        stop_reason=history[-1].stop_reason or StopReason.STOPPED,
        patch_size=session.grid.patch_size,
        device=str(device),
        training_seconds=trained - started,
        reconstruction_seconds=rebuilt - trained,
        refinement_seconds=time.perf_counter() - rebuilt,
    )


def _untouched(image: Array, device: torch.device) -> DenoiseResult:
    """Return a constant image as it is: there is nothing to learn and nothing to remove."""
    channels = image.shape[2] if image.ndim == 3 else 1
    return DenoiseResult(
        image=image.copy(),
        std=np.zeros(image.shape, np.float32),
        noise_std=0.0,
        noise_estimate=NoiseEstimate(0.0, (0.0,) * channels, 0.0, 0.0, consistent=True),
        free_energy=math.nan,
        history=(),
        stop_reason=StopReason.CONVERGED,
        patch_size=default_patch_size(0.0, image.shape),
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
    bad = image.size - np.count_nonzero(np.isfinite(image))
    if bad:
        raise ImageError(f"{name}: {bad} values are NaN or infinite; replace them first")
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
    shaped = _shaped(estimate, image)
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        shaped = shaped.round().clip(limits.min, limits.max)
    return shaped.astype(image.dtype)


def _shaped(values: Array, image: Array) -> Array:
    """Give values (Y, X, C) the shape of the input, which may lack the channels."""
    return values.reshape(image.shape)
