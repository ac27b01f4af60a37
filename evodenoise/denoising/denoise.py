"""From a noisy array to a clean one."""

from dataclasses import replace

import numpy.typing as npt

from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.arrays import (
    is_clipped,
    put_back,
    put_estimate,
    take_apart,
    with_channels,
)
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.checks import (
    RandomSource,
    as_array,
    as_mask,
    as_stack,
    check_image,
    make_generator,
)
from evodenoise.denoising.cleaning import Cleaned
from evodenoise.denoising.large import denoise_large
from evodenoise.denoising.low_counts import clean_few_counts, learn_few_counts
from evodenoise.denoising.noise_level import known_noise
from evodenoise.denoising.pace import OnEstimate, OnShare, estimate_of
from evodenoise.denoising.result import Array, DenoiseResult, why_stopped
from evodenoise.denoising.tile_queue import MapTiles, side_by_side
from evodenoise.denoising.tiles import is_large
from evodenoise.denoising.tools import OnEpoch, Tools
from evodenoise.errors import ImageError, ModelError
from evodenoise.noise.record import NoiseEstimate
from evodenoise.system.device import resolve_device


def denoise(
    image: npt.ArrayLike,
    config: DenoiseConfig | str | None = None,
    *,
    missing: npt.ArrayLike | None = None,
    noise: NoiseEstimate | None = None,
    model: Checkpoint | None = None,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
    on_refinement: OnShare | None = None,
    on_estimate: OnEstimate | None = None,
    map_tiles: MapTiles = side_by_side,
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
    noise : NoiseEstimate, optional
        What is known of the noise: `estimate_noise` of another image like this, of a dark frame
        or a calibration; by default it is read off the image.
    model : Checkpoint, optional
        Of a sibling image, `DenoiseResult.model`. It replaces the settings of the model and its
        patches, and is trained further for as many epochs as the settings say, 0 for none.
    rng : torch.Generator, numpy.random.Generator or int, optional
        Source of randomness, or a seed; 0 by default, so that results repeat.
    on_epoch : callable, optional
        Called with each `EpochReport`; if it returns True, training stops there.
    on_reconstruction, on_refinement : callable, optional
        Called with the share of the reconstruction, and of the refinement, that is done, from 0
        to 1. In a large image they take turns, tile by tile.
    on_estimate : callable, optional
        Called after each epoch, and after the reconstruction, with a function that returns an
        estimate of the result so far, of the image's shape and type; of a large image after each
        tile instead. Nothing is computed unless it is called, which takes a fraction of what
        the reconstruction does, and the result is the same whether it is or not.
    map_tiles : callable, optional
        Denoises the tiles of a large image, given their `TileQueue`, and yields each with its
        number; by default here, on a CPU as many side by side as there are threads.

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
        noise=noise,
        model=model,
        rng=rng,
        on_epoch=on_epoch,
        on_reconstruction=on_reconstruction,
        on_refinement=on_refinement,
        on_estimate=estimate_of(on_estimate, lambda pages: pages[0]),
        map_tiles=map_tiles,
    )
    return replace(result, image=result.image[0], std=result.std[0])


def denoise_stack(
    stack: npt.ArrayLike,
    config: DenoiseConfig | str | None = None,
    *,
    missing: npt.ArrayLike | None = None,
    noise: NoiseEstimate | None = None,
    model: Checkpoint | None = None,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
    on_refinement: OnShare | None = None,
    on_estimate: OnEstimate | None = None,
    map_tiles: MapTiles = side_by_side,
) -> DenoiseResult:
    """Denoise the pages of a stack by one model, trained on patches of them all.

    Parameters
    ----------
    stack : array-like, shape (T, Y, X) or (T, Y, X, C)
        Noisy pages.
    missing : array-like, shape (T, Y, X), optional
        Missing pixels, beside those with a nan: those that are not zero.
    config, noise, model, rng
        As in `denoise`.
    on_epoch, on_reconstruction, on_refinement, on_estimate, map_tiles
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
    tools = Tools(
        generator, model, on_epoch, on_reconstruction, on_refinement, on_estimate=on_estimate
    )
    if is_large(noisy.shape):
        result = denoise_large(noisy, gaps, config, noise, tools, map_tiles)
        if result is not None:
            return result
    pages = with_channels(noisy)
    channels, impulses = take_apart(pages, gaps, config)
    if channels.missing.all():
        raise ImageError("every pixel is missing; nothing is left to learn from")
    if channels.constant:
        found = Cleaned.unchanged(channels.values, NoiseEstimate.none(pages.shape[-1]))
    else:
        known = known_noise(channels, config, noise)
        shown = estimate_of(on_estimate, lambda values: put_estimate(channels, values, noisy))
        found = clean_few_counts(channels, config, known, replace(tools, on_estimate=shown))
    return _result(found, channels, noisy, int(impulses.sum()), str(generator.device))


def _result(
    found: Cleaned, channels: DistinctChannels, noisy: Array, impulses: int, device: str
) -> DenoiseResult:
    """Put channels back together, in the shape and type of the input."""
    image, std = put_back(channels, found.values, found.std, noisy, changed=bool(found.noise_std))
    return DenoiseResult(
        image=image,
        std=std,
        noise_std=found.noise_std,
        noise_estimate=found.noise,
        free_energy=found.free_energy,
        structured=found.structured,
        history=found.history,
        stop_reason=why_stopped(found.history, learned=found.model is not None),
        patch_size=found.patch_size,
        device=device,
        impulses=impulses,
        clipped=is_clipped(channels, found.noise, found.noise_std),
        model=found.model,
        training_seconds=found.training_seconds,
        reconstruction_seconds=found.reconstruction_seconds,
        refinement_seconds=found.refinement_seconds,
    )


def _check_model(model: Checkpoint | None) -> None:
    if model is not None and not isinstance(model, Checkpoint):
        raise ModelError(f"model is a {type(model).__name__}; give what read_model returns")


def train_model(
    stack: npt.ArrayLike,
    config: DenoiseConfig | str | None = None,
    *,
    noise: NoiseEstimate | None = None,
    rng: RandomSource = None,
    on_epoch: OnEpoch | None = None,
) -> Checkpoint:
    """Train one model on patches of all pages of a stack, and denoise none of them.

    Parameters
    ----------
    stack : array-like, shape (T, Y, X) or (T, Y, X, C)
        Noisy pages.
    config, noise, rng, on_epoch
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
    channels, _ = take_apart(with_channels(pages), None, config)
    if channels.constant:
        raise ImageError("the images are constant; there is nothing to learn from")
    tools = Tools(generator, on_epoch=on_epoch)
    return learn_few_counts(channels, config, known_noise(channels, config, noise), tools).model
