"""How the axes of an array are read: pages, rows and columns, channels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ImageError

Array = npt.NDArray[Any]

MOST_CHANNELS = 4
"""So many values along C are the colours of a pixel; more are pages."""

PAGE_LETTERS = ("", "T", "TZ", "PTZ", "RPTZ")
"""What so many axes of pages are called if nobody says it."""


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
    def read(cls, shape: tuple[int, ...], axes: str | None = None) -> "Layout":
        """Read the axes of an array whose file says nothing about them.

        Parameters
        ----------
        shape : tuple of int
            The array's.
        axes : str, optional
            What the user knows. Without it two to four values along the last of three or more
            dimensions are channels, and what stands before Y and X are pages.

        Raises
        ------
        ImageError
            If the axes do not fit the shape.
        """
        if axes is None:
            axes = guess_axes(shape)
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
        is_colour = "C" in self.axes and self.shape[self.axes.index("C")] <= MOST_CHANNELS
        return "C" if is_colour else ""

    @property
    def pages(self) -> str:
        """The letters of the axes that count pages."""
        return "".join(letter for letter in self.axes if letter not in f"YX{self.channel}")

    @property
    def page_count(self) -> int:
        """How many pages there are; 1 without such an axis."""
        return int(np.prod([self.shape[self.axes.index(letter)] for letter in self.pages]))

    def arrange(self, array: Array) -> Array:
        """Bring an array of the file's arrangement into our own: (T, Y, X, C), T and C optional."""
        ordered = array.transpose([self.axes.index(letter) for letter in self._order])
        return ordered.reshape(*[-1] * bool(self.pages), *ordered.shape[len(self.pages) :])

    def restore(self, pixels: Array) -> Array:
        """Bring an array of our own arrangement, of as many values, into the file's."""
        shape = [self.shape[self.axes.index(letter)] for letter in self._order]
        order = self._order
        return pixels.reshape(shape).transpose([order.index(letter) for letter in self.axes])

    @property
    def _order(self) -> str:
        return f"{self.pages}YX{self.channel}"


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
        If it has too few or too many dimensions.
    """
    has_channels = colours and len(shape) > 2 and 1 <= shape[-1] <= MOST_CHANNELS
    inner = "YXC" if has_channels else "YX"
    pages = len(shape) - len(inner)
    if not 0 <= pages < len(PAGE_LETTERS):
        raise ImageError(f"shape {shape} is not an image, which has 2 to 6 dimensions")
    return PAGE_LETTERS[pages] + inner
