"""Estimated patches put together to an image: against numpy and scipy's cosine transform."""

import numpy as np
import pytest
import scipy.fft
import torch

from evodenoise.patches.aggregation import PatchAggregator
from evodenoise.patches.grid import cosine_basis
from evodenoise.patches.source import PatchSource

SHAPES = [((7, 9, 1), 4), ((6, 8, 3), 3), ((5, 5, 2), 5), ((4, 9, 1), 1)]
every_shape = pytest.mark.parametrize(("shape", "side"), SHAPES)


def source(shape: tuple[int, int, int], side: int) -> PatchSource:
    return PatchSource(torch.from_numpy(np.random.default_rng(0).normal(size=shape)), side)


def to_pixels(coefficients: np.ndarray, side: int, channels: int) -> np.ndarray:
    """Transform the coefficients (N, D) of each channel back."""
    patches = coefficients.reshape(-1, side, side, channels)
    pixels = scipy.fft.idctn(patches, axes=(1, 2), norm="ortho")
    return np.asarray(pixels.reshape(len(coefficients), -1))


def weighted_mean(
    shape: tuple[int, int, int], side: int, patches: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    total, weight = np.zeros(shape), np.zeros(shape)
    corners = np.ndindex(shape[0] - side + 1, shape[1] - side + 1)
    for (y, x), patch, share in zip(corners, patches, weights, strict=True):
        total[y : y + side, x : x + side] += (share * patch).reshape(side, side, -1)
        weight[y : y + side, x : x + side] += share.reshape(side, side, -1)
    return total / weight


@every_shape
def test_coefficients_are_those_of_the_cosine_transform(
    shape: tuple[int, int, int], side: int
) -> None:
    channels = shape[2]
    patches = np.random.default_rng(0).normal(size=(5, side, side, channels))
    expected = scipy.fft.dctn(patches, axes=(1, 2), norm="ortho").reshape(5, -1)
    coefficients = torch.from_numpy(patches.reshape(5, -1)) @ cosine_basis(side, channels)
    np.testing.assert_allclose(coefficients.numpy(), expected, atol=1e-12)


@every_shape
def test_patches_come_back_from_their_coefficients_weighted_as_told(
    shape: tuple[int, int, int], side: int
) -> None:
    """In parts and in any order, the variance likewise."""
    images = source(shape, side)
    size = (images.grid.patches, images.grid.pixels)
    rng = np.random.default_rng(1)
    coefficients = rng.normal(size=size)
    variance, weights = rng.uniform(0.1, 2, size), rng.uniform(0.1, 10, size)
    aggregator = PatchAggregator(images)
    values = [torch.from_numpy(each) for each in (coefficients, variance, weights)]
    for some in torch.randperm(size[0], generator=torch.Generator().manual_seed(0)).split(7):
        aggregator.add(some, *(each[some] for each in values))
    aggregate = aggregator.aggregate()
    pixels = to_pixels(coefficients, side, shape[2])
    np.testing.assert_allclose(
        aggregate.image.numpy(), weighted_mean(shape, side, pixels, weights), atol=1e-12
    )
    np.testing.assert_allclose(
        aggregate.variance.numpy(), weighted_mean(shape, side, variance, weights), atol=1e-12
    )


@every_shape
def test_a_pixel_varies_by_the_squared_weights_of_the_coefficients(
    shape: tuple[int, int, int], side: int
) -> None:
    images = source(shape, side)
    pixels = images.grid.pixels
    variance = np.random.default_rng(2).uniform(0.1, 2, (3, pixels))
    waves = to_pixels(np.eye(pixels), side, shape[2])
    np.testing.assert_allclose(
        PatchAggregator(images).pixel_variance(torch.from_numpy(variance)).numpy(),
        variance @ waves**2,
        atol=1e-12,
    )


def test_all_of_the_variance_in_the_mean_is_spread_evenly() -> None:
    variance = torch.zeros(1, 16, dtype=torch.float64)
    variance[0, 0] = 4.0
    spread = PatchAggregator(source((6, 6, 1), 4)).pixel_variance(variance)
    torch.testing.assert_close(spread, torch.full_like(spread, 4 / 16))
