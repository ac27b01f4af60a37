"""The values of a TIFF file: those of a large one are read and written piece by piece."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import IO, Any, Literal

import numpy as np
import tifffile

from evodenoise.errors import ImageError
from evodenoise.images.axes import Array
from evodenoise.system.scratch import PIECE, forget, is_large, pieces, scratch_array

BUFFER = 2**24
"""Bytes of a large file that are read before they are decoded."""


_CALLS = 16
"""So many strips or tiles are written between two times that the pixels are forgotten."""


class _Forgetting(contextlib.AbstractContextManager[None]):
    """What tifffile takes for the lock that it reads under; meanwhile, an array is forgotten."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __enter__(self) -> None:
        forget(self._array)

    def __exit__(self, *_: object) -> None:
        pass


def decode(stream: IO[bytes], series: tifffile.TiffPageSeries) -> Array:
    """Decode the pages of a series.

    Parameters
    ----------
    stream : IO[bytes]
        The file.
    series : TiffPageSeries
        Of this file only; no page is missing.

    Returns
    -------
    ndarray
        In the byte order of the machine.
    """
    native = np.dtype(series.dtype).newbyteorder("=")
    if not is_large(series.shape, native) or series.transform is not None:
        array = series.asarray(maxworkers=1)
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    array = scratch_array(series.shape, native)
    if series.dataoffset is not None:
        stored = native.newbyteorder(series.keyframe.parent.byteorder)
        _copy(stream, series.dataoffset, stored, array)
        return array
    pages: list[Any] = list(series.pages)
    planes = array.reshape(len(pages), *series.keyframe.shape)
    for page, plane in zip(pages, planes, strict=True):
        page.asarray(out=plane, maxworkers=1, buffersize=BUFFER, lock=_Forgetting(array))
    forget(array)
    return array


def _copy(stream: IO[bytes], offset: int, stored: "np.dtype[Any]", array: Array) -> None:
    """Copy values that stand one after the other."""
    stream.seek(offset)
    for place in pieces(array):
        piece = np.empty(array[place].shape, stored)
        if stream.readinto(piece.data.cast("B")) != piece.nbytes:  # type: ignore[attr-defined]
            raise ImageError("cannot be read: image file is truncated")
        array[place] = piece


class ForgettingStream(io.RawIOBase):
    """A file that is written to, and an array whose pages are forgotten meanwhile.

    Parameters
    ----------
    stream : IO[bytes]
        The file.
    array : ndarray
        What is being written.
    """

    def __init__(self, stream: IO[bytes], array: Array) -> None:
        self._stream, self._array, self._calls = stream, array, 0

    def write(self, data: Any) -> int:
        """Write bytes."""
        self._calls += 1
        if self._calls % _CALLS == 0 or len(data) >= PIECE:
            forget(self._array)
        return self._stream.write(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        return self._stream.read(size)


def for_writer(
    values: Array, byteorder: Literal["<", ">"], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Hand values to `tifffile.TiffWriter.write`.

    Parameters
    ----------
    values : ndarray
        Of a page, or of pages that follow each other.
    byteorder : str
        Of the file, as in `struct`.
    settings : mapping
        What else the writer is told.

    Returns
    -------
    dict
        Keyword arguments: the values as they are, or piece by piece. What is compressed or cut
        into tiles, the writer takes in parts by itself.
    """
    is_plain = settings.get("compression") in (None, tifffile.COMPRESSION.NONE)
    if not is_plain or "tile" in settings or not is_large(values.shape, values.dtype):
        return {"data": values}
    stored = values.dtype.newbyteorder(byteorder)
    return {"data": _in_order(values, stored), "shape": values.shape, "dtype": stored}


def _in_order(values: Array, stored: "np.dtype[Any]") -> Iterator[bytes]:
    for place in pieces(values):
        yield values[place].astype(stored, copy=False).tobytes()
