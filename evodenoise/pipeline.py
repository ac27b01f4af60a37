"""From a noisy array to a clean one."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evodenoise.config import MINIMUM_PATCH_SIZE, DenoiseConfig
from evodenoise.device import resolve_device
from evodenoise.errors import ConfigError, ImageError
from evodenoise.patches import extract_patches, merge_patches
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.states import initial_states
from evodenoise.tvae.training import EpochReport, fit, reconstruct

Array = npt.NDArray[Any]
DEFAULT_PATCH_SIZE = 8


@dataclass(frozen=True)
class DenoiseResult:
    """A denoised image and how it came about.

    Attributes
    ----------
    image : ndarray
        The estimate, of the input's shape and dtype.
    noise_std : float
        Noise level found, in pixel units.
    free_energy : float
        Of the last epoch, in nats per patch of pixel values; nan for a constant image.
    history : tuple of EpochReport
        One report an epoch.
    patch_size : int
        Side of the patches, in pixels.
    device : str
        Where it was computed.
    """

    image: Array
    noise_std: float
    free_energy: float
    history: tuple[EpochReport, ...]
    patch_size: int
    device: str


def denoise(
    image: Array,
    config: DenoiseConfig | None = None,
    *,
    rng: torch.Generator | np.random.Generator | int | None = None,
    on_epoch: Callable[[EpochReport], bool | None] | None = None,
) -> DenoiseResult:
    """Denoise one image by a model trained on that image alone.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float; C at most 4. It is not modified.
    config : DenoiseConfig, optional
        Settings; the defaults suit most images.
    rng : torch.Generator, numpy.random.Generator or int, optional
        Source of randomness, or a seed; 0 by default, so that results repeat.
    on_epoch : callable, optional
        Called with each `EpochReport`; if it returns True, training stops there.

    Returns
    -------
    DenoiseResult
        The estimate, rounded and clipped for integer images only, and the noise level.

    Raises
    ------
    ImageError
        If the array is no image of finite numbers, or smaller than 4 x 4 pixels.
    ConfigError
        If the patch size does not fit the image.
    DeviceError
        If the device is not there.
    TrainingError
        If training diverges.

    Notes
    -----
    The method is that of Drefs, Guiraud, Panagiotou, Lücke, "Direct Evolutionary
    Optimization of Variational Autoencoders with Binary Latents" (ECML PKDD 2022): every
    overlapping patch is replaced by its posterior mean, and overlaps are averaged.

    Examples
    --------
    >>> import numpy as np
    >>> from evodenoise import DenoiseConfig, denoise
    >>> noisy = np.random.default_rng(0).normal(100.0, 5.0, (32, 32))
    >>> result = denoise(noisy, DenoiseConfig(epochs=2, latents=16, hidden=(16,)))
    >>> result.image.shape
    (32, 32)
    """
    config = config or DenoiseConfig()
    device = resolve_device(config.device)
    patch_size = check_image(image, config)
    offset, scale = float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64))
    if scale <= abs(offset) * np.finfo(np.float64).eps * 16:
        # A constant image: there is nothing to learn and nothing to remove.
        return DenoiseResult(image.copy(), 0.0, math.nan, (), patch_size, str(device))
    generator = _generator(rng, device)
    standardised = (np.atleast_3d(image) - offset) / scale
    scaled = torch.from_numpy(standardised.astype(np.float32)).to(device)
    patches = extract_patches(scaled, patch_size)
    pixels = patches.shape[1]
    model = BinaryLatentVAE(
        config.latents, config.hidden, pixels, active=config.initial_active, generator=generator
    )
    variational = initial_states(
        len(patches),
        config.states,
        config.latents,
        active=config.initial_active,
        generator=generator,
    )
    history: list[EpochReport] = []
    for scaled_report in fit(patches, model, variational, config, generator=generator):
        report = _in_pixel_units(scaled_report, scale, pixels)
        history.append(report)
        if on_epoch is not None and on_epoch(report):
            break
    estimates = reconstruct(patches, model, variational, config.batch_size)
    merged = merge_patches(estimates, scaled.shape, patch_size)
    return DenoiseResult(
        image=_like(merged.cpu().numpy().astype(np.float64) * scale + offset, image),
        noise_std=history[-1].noise_std,
        free_energy=history[-1].free_energy,
        history=tuple(history),
        patch_size=patch_size,
        device=str(device),
    )


def check_image(image: Array, config: DenoiseConfig, *, name: str = "image") -> int:
    """Check that an array is an image that the settings fit.

    Parameters
    ----------
    image : ndarray
        To be checked.
    config : DenoiseConfig
        The settings.
    name : str
        What to call the image in a message.

    Returns
    -------
    int
        The patch size to use, in pixels.

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
    if config.patch_size is None:
        return min(DEFAULT_PATCH_SIZE, shorter)
    if config.patch_size > shorter:
        raise ConfigError(
            f"{name}: patch size {config.patch_size} does not fit into {width} x {height} pixels; "
            f"use at most {shorter}"
        )
    return config.patch_size


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
        seed = rng or 0
    return torch.Generator(device).manual_seed(seed)


def _in_pixel_units(report: EpochReport, scale: float, pixels: int) -> EpochReport:
    """Undo the scaling of the patches: a density per unit becomes one per `scale` units."""
    return dataclasses.replace(
        report,
        noise_std=report.noise_std * scale,
        free_energy=report.free_energy - pixels * math.log(scale),
    )


def _like(estimate: Array, image: Array) -> Array:
    """Give an estimate the shape and dtype of the input; only integers are rounded and clipped."""
    shaped = estimate.reshape(image.shape)
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        shaped = shaped.round().clip(limits.min, limits.max)
    return shaped.astype(image.dtype)
