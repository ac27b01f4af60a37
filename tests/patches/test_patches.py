"""Patches against their definition, for every shape."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evodenoise.patches.aggregation import PatchAverage, merge_patches
from evodenoise.patches.grid import PatchGrid, extract_patches


@st.composite
def images_and_patch_sizes(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Draw an image of whole numbers, whose averages are exact, and a patch size that fits."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    channels = draw(st.integers(1, 4))
    patch_size = draw(st.integers(1, min(height, width)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    image = torch.randint(-1000, 1000, (height, width, channels), generator=generator)
    return image.double(), patch_size


every_image = given(images_and_patch_sizes())
quick = settings(max_examples=60, deadline=None)


@every_image
@quick
def test_merging_undoes_extracting(drawn: tuple[Tensor, int]) -> None:
    image, patch_size = drawn
    merged = merge_patches(extract_patches(image, patch_size), image.shape, patch_size)
    assert merged.shape == image.shape
    assert torch.equal(merged, image)


@every_image
@quick
def test_patches_are_windows_in_row_major_order(drawn: tuple[Tensor, int]) -> None:
    image, p = drawn
    height, width, channels = image.shape
    corners = [(y, x) for y in range(height - p + 1) for x in range(width - p + 1)]
    patches = extract_patches(image, p)
    assert patches.shape == (len(corners), p * p * channels)
    for patch, (y, x) in zip(patches, corners, strict=True):
        assert torch.equal(patch.view(p, p, channels), image[y : y + p, x : x + p])


@every_image
@quick
def test_every_pixel_is_covered(drawn: tuple[Tensor, int]) -> None:
    image, patch_size = drawn
    numbered = torch.arange(image.numel(), dtype=torch.float64).view(image.shape)
    assert extract_patches(numbered, patch_size).unique().numel() == image.numel()


@every_image
@quick
def test_a_pixel_is_the_mean_of_the_patches_that_cover_it(drawn: tuple[Tensor, int]) -> None:
    image, p = drawn
    height, width, _ = image.shape
    patches = extract_patches(image, p)
    estimates = torch.randn(patches.shape, dtype=torch.float64, generator=torch.Generator())
    total, count = np.zeros(image.shape), np.zeros(image.shape)
    grid = estimates.numpy().reshape(height - p + 1, width - p + 1, p, p, -1)
    for y, x in np.ndindex(grid.shape[:2]):
        total[y : y + p, x : x + p] += grid[y, x]
        count[y : y + p, x : x + p] += 1
    merged = merge_patches(estimates, image.shape, p)
    np.testing.assert_allclose(merged.numpy(), total / count, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_stays(dtype: torch.dtype) -> None:
    image = torch.ones((6, 7, 3), dtype=dtype)
    patches = extract_patches(image, 4)
    assert patches.dtype is dtype
    assert merge_patches(patches, image.shape, 4).dtype is dtype


def test_a_channel_of_an_image_is_an_image() -> None:
    """It is a view, whose values are not one behind the other."""
    image = torch.arange(6 * 7 * 3.0).view(6, 7, 3)
    for channel in range(3):
        view = image[..., channel : channel + 1]
        assert torch.equal(extract_patches(view, 3), extract_patches(view.contiguous(), 3))


def test_the_image_is_not_touched() -> None:
    image = torch.arange(48.0).view(6, 8, 1)
    before = image.clone()
    extract_patches(image, 4).zero_()
    assert torch.equal(image, before)


# --- some of the patches


@every_image
@quick
def test_a_position_is_a_place_in_the_list_of_all(drawn: tuple[Tensor, int]) -> None:
    image, p = drawn
    everything = extract_patches(image, p)
    grid = PatchGrid(image.shape, p)
    assert (grid.patches, grid.pixels) == everything.shape
    assert grid.rows * grid.columns == grid.patches
    positions = torch.randint(0, grid.patches, (7,), generator=torch.Generator())
    assert torch.equal(extract_patches(image, p, positions), everything[positions])
    assert torch.equal(image.flatten()[grid.values(positions)], everything[positions])


def nothing_yet(grid: PatchGrid) -> PatchAverage:
    return PatchAverage(grid, torch.float64, torch.device("cpu"))


def parts(grid: PatchGrid) -> Iterator[tuple[Tensor, Tensor]]:
    """Make up all patches, a few at a time in random order: positions (N,) and values (N, D)."""
    generator = torch.Generator().manual_seed(0)
    for positions in torch.randperm(grid.patches, generator=generator).split(5):
        shape = (len(positions), grid.pixels)
        yield positions, torch.randn(shape, dtype=torch.float64, generator=generator)


@every_image
@quick
def test_parts_in_any_order_average_like_the_whole(drawn: tuple[Tensor, int]) -> None:
    image, p = drawn
    grid = PatchGrid(image.shape, p)
    average = nothing_yet(grid)
    estimates = torch.zeros(grid.patches, grid.pixels, dtype=torch.float64)
    for positions, some in parts(grid):
        average.add(positions, some)
        estimates[positions] = some
    torch.testing.assert_close(average.image(), merge_patches(estimates, image.shape, p))


@every_image
@quick
def test_a_weight_of_a_patch_is_that_of_all_its_pixels(drawn: tuple[Tensor, int]) -> None:
    """Both kinds of weights may be added to one image."""
    image, p = drawn
    grid = PatchGrid(image.shape, p)
    pixelwise, patchwise = nothing_yet(grid), nothing_yet(grid)
    for positions, some in parts(grid):
        own = 0.1 + some[:, :1].abs()
        pixelwise.add(positions, some, own.expand_as(some))
        patchwise.add(positions, some, own.expand_as(some) if 0 in positions else own)
    torch.testing.assert_close(patchwise.image(), pixelwise.image())
    torch.testing.assert_close(patchwise.weight(), pixelwise.weight())


def test_what_no_patch_covers_is_nan() -> None:
    average = PatchAverage(PatchGrid((4, 6, 1), 4), torch.float32, torch.device("cpu"))
    average.add(torch.tensor([0]), torch.full((1, 16), 3.0))
    assert (average.image()[:, :4] == 3).all()
    assert average.image()[:, 4:].isnan().all()


@given(images_and_patch_sizes(), st.integers(1, 4))
@quick
def test_sublattices_of_all_offsets_share_out_the_patches(
    drawn: tuple[Tensor, int], stride: int
) -> None:
    image, p = drawn
    grid = PatchGrid(image.shape, p)
    stride = min(stride, grid.rows, grid.columns)
    parts = [
        grid.sublattice((stride, stride), (y, x)) for y in range(stride) for x in range(stride)
    ]
    assert sorted(torch.cat(parts).tolist()) == list(range(grid.patches))
    for place, part in enumerate(parts):
        rows, columns = part // grid.columns, part % grid.columns
        assert (rows % stride == place // stride).all()
        assert (columns % stride == place % stride).all()
