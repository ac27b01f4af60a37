"""What a caller gives, made ready or refused at first sight: arrays, masks, settings, seeds."""

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from evodenoise.config.presets import DEFAULT_PRESET, preset_config
from evodenoise.config.settings import MINIMUM_PATCH_SIZE, DenoiseConfig
from evodenoise.errors import ConfigError, ImageError, plural

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
RandomSource: TypeAlias = "torch.Generator | np.random.Generator | int | None"
"""What a run's randomness may come from: a generator, a seed, or None for seed 0."""


def as_array(values: npt.ArrayLike, *, name: str = "image") -> Array:
    """Make an array of whatever numpy can make one of.

    Parameters
    ----------
    values : array-like
        An array, nested lists, a tensor on the CPU, a picture of Pillow's, ...
    name : str
        What to call it in a message.

    Returns
    -------
    ndarray
        Not a copy, if it is an array already.

    Raises
    ------
    ImageError
        If it is none, or would be misread: a file's name, masked values, numbers of colours.
    """
    if values is None:
        raise ImageError(f"{name} is None; give an array of numbers")
    if isinstance(values, (str, bytes, os.PathLike)):
        raise ImageError(f"{name} is {values!r}; give the pixels of that file, as an array")
    if isinstance(values, np.ma.MaskedArray):
        raise ImageError(f"{name} is a masked array; give its data, and its mask as `missing`")
    if getattr(values, "mode", None) in ("P", "PA"):  # of Pillow's: asarray would take the numbers
        raise ImageError(f"{name} has a palette; give its colours, as convert('RGB') makes them")
    try:
        return np.asarray(values)
    except Exception as error:  # whatever stands behind the array interface
        kind = type(values).__name__
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ImageError(f"{name} is a {kind} that is no array of numbers: {reason}") from error


def as_mask(missing: npt.ArrayLike | None, shape: tuple[int, ...]) -> Mask | None:
    """Make a mask of missing pixels of what a caller marks them with.

    Parameters
    ----------
    missing : array-like or None
        Pixels that are not zero are missing.
    shape : tuple of int
        Of the image: (Y, X), or (T, Y, X).

    Returns
    -------
    ndarray of bool or None
        Of that shape.

    Raises
    ------
    ImageError
        If it is no mask of that shape.
    """
    if missing is None:
        return None
    marked = as_array(missing, name="missing")
    if marked.dtype.kind not in "buif":
        raise ImageError(f"missing: values of type {marked.dtype}; give True for missing pixels")
    if marked.shape != shape:
        raise ImageError(
            f"missing: shape {marked.shape}, but that of the pixels is {shape}; "
            "the mask must show the same pixels"
        )
    mask: Mask = marked != 0
    return mask


def as_config(config: DenoiseConfig | str | None, shape: tuple[int, ...]) -> DenoiseConfig:
    """Return settings: as they are, or a preset fitted to an image.

    Parameters
    ----------
    config : DenoiseConfig, str or None
        Settings, or the name of a preset; the default one for None.
    shape : tuple of int
        (Y, X) or (Y, X, C) of the image, in pixels.

    Returns
    -------
    DenoiseConfig
        The settings.

    Raises
    ------
    ConfigError
        If it is neither, or no preset's name.
    """
    if isinstance(config, DenoiseConfig):
        return config
    if config is not None and not isinstance(config, str):
        kind = type(config).__name__
        raise ConfigError(f"config is a {kind}; give a DenoiseConfig or the name of a preset")
    return preset_config(DEFAULT_PRESET if config is None else config, shape)


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
    bad = int(np.count_nonzero(np.isinf(image)))
    if bad:
        raise ImageError(
            f"{name}: {plural(bad, 'infinite value')}; replace first, by NaN where missing"
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


def as_stack(
    stack: npt.ArrayLike, config: DenoiseConfig | str | None
) -> tuple[Array, DenoiseConfig]:
    """Make a stack of images of what a caller gives, and settings that fit its pages.

    Parameters
    ----------
    stack : array-like, shape (T, Y, X) or (T, Y, X, C)
        The pages.
    config : DenoiseConfig, str or None
        As for `as_config`.

    Returns
    -------
    pages : ndarray
        Not a copy, if it is an array already.
    settings : DenoiseConfig
        For each of its pages.

    Raises
    ------
    ImageError, ConfigError
        As in `as_array`, `check_image` and `as_config`.
    """
    pages = as_array(stack, name="stack")
    if pages.ndim not in (3, 4) or not len(pages):
        raise ImageError(f"shape {pages.shape} is not a stack (T, Y, X) or (T, Y, X, C)")
    for number, page in enumerate(pages, 1):
        check_image(page, name=f"page {number}" if len(pages) > 1 else "image")
    settings = as_config(config, pages.shape[1:])
    check_image(pages[0], settings)
    return pages, settings


def make_generator(rng: RandomSource, device: "torch.device") -> "torch.Generator":
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
    import torch

    if isinstance(rng, torch.Generator) and same_device(rng.device, device):
        return rng
    if isinstance(rng, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    elif isinstance(rng, np.random.Generator):
        seed = int(rng.integers(2**62))
    else:
        seed = check_seed(0 if rng is None else rng)
    return torch.Generator(device).manual_seed(seed)


def same_device(one: "torch.device", other: "torch.device") -> bool:
    """Tell whether two devices are one; a GPU without a number is the current one."""
    return one.type == other.type and _number_of(one) == _number_of(other)


def _number_of(device: "torch.device") -> int:
    if device.index is None and device.type == "cuda":
        import torch

        return torch.cuda.current_device()
    return device.index or 0


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
