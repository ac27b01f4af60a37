"""From a layer to what the library takes, and back; without napari."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from layers_without_napari import FakeLayer

from evodenoise.errors import ImageError
from evodenoise.viewer.layers import (
    LayerImage,
    Pages,
    Pixels,
    denoised_layer,
    residual_layer,
    uncertainty_layer,
)

GRAY = np.arange(6 * 7, dtype=np.uint16).reshape(6, 7)
COLOUR = np.arange(6 * 7 * 3, dtype=np.uint8).reshape(6, 7, 3)


@pytest.mark.parametrize(
    ("data", "rgb", "pages"),
    [
        (GRAY, False, (1, 6, 7)),
        (COLOUR, True, (1, 6, 7, 3)),
        (np.zeros((5, 6, 7), np.float32), False, (5, 6, 7)),
        (np.zeros((2, 5, 6, 7)), False, (10, 6, 7)),
        (np.zeros((5, 6, 7, 3), np.uint8), True, (5, 6, 7, 3)),
        (np.zeros((5, 6, 7, 4), np.uint8), True, (5, 6, 7, 3)),
        ([np.zeros((8, 8)), np.zeros((4, 4))], False, (1, 8, 8)),
    ],
)
def test_there_and_back(data: Any, rgb: bool, pages: tuple[int, ...]) -> None:
    image = LayerImage.of(FakeLayer(data, rgb=rgb))
    pixels = image.read()
    assert pixels.pages.shape == pages
    assert image.pages == pages[0]
    largest = data[0] if isinstance(data, list) else data
    np.testing.assert_array_equal(pixels.put_back(pixels.pages), largest)


def test_opacity_is_kept_and_what_is_invisible_stays() -> None:
    data = np.concatenate([COLOUR, np.full((6, 7, 1), 255, np.uint8)], -1)
    data[2, 3, 3] = 0
    pixels = LayerImage.of(FakeLayer(data, rgb=True)).read()
    assert pixels.invisible is not None
    assert np.argwhere(pixels.invisible).tolist() == [[0, 2, 3]]
    back = pixels.put_back(np.zeros_like(pixels.pages))
    np.testing.assert_array_equal(back[..., 3], data[..., 3])
    np.testing.assert_array_equal(back[2, 3], data[2, 3])
    assert not np.delete(back[..., :3].reshape(-1, 3), 2 * 7 + 3, 0).any()


class Huge:
    """An array that nobody should try to read."""

    dtype, shape, ndim = np.dtype(np.uint8), (10**5, 10**5), 2


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (np.zeros((6, 7), complex), "image", "complex"),
        (np.zeros((6, 7), bool), "image", "True and False"),
        (np.zeros(6), "image", "two are needed"),
        (np.zeros((6, 7), int), "labels", "layer of labels"),
        (Huge(), "image", "10000 million pixels"),
    ],
)
def test_refused_in_one_line(data: Any, kind: str, said: str) -> None:
    with pytest.raises(ImageError, match=said) as refused:
        LayerImage.of(FakeLayer(data, kind=kind))
    assert str(refused.value).startswith("cells: ")
    assert "\n" not in str(refused.value)


def test_a_lazy_array_that_cannot_be_read() -> None:
    class Broken:
        dtype, shape = np.dtype(np.uint8), (6, 7)

        def __array__(self, *_: object, **__: object) -> np.ndarray[Any, Any]:
            raise OSError("the disk is gone\nand so is the rest")

    with pytest.raises(ImageError, match=r"^cells: cannot be read: the disk is gone$"):
        LayerImage.of(FakeLayer(Broken())).read()


def test_what_will_be_done_is_told() -> None:
    def told(data: Any, pages: Pages = Pages.PAGES, *, rgb: bool = False) -> str:
        return LayerImage.of(FakeLayer(data, rgb=rgb)).describe(pages)

    assert told(GRAY) == "7 x 6 pixels, gray, uint16."
    assert told(COLOUR, rgb=True) == "7 x 6 pixels, colour, uint8."
    assert "largest of 2 levels" in told([np.zeros((8, 8)), np.zeros((4, 4))])
    assert "each has a model of its own" in told(np.zeros((5, 6, 7)))
    assert "one model learns from them all" in told(np.zeros((5, 6, 7)), Pages.JOINT)
    assert "10 pages (2 x 5)" in told(np.zeros((2, 5, 6, 7)), Pages.SHOWN)
    assert "Opacity" in told(np.zeros((6, 7, 4), np.uint8), rgb=True)


def test_one_page_of_a_stack() -> None:
    data = np.arange(2 * 5 * 6 * 7).reshape(2, 5, 6, 7)
    one = LayerImage.of(FakeLayer(data)).page([1, 4], [9.0] * 4)
    np.testing.assert_array_equal(one.read().pages[0], data[1, 4])
    assert one.shape == (1, 1, 6, 7)
    assert one.attributes["translate"] == [9.0] * 4


def test_the_result_is_shown_as_the_noisy_image() -> None:
    image = LayerImage.of(FakeLayer([GRAY, GRAY[::2, ::2]]))
    data, shown, kind = denoised_layer(image, GRAY, {"preset": "fast"})
    assert data is GRAY
    assert kind == "image"
    assert shown["name"] == "cells denoised"
    assert shown["metadata"] == {"microscope": "ours", "evodenoise": {"preset": "fast"}}
    assert "multiscale" not in shown
    for key in ("scale", "translate", "units", "colormap", "contrast_limits"):
        assert shown[key] == image.attributes[key]
    assert "evodenoise" not in image.attributes["metadata"]


def test_residual_and_uncertainty_are_where_the_image_is_and_shown_in_their_own_way() -> None:
    image = LayerImage.of(FakeLayer(COLOUR, rgb=True))
    pixels, clean = image.read(), np.zeros((1, 6, 7, 3), np.uint8)
    residual, shown, _ = residual_layer(image, pixels, clean)
    np.testing.assert_allclose(residual, COLOUR.mean(-1))
    assert residual.dtype == np.float32
    low, high = shown["contrast_limits"]
    assert low == -high < 0
    std = np.dstack([np.full((6, 7), value, np.float32) for value in (1, 2, 2)])[None]
    spread, own, _ = uncertainty_layer(image, pixels, std)
    np.testing.assert_allclose(spread, np.sqrt(3), rtol=1e-6)
    assert own["contrast_limits"] == pytest.approx((0.0, np.sqrt(3)))
    for each in (shown, own):
        assert each["scale"] == [0.5, 0.5]
        assert each["metadata"] == {"microscope": "ours"}
        assert each["rgb"] is False
        assert each["colormap"] != "green"


def test_nothing_taken_away_can_be_shown() -> None:
    image = LayerImage.of(FakeLayer(np.full((6, 7), np.nan)))
    pixels = Pixels(np.full((1, 6, 7), np.nan), None, (6, 7))
    for pages in (pixels.pages, np.zeros((1, 6, 7))):
        low, high = residual_layer(image, pixels, pages)[1]["contrast_limits"]
        assert low < high


def test_neither_torch_nor_napari_is_loaded_before_it_is_needed() -> None:
    names = "evodenoise, evodenoise.viewer.layers, evodenoise.viewer.sample"
    code = f"import sys, {names}; print(sorted({{'torch', 'napari', 'qtpy'}} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
