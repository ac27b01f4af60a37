"""How the axes of an array are read: pages, rows and columns, channels."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ImageError
from evodenoise.system.scratch import is_large, map_pieces

Array = npt.NDArray[Any]

MOST_CHANNELS = 4
"""So many values along C are the colours of a pixel; more are pages."""

PAGE_LETTERS = ("", "T", "TZ", "PTZ", "RPTZ")
"""What so many axes of pages are called if nobody says it."""

SMALLEST_SIDE = 4
NARROW_SIDE, NARROWER = 32, 4
"""Fewer columns than that, and than a fourth of the rows and of the pages, are taken for the
channels of one image rather than for the columns of many."""


@dataclass(frozen=True)
class Layout:
    """The arrangement of an array in its file, and the way to our own and back.

    Our own order is (pages, Y, X, channels), where pages and channels may be absent.

    Attributes
    ----------
    axes : str
        A letter for each dimension: Y and X, C or S for channels; all others are pages.
    shape : tuple of int
        The array's.
    """

    axes: str
    shape: tuple[int, ...]

    @classmethod
    def read(
        cls, shape: tuple[int, ...], axes: str | None = None, *, colours: bool = True
    ) -> "Layout":
        """Read the axes of an array.

        Parameters
        ----------
        shape : tuple of int
            The array's.
        axes : str, optional
            What the file or the user says; without it they are guessed.
        colours : bool
            Whether a guess may find channels.

        Raises
        ------
        ImageError
            If the axes do not fit the shape, or the shape does not tell them.
        """
        if axes is None:
            axes = guess_axes(shape, colours=colours)
        axes = axes.upper()
        if len(axes) != len(shape) or len(set(axes)) != len(axes) or not {*"YX"} <= {*axes}:
            raise ImageError(
                f"axes {axes} do not fit shape {shape}: give one letter a dimension, "
                "Y and X among them, C for channels, T or Z for pages"
            )
        return cls(axes, shape)

    @property
    def channel(self) -> str:
        """The letter of the channels, or nothing."""
        if "S" in self.axes:
            return "S"
        return "C" if "C" in self.axes and self.size("C") <= MOST_CHANNELS else ""

    def size(self, letter: str) -> int:
        """Return the length of an axis."""
        return self.shape[self.axes.index(letter)]

    def check_channels(self) -> None:
        """Refuse channels that are too many; of a file's own axes they are taken for pages.

        Raises
        ------
        ImageError
            If there are more than `MOST_CHANNELS`.
        """
        for letter in "CS":
            count = self.size(letter) if letter in self.axes else 0
            if count > MOST_CHANNELS:
                spare = next(other for other in "TZPRVW" if other not in self.axes)
                raise ImageError(
                    f"{count} channels are more than {MOST_CHANNELS}; denoise groups of them, or "
                    f"add --axes {self.axes.replace(letter, spare)} to take them for pages"
                )

    @property
    def pages(self) -> str:
        """The letters of the axes that count pages."""
        return "".join(letter for letter in self.axes if letter not in f"YX{self.channel}")

    @property
    def page_count(self) -> int:
        """How many pages there are; 1 without such an axis."""
        return math.prod(map(self.size, self.pages))

    def arrange(self, array: Array) -> Array:
        """Bring an array of the file's arrangement into our own: (T, Y, X, C), T and C optional."""
        ordered = array.transpose([self.axes.index(letter) for letter in self._order])
        if not _is_mergeable(ordered, len(self.pages)) and is_large(ordered.shape, ordered.dtype):
            ordered = map_pieces(np.asarray, ordered.dtype, ordered)
        return ordered.reshape(*[-1] * bool(self.pages), *ordered.shape[len(self.pages) :])

    def restore(self, pixels: Array) -> Array:
        """Bring an array of our own arrangement, of as many values, into the file's."""
        order = self._order
        shape = [self.size(letter) for letter in order]
        return pixels.reshape(shape).transpose([order.index(letter) for letter in self.axes])

    @property
    def _order(self) -> str:
        return f"{self.pages}YX{self.channel}"


def _is_mergeable(array: Array, count: int) -> bool:
    """Tell whether the first axes of an array can become one without a copy."""
    return all(
        array.strides[axis] == array.strides[axis + 1] * array.shape[axis + 1]
        for axis in range(count - 1)
    )


def guess_axes(shape: tuple[int, ...], *, colours: bool = True) -> str:
    """Guess the axes of an array: pages, Y, X, and few enough values in the end are channels.

    Parameters
    ----------
    shape : tuple of int
        The array's.
    colours : bool
        Whether there can be channels.

    Returns
    -------
    str
        A letter for each dimension.

    Raises
    ------
    ImageError
        If it has too few or too many dimensions, or its pages would be so narrow that the axes
        must be others.
    """
    has_channels = colours and len(shape) > 2 and 1 <= shape[-1] <= MOST_CHANNELS
    inner = "YXC" if has_channels else "YX"
    pages = len(shape) - len(inner)
    if not 0 <= pages < len(PAGE_LETTERS):
        raise ImageError(f"shape {shape} is not an image, which has 2 to 6 dimensions")
    axes = PAGE_LETTERS[pages] + inner
    if pages:
        _check_pages(shape, axes, pages)
    return axes


def _check_pages(shape: tuple[int, ...], axes: str, pages: int) -> None:
    """Refuse a guess that seems to take channels, or pages that stand last, for rows or columns."""
    before, rows, columns = shape[pages - 1 : pages + 2]
    is_tiny = min(rows, columns) < SMALLEST_SIDE
    is_narrow = columns < NARROW_SIDE and columns * NARROWER <= min(rows, before)
    if not is_tiny and not is_narrow:
        return
    outer, letter, rest = axes[: pages - 1], axes[pages - 1], axes[pages + 2 :]
    if rows < SMALLEST_SIDE and not rest:
        inner = "YCX"
    elif columns <= MOST_CHANNELS and not rest:
        inner = "YXC"
    else:
        inner = f"YX{letter}{rest}"
    also = "" if is_tiny else f" or, if that is right, --axes {axes}"
    raise ImageError(
        f"shape {shape} would be {math.prod(shape[:pages])} pages of {columns} x {rows} pixels; "
        f"say what its axes are, for example --axes {outer}{inner}{also}"
    )
