"""The pictures of the gallery, and what spoils them: from scikit-image's data, or drawn."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import convolve, gaussian_filter

Array = npt.NDArray[np.float64]
Spoil = Callable[[Array, np.random.Generator], Array]
"""Takes a picture, from 0 to 255, and a generator; returns it with noise."""

SIDE = 256
"""Pixels of a side of each picture."""


def crop(picture: npt.NDArray[np.generic], top: int, left: int) -> Array:
    """Cut out a square, as floats."""
    return picture[top : top + SIDE, left : left + SIDE].astype(np.float64)


def white(sigma: float) -> Spoil:
    """Add white noise."""
    return lambda clean, rng: clean + sigma * rng.standard_normal(clean.shape)


def photons(peak: float) -> Spoil:
    """Count photons, so many where it is white."""
    return lambda clean, rng: rng.poisson(clean / 255 * peak) * (255 / peak)


def grain(sigma: float, blur: float) -> Spoil:
    """Add noise that is blurred, as film grain is."""

    def spoil(clean: Array, rng: np.random.Generator) -> Array:
        coarse = gaussian_filter(rng.standard_normal(clean.shape), blur)
        return clean + sigma * coarse / coarse.std()

    return spoil


def scan(sigma: float, share: float) -> Spoil:
    """Add white noise, as much that is the same along each row, and specks of black and white."""

    def spoil(clean: Array, rng: np.random.Generator) -> Array:
        noisy = clean + sigma * rng.standard_normal(clean.shape)
        noisy += sigma * rng.standard_normal((len(clean), 1))
        specks = rng.choice([0.0, 255.0], clean.shape)
        return np.where(rng.random(clean.shape) < share, specks, noisy)

    return spoil


def camera(gain: float, readout: float) -> Spoil:
    """Add the noise of a colour camera: photons, read-out, white balance, Bayer's pattern, gamma.

    Noise arises in linear light, one colour a pixel; what lies between is interpolated, so that it
    is correlated and stronger in the shadows, in red and in blue.
    """
    rows, columns = np.mgrid[:SIDE, :SIDE] % 2
    pattern = np.stack([(rows + columns == 0), (rows != columns), (rows + columns == 2)], -1)
    near = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    balance = np.array([2.0, 1.0, 1.6])

    def spoil(clean: Array, rng: np.random.Generator) -> Array:
        light = (clean / 255) ** 2.2
        std = np.sqrt(gain * balance * light + (readout * balance) ** 2)
        noise = pattern * std * rng.standard_normal(clean.shape)
        kernels = (near, cross, near)
        whole = np.stack([convolve(noise[..., c], kernels[c], mode="mirror") for c in range(3)], -1)
        return 255 * (light + whole).clip(0, 1) ** (1 / 2.2)

    return spoil


def cells() -> Array:
    """Draw cells as fluorescence shows them: nuclei, fibres along the cell, and bright spots."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIDE, :SIDE]
    picture, fibres = np.full((SIDE, SIDE), 4.0), np.zeros((SIDE, SIDE))
    for row, column in ((58, 62), (44, 186), (150, 140), (206, 44), (226, 214)):
        radius, tilt = rng.uniform(42, 54), rng.uniform(0, np.pi)
        axes = np.array([[np.sin(tilt), np.cos(tilt)], [np.cos(tilt), -np.sin(tilt)]])
        axes *= np.array([[1.3], [0.75]])  # along the cell, and across
        along, across = np.tensordot(np.linalg.inv(axes).T, np.stack([y - row, x - column]), 1)
        away = np.hypot(along, across) / radius
        picture += 16 / (1 + np.exp(12 * (away - 0.95)))
        picture += 80 / (1 + np.exp(24 * (away - 0.36)))
        for _ in range(60):
            start = rng.uniform(-0.7, 0.7, 2) @ axes * radius + (row, column)
            heading = np.arctan2(*axes[0]) + 0.5 * rng.standard_normal() + np.pi * rng.integers(2)
            turns = heading + np.cumsum(0.05 * rng.standard_normal(int(1.6 * radius)))
            steps = 0.5 * np.stack([np.sin(turns), np.cos(turns)], 1)
            _mark(fibres, start + np.cumsum(steps, 0), 1.0)
        _mark(picture, rng.normal((row, column), 0.4 * radius, (12, 2)), 700)
    picture = gaussian_filter(picture + 55 * np.minimum(fibres, 2), 1.0)
    return (255 * picture / np.quantile(picture, 0.999)).clip(0, 255)


def _mark(picture: Array, places: Array, value: float) -> None:
    """Add a value at some places, shape (N, 2), if they are inside."""
    at = np.rint(places).astype(int)
    at = np.unique(at[((at >= 0) & (at < SIDE)).all(1)], axis=0)
    picture[at[:, 0], at[:, 1]] += value
