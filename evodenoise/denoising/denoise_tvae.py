"""The call that users of scikit-image expect: floats in, floats out, everything by keyword."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.config.presets import DEFAULT_PRESET, preset_config
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.checks import RandomSource, as_array
from evodenoise.denoising.denoise import denoise
from evodenoise.denoising.tools import OnEpoch
from evodenoise.errors import ImageError

Array = npt.NDArray[Any]


def denoise_tvae(
    image: npt.ArrayLike,
    *,
    sigma: float | None = None,
    channel_axis: int | None = None,
    mask: npt.ArrayLike | None = None,
    preset: str = DEFAULT_PRESET,
    model: Checkpoint | None = None,
    rng: RandomSource = None,
    device: str = "auto",
    time_limit: float | None = None,
    callback: OnEpoch | None = None,
) -> Array:
    """Denoise an image by a variational autoencoder that learns from that image alone.

    Parameters
    ----------
    image : array-like, shape (Y, X) or with one more axis of at most 4 channels
        Noisy image. Integers and booleans are brought to the range of floats first, as
        `skimage.util.img_as_float` does: 0 to 1, or -1 to 1 if they have a sign. NaN is missing.
    sigma : float, optional
        Standard deviation of the noise, in the units of the float image; by default everything
        about the noise is read off the image.
    channel_axis : int, optional
        The axis of the channels; by default the image is gray.
    mask : array-like, shape (Y, X), optional
        Pixels that are not zero are missing: nothing is learned from them, and they are filled.
    preset : str, optional
        ``fast``, ``balanced``, ``best`` or ``paper``.
    model : Checkpoint, optional
        From `train_model` or `read_model`: the image is denoised by it without training.
    rng : torch.Generator, numpy.random.Generator or int, optional
        Source of randomness, or a seed; 0 by default, so that results repeat.
    device : str, optional
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    time_limit : float, optional
        Seconds; training is shortened to fit.
    callback : callable, optional
        Called with an `EpochReport` after each epoch of the training; if it returns True, training
        stops there and the image is finished. An exception that it raises ends the call.

    Returns
    -------
    ndarray of float
        The denoised image, of the shape of the input; float32 for float16 and float32, else
        float64. It is not clipped.

    Raises
    ------
    ImageError, ConfigError, TrainingError
        As in `evodenoise.denoise`.

    See Also
    --------
    evodenoise.denoise : Keeps the type, and tells all that was found beside the image.

    Notes
    -----
    A decoder with binary latents is trained on the overlapping patches of the image. There is no
    encoder: each patch owns a small set of codes, which an evolutionary algorithm improves with the
    variational bound as fitness [1]_. The weighted means of the codes make the first estimate,
    which models of groups of similar patches refine.

    References
    ----------
    .. [1] J. Drefs, E. Guiraud, F. Panagiotou, J. Lücke, "Direct evolutionary optimization of
       variational autoencoders with binary latents", ECML PKDD 2022.
       doi 10.1007/978-3-031-26409-2_22.

    Examples
    --------
    >>> import numpy as np
    >>> from evodenoise import denoise_tvae
    >>> rows, columns = np.mgrid[:48, :48] / 48
    >>> clean = 0.5 + 0.4 * np.sin(6 * rows) * np.cos(9 * columns)
    >>> noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)
    >>> denoised = denoise_tvae(noisy, preset="fast", rng=0)
    >>> bool(np.std(denoised - clean) < np.std(noisy - clean) / 2)
    True
    """
    pixels = as_array(image)
    noisy = _as_float(pixels)
    if channel_axis is not None and not -noisy.ndim <= channel_axis < noisy.ndim:
        raise ImageError(f"channel_axis is {channel_axis}, but the shape is {pixels.shape}")
    if channel_axis is not None:
        noisy = np.moveaxis(noisy, channel_axis, -1)
    expected = 2 if channel_axis is None else 3
    if noisy.ndim != expected:
        raise ImageError(
            f"shape {pixels.shape} has {noisy.ndim} axes, not {expected}; "
            "channel_axis says which one holds the channels"
        )
    config = preset_config(preset, noisy.shape)
    if model is not None:
        config = replace(config, epochs=0)
    config = replace(config, noise_std=sigma, device=device, time_limit=time_limit)
    result = denoise(noisy, config, missing=mask, model=model, rng=rng, on_epoch=callback).image
    return result if channel_axis is None else np.moveaxis(result, -1, channel_axis)


def _as_float(pixels: Array) -> Array:
    """Bring integers to 0..1 or -1..1; floats stay as they are, half precision aside."""
    if pixels.dtype.kind == "f":
        return pixels.astype(np.float32 if pixels.dtype.itemsize <= 4 else np.float64)
    if pixels.dtype.kind == "b":
        return pixels.astype(np.float64)
    if pixels.dtype.kind not in "iu":
        raise ImageError(f"values of type {pixels.dtype} are no image; use integers or floats")
    scaled: Array = np.maximum(pixels * (1 / np.iinfo(pixels.dtype).max), -1.0)
    return scaled
