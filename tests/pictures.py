"""Small images for the tests, and a measure of their own for what denoising did to them."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Array = npt.NDArray[np.generic]


def wave(height: int = 48, width: int = 48, *, channels: int | None = None) -> Array:
    """Make a smooth picture of 8-bit values with room for noise, each channel shifted a little."""
    y, x = np.mgrid[:height, :width].astype(float)
    planes = [
        128 + 70 * np.sin((x + 3 * channel) / 6) * np.cos(y / 9) for channel in range(channels or 1)
    ]
    return np.stack(planes, axis=2) if channels else planes[0]


def add_noise(clean: Array, std: float = 25.0, *, seed: int = 0) -> Array:
    return clean + np.random.default_rng(seed).normal(0.0, std, clean.shape)


def as_dtype(pixels: Array, dtype: str) -> Array:
    """Give 8-bit values another type, rounded and clipped where it holds integers."""
    if np.dtype(dtype).kind == "f":
        return pixels.astype(dtype)
    limits = np.iinfo(dtype)
    return pixels.round().clip(limits.min, limits.max).astype(dtype)


def psnr(reference: Array, image: Array, *, peak: float = 255.0) -> float:
    """Compute the PSNR from its definition, in dB."""
    difference = reference.astype(np.float64) - image.astype(np.float64)
    return float(10 * np.log10(peak**2 / np.mean(difference**2)))


def blobs(height: int = 160, width: int = 160, *, seed: int = 0, scale: float = 14.0) -> Array:
    """Make a picture of values from 0 to 1: soft shading, and cells with sharp edges in it."""
    rng = np.random.default_rng(seed)
    shading, shapes = (
        gaussian_filter(rng.normal(size=(height, width)), size, mode="wrap")
        for size in (2 * scale, scale)
    )
    cells = (shapes > shapes.std()) + 0.5 * (shapes < -shapes.std())
    shading = (shading - shading.min()) / np.ptp(shading)
    return np.asarray(0.6 * shading + 0.4 * cells)
