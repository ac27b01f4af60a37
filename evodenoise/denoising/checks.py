"""What can be refused at first sight: arrays, patch sizes, seeds."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evodenoise.config.settings import MINIMUM_PATCH_SIZE, DenoiseConfig
from evodenoise.errors import ConfigError, ImageError

Array = npt.NDArray[Any]
RandomSource = torch.Generator | np.random.Generator | int | None
"""What a run's randomness may come from: a generator, a seed, or None for seed 0."""


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


def make_generator(rng: RandomSource, device: torch.device) -> torch.Generator:
    """Make the one generator of a run, on the device that computes.

    Parameters
    ----------
    rng : torch.Generator, numpy.random.Generator, int or None
        Source of its seed, or the seed; 0 for None.
    device : torch.device
        Where it is needed.

    Returns
    -------
    torch.Generator
        The given one if it is on that device already.

    Raises
    ------
    ConfigError
        If the seed is out of range.
    """
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
