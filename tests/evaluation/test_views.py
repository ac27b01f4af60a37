"""Small views of an image show what they should, whatever the image is."""

import io

import numpy as np
import pytest
from pictures import Array, add_noise, as_dtype, wave
from PIL import Image

from evodenoise.evaluation.views import (
    LARGEST_DETAIL,
    NAMES,
    SMALLEST_DETAIL,
    VIEW_SIDE,
    View,
    draw_views,
)


def pixels(view: View) -> Array:
    with Image.open(io.BytesIO(view.data)) as picture:
        assert picture.size == (view.width, view.height)
        return np.asarray(picture).astype(float)


@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (700, 3), (3, 1500), (64, 80, 3), (400, 330, 2)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_views_of_any_shape(shape: tuple[int, ...], dtype: str) -> None:
    image = np.random.default_rng(0).uniform(0, 200, shape).astype(dtype)
    views = draw_views(image, image)
    for name in NAMES:
        view = getattr(views, name)
        assert pixels(view).shape[:2] == (view.height, view.width)
        assert max(view.width, view.height) <= VIEW_SIDE
    left, top, width, height = views.frame
    assert min(left, top) >= 0
    assert max(left + width, top + height) <= 1 + 1e-9


def test_noise_is_seen_before_and_not_after() -> None:
    clean = wave(100, 90)
    views = draw_views(as_dtype(add_noise(clean, 20), "uint8"), as_dtype(clean, "uint8"))
    difference = pixels(views.noisy_detail) - pixels(views.denoised_detail)
    assert 15 < difference.std() < 25
    assert views.span == pytest.approx(60, rel=0.1)
    assert pixels(views.residual).mean() == pytest.approx(127.5, abs=3)


def test_the_detail_is_where_most_is_to_be_seen_in_the_pixels_of_the_image() -> None:
    image = np.full((2000, 3000), 90, np.uint8)
    image[1500:1540, 400:440] = np.indices((40, 40)).sum(axis=0) % 2 * 120
    views = draw_views(image, image)
    side = views.denoised_detail.width
    assert SMALLEST_DETAIL <= side <= LARGEST_DETAIL
    left, top, width, _ = views.frame
    assert width * 3000 == pytest.approx(side)
    assert left * 3000 <= 400 <= left * 3000 + side - 40
    assert top * 2000 <= 1500 <= top * 2000 + side - 40
    assert pixels(views.denoised_detail).std() > 10


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_an_image_of_which_nothing_is_known(missing: float) -> None:
    """So is a page of a stack that the other pages fill, and what is invisible stays so."""
    for before, after in ((missing, 7.0), (missing, missing)):
        views = draw_views(np.full((40, 30), before), np.full((40, 30), after))
        assert views.span == 1
        assert pixels(views.residual).mean() == pytest.approx(128, abs=2)


def test_averages_leave_out_what_is_missing() -> None:
    image = np.full((1300, 1300), 50.0)
    image[::2] = np.nan
    image[:, 650:] = 100.0
    image[:200, :200] = np.nan
    seen = pixels(draw_views(image, np.nan_to_num(image, nan=50.0)).noisy)
    assert seen[100, 100:140].max() < 3
    assert seen[100, 200:].min() > 252
    assert seen[10, 10] == pytest.approx(127.5, abs=3)  # nothing is known there
