"""How axes are read, and that an array finds its way back."""

import numpy as np
import pytest

from evodenoise.errors import ImageError
from evodenoise.images import Layout


@pytest.mark.parametrize(
    ("shape", "axes", "arranged"),
    [
        ((8, 9), "YX", (8, 9)),
        ((8, 9, 3), "YXC", (8, 9, 3)),
        ((8, 9, 1), "YXC", (8, 9, 1)),
        ((5, 8, 9), "TYX", (5, 8, 9)),
        ((3, 8, 9), "TYX", (3, 8, 9)),
        ((5, 8, 9, 3), "TYXC", (5, 8, 9, 3)),
        ((2, 5, 8, 9), "TZYX", (10, 8, 9)),
        ((2, 5, 6, 8, 9, 4), "PTZYXC", (60, 8, 9, 4)),
    ],
)
def test_a_shape_alone(shape: tuple[int, ...], axes: str, arranged: tuple[int, ...]) -> None:
    layout = Layout.read(shape)
    assert layout.axes == axes
    assert layout.arrange(np.zeros(shape)).shape == arranged


@pytest.mark.parametrize(
    ("axes", "arranged", "pages"),
    [
        ("CYX", (3, 4, 2), ""),
        ("YXC", (2, 3, 4), ""),
        ("cxy", (4, 3, 2), ""),
        ("TYX", (2, 3, 4), "T"),
        ("YXT", (4, 2, 3), "T"),
    ],
)
def test_told_axes_and_back(axes: str, arranged: tuple[int, ...], pages: str) -> None:
    array = np.arange(24).reshape(2, 3, 4)
    layout = Layout.read(array.shape, axes)
    ours = layout.arrange(array)
    assert ours.shape == arranged
    assert layout.pages == pages
    np.testing.assert_array_equal(layout.restore(ours), array)


def test_many_axes_and_back() -> None:
    array = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    layout = Layout.read(array.shape, "XCTYZ")
    ours = layout.arrange(array)
    assert ours.shape == (4 * 6, 5, 2, 3)
    assert ours[6 + 2, 3, 1, 2] == array[1, 2, 1, 3, 2]
    np.testing.assert_array_equal(layout.restore(ours), array)


def test_many_values_along_c_are_pages() -> None:
    assert Layout.read((5, 8, 9), "CYX").pages == "C"


@pytest.mark.parametrize("axes", ["YX", "TYXC", "TTX", "YYX", "TCY", ""])
def test_axes_that_do_not_fit(axes: str) -> None:
    with pytest.raises(ImageError, match=r"do not fit shape \(2, 3, 4\)"):
        Layout.read((2, 3, 4), axes)


@pytest.mark.parametrize("shape", [(), (8,), (1,) * 5 + (8, 9)])
def test_shapes_of_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="2 to 6 dimensions"):
        Layout.read(shape)
