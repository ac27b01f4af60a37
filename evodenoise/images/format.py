"""What a file format is to us, and what is asked of its reader and its writer."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evodenoise.errors import ImageError
from evodenoise.images.axes import Layout
from evodenoise.images.image import Image

MOST_PIXELS = 500_000_000
"""More are taken for a file made to exhaust the memory, unless the user says otherwise."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file.

    Attributes
    ----------
    axes : str or None
        What the axes of the array are, if the user knows better than the file.
    most_pixels : int
        Rows by columns by pages; a file that promises more is refused unread.
    """

    axes: str | None = None
    most_pixels: int = MOST_PIXELS

    def layout_of(
        self, shape: tuple[int, ...], axes: str | None = None, *, colours: bool = True
    ) -> Layout:
        """Read the axes of an array, and refuse more pixels than are allowed.

        Parameters
        ----------
        shape : tuple of int
            The array's.
        axes : str, optional
            What the file says; it yields to what the user says. Without either they are guessed.
        colours : bool
            Whether a guess may find channels.

        Returns
        -------
        Layout
            The arrangement.

        Raises
        ------
        ImageError
            If the axes do not fit, cannot be guessed, or are channels that are too many, or if
            there are too many pixels.
        """
        if self.axes is None:
            layout = Layout.read(shape, axes, colours=colours)
        else:
            layout = Layout.read(shape, self.axes)
            layout.check_channels()
        self.check_size(layout.page_count, layout.size("Y"), layout.size("X"))
        return layout

    def check_size(self, *counts: int) -> None:
        """Refuse more pixels than are allowed.

        Raises
        ------
        ImageError
            If the product of the counts is too large.
        """
        if math.prod(counts) > self.most_pixels:
            raise ImageError(
                f"{' x '.join(map(str, counts))} pixels are more than {self.most_pixels}; "
                f"if you trust the file, add --max-pixels {math.prod(counts)}"
            )


@dataclass(frozen=True)
class WriteOptions:
    """How to write a file.

    Attributes
    ----------
    quality : int or None
        Of lossy compression, from 1 to 100; None: 95 in a JPEG, and no loss in a WebP.
    """

    quality: int | None = None


@dataclass(frozen=True)
class Format:
    """A file format: what it can hold, and who reads and writes it.

    Attributes
    ----------
    name : str
        For messages.
    endings : tuple of str
        Of file names, the usual one first.
    magic : tuple of bytes
        What files start with.
    dtypes : tuple of str
        Types of values.
    channels : tuple of int
        Numbers of colours, opacity not counted; none given: any.
    alpha, pages, quality : bool
        Whether it knows opacity, several pages, a quality.
    shared : frozenset of str
        Which metadata of other formats it takes.
    drops : callable
        Names what it does not keep of those, of an image from a file of another format.
    takes_pages : callable
        Tells whether error bars can follow an image as pages of their own.
    is_folder : bool
        Whether an image is a folder, and readers and writers take its `Path` for a stream.
    read : callable
        From a stream to an `Image`; raises `ImageError` without the name of the file, and
        almost anything on damaged data.
    write : callable
        Writes an `Image` to a stream.
    """

    name: str
    endings: tuple[str, ...]
    magic: tuple[bytes, ...]
    dtypes: tuple[str, ...]
    read: Callable[[Any, ReadOptions], Image]
    write: Callable[[Any, Image, WriteOptions], None]
    channels: tuple[int, ...] = (1, 3)
    alpha: bool = True
    pages: bool = False
    quality: bool = False
    is_folder: bool = False
    shared: frozenset[str] = frozenset()
    drops: Callable[[Image], tuple[str, ...]] = lambda _: ()
    takes_pages: Callable[[Image], bool] = lambda _: False
