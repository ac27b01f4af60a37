"""How axes are read, and that an array finds its way back."""

import numpy as np
import pytest

from evodenoise.errors import ImageError
from evodenoise.images import Layout, ReadOptions
from evodenoise.system import scratch


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


def test_many_values_along_the_c_of_a_file_are_pages() -> None:
    layout = ReadOptions().layout_of((5, 8, 9), "CYX")
    assert (layout.channel, layout.pages) == ("", "C")


@pytest.mark.parametrize(
    ("axes", "mend"), [("YXC", "YXT"), ("yxs", "YXT"), ("TYXC", "TYXZ"), ("CTYX", "ZTYX")]
)
def test_more_channels_than_four_are_refused_if_the_user_calls_them_so(
    axes: str, mend: str
) -> None:
    shape = tuple({"T": 2, "Y": 8, "X": 9}.get(letter, 5) for letter in axes.upper())
    with pytest.raises(ImageError, match=f"5 channels are more than 4; .* --axes {mend} to take"):
        ReadOptions(axes=axes).layout_of(shape)
    assert ReadOptions(axes=mend).layout_of(shape).channel == ""


@pytest.mark.parametrize(
    ("shape", "colours", "mend"),
    [
        ((96, 96, 5), True, "--axes YXT or, if that is right, --axes TYX"),
        ((512, 512, 31), True, "--axes YXT or, if that is right, --axes TYX"),
        ((2, 96, 96, 5), True, "--axes TYXZ or, if that is right, --axes TZYX"),
        ((96, 96, 5, 3), True, "--axes YXTC or, if that is right, --axes TYXC"),
        ((96, 3, 96), True, "--axes YCX"),
        ((96, 96, 3), False, "--axes YXC"),
        ((7, 3, 96, 3), True, "--axes YXTC"),
    ],
)
def test_pages_that_would_be_too_narrow_are_not_guessed(
    shape: tuple[int, ...], colours: bool, mend: str
) -> None:
    with pytest.raises(ImageError, match=rf"pages of \d+ x \d+ pixels; .* {mend}$"):
        ReadOptions().layout_of(shape, colours=colours)


@pytest.mark.parametrize(
    "shape", [(96, 96, 33), (5, 96, 8), (96, 20, 6), (60, 28, 28), (100, 4, 700)]
)
def test_pages_that_are_small_are_pages(shape: tuple[int, ...]) -> None:
    assert ReadOptions().layout_of(shape).axes == "TYX"


@pytest.mark.parametrize("axes", ["YX", "TYXC", "TTX", "YYX", "TCY", ""])
def test_axes_that_do_not_fit(axes: str) -> None:
    with pytest.raises(ImageError, match=r"do not fit shape \(2, 3, 4\)"):
        Layout.read((2, 3, 4), axes)


@pytest.mark.parametrize("shape", [(), (8,), (1,) * 5 + (8, 9)])
def test_shapes_of_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="2 to 6 dimensions"):
        Layout.read(shape)


@pytest.mark.parametrize("axes", ["TYXZ", "ZTYX", "YXTC", "TCYX", "TZCYX"])
def test_a_large_array_is_arranged_like_a_small_one(
    monkeypatch: pytest.MonkeyPatch, axes: str
) -> None:
    sizes = {"T": 5, "Z": 2, "C": 3, "Y": 4, "X": 6}
    shape = [sizes[letter] for letter in axes]
    array = np.arange(np.prod(shape)).reshape(shape)
    layout = Layout(axes, array.shape)
    small = layout.arrange(array)
    monkeypatch.setattr(scratch, "MAPPED_FROM", 1)
    monkeypatch.setattr(scratch, "PIECE", 64)
    large = layout.arrange(array)
    np.testing.assert_array_equal(large, small)
    np.testing.assert_array_equal(layout.restore(large), array)
