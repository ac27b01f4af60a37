"""Arrays larger than the memory should hold: in temporary files without a name.

Their pages come into memory as they are touched, and go when they are forgotten or when the
system needs the room. `TMPDIR` says where the files are.
"""

import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ScratchError

Array = npt.NDArray[Any]
Place = tuple[int | slice, ...]

MAPPED_FROM = 16 * 2**20
"""Bytes from which on an array is kept in a file rather than in memory."""

PIECE = 8 * 2**20
"""Bytes of an array that are worked on at once, roughly."""

_ZEROS = bytes(2**20)


class SharedMapping(mmap.mmap):
    """A file in memory. What is written reaches the file, so that its pages may go at any time."""


def is_large(shape: tuple[int, ...], dtype: npt.DTypeLike) -> bool:
    """Tell whether an array is one that should not be in memory as a whole."""
    return math.prod(shape) * np.dtype(dtype).itemsize >= max(MAPPED_FROM, 1)


def scratch_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Make an array of zeros: a small one in memory, a large one in a temporary file.

    The file has no name, so that nothing is left of it however the process ends, and its room on
    the disk is taken at once.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    dtype : dtype
        Of its values.

    Returns
    -------
    ndarray
        Writable, in the order of C.

    Raises
    ------
    ScratchError
        If there is no room for it on the disk.
    """
    kind = np.dtype(dtype)
    if not is_large(shape, kind):
        return np.zeros(shape, kind)
    size = math.prod(shape) * kind.itemsize
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            _allocate(file, size)
            return np.ndarray(shape, kind, SharedMapping(file.fileno(), size))
    except OSError as error:
        raise ScratchError(
            f"no room for {size / 1e6:.0f} MB in the folder for temporary files: "
            f"{error.strerror or error}; free some, or name another folder in TMPDIR"
        ) from error


def _allocate(file: IO[bytes], size: int) -> None:
    """Take the room on the disk: a page without it would end the process when it is written."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - start])
    file.flush()


def map_file(stream: IO[bytes]) -> SharedMapping:
    """Map an open file, to be read only; the mapping outlives the stream.

    Parameters
    ----------
    stream : IO[bytes]
        A file, not empty.

    Returns
    -------
    SharedMapping
        Bytes from its beginning to its end.
    """
    return SharedMapping(stream.fileno(), 0, access=mmap.ACCESS_READ)


def forget(array: Array) -> None:
    """Tell the system that an array's pages may leave the memory; its values are kept.

    Nothing happens to an array that is in memory only, or where systems do not take the advice.

    Parameters
    ----------
    array : ndarray
        From `scratch_array` or on top of a `map_file`, or a view of one: all of the mapping goes.
    """
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    # Pages of a mapping of another kind could be all that there is of what was written.
    if isinstance(base, SharedMapping) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def pieces(array: Array) -> Iterator[Place]:
    """Cut an array along its first axes into pieces of about `PIECE` bytes.

    Parameters
    ----------
    array : ndarray
        Of any shape.

    Yields
    ------
    tuple of int and slice
        The place of each piece, in the order of C. Whoever takes them in turn has the array's
        pages forgotten in between.
    """
    for place in _places(array.shape, array.itemsize):
        yield place
        forget(array)


def _places(shape: tuple[int, ...], itemsize: int) -> Iterator[Place]:
    if not shape:
        yield ()
        return
    row = math.prod(shape[1:]) * itemsize
    if row <= PIECE:
        step = PIECE // max(row, 1)
        yield from ((slice(start, start + step),) for start in range(0, shape[0], step))
        return
    for index in range(shape[0]):
        yield from ((index, *rest) for rest in _places(shape[1:], itemsize))


def map_pieces(function: Callable[..., Array], dtype: npt.DTypeLike, *arrays: Array) -> Array:
    """Compute an array from others of its shape, piece by piece.

    Parameters
    ----------
    function : callable
        From as many pieces as there are arrays to one of the result, value by value.
    dtype : dtype
        Of the result.
    *arrays : ndarray
        Of one shape.

    Returns
    -------
    ndarray
        A `scratch_array`.
    """
    result = scratch_array(arrays[0].shape, dtype)
    for place in pieces(result):
        result[place] = function(*(array[place] for array in arrays))
        for array in arrays:
            forget(array)
    return result
