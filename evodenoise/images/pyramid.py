"""Smaller copies of an array, and arrays cut into the regions that are stored together."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from evodenoise.images.axes import Array
from evodenoise.images.image import convert
from evodenoise.system import scratch
from evodenoise.system.scratch import forget, scratch_array

Region = tuple[slice, ...]


def regions(shape: Sequence[int], chunks: Sequence[int], itemsize: int) -> Iterator[Region]:
    """Cut an array into regions of whole chunks, of about `scratch.PIECE` bytes if they can be.

    Parameters
    ----------
    shape, chunks : sequence of int
        Of the array and of what is stored together.
    itemsize : int
        Bytes of a value.

    Yields
    ------
    tuple of slice
        The regions, none of which overlap.
    """
    block = list(chunks)
    for axis in reversed(range(len(block))):
        room = scratch.PIECE // (math.prod(block) * itemsize)
        block[axis] = max(1, min(shape[axis], block[axis] * max(room, 1)))
    ranges = (
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(shape, block, strict=True)
    )
    yield from itertools.product(*ranges)


def shrink(array: Array, shape: Sequence[int]) -> Array:
    """Average an array over blocks of as many values as make it fit a smaller shape.

    Parameters
    ----------
    array : ndarray
        Any numbers.
    shape : sequence of int
        At most as long as the array along each axis. Lengths that are rounded up end with a block
        that is not full; if they are rounded down, some values at the end do not count.

    Returns
    -------
    ndarray
        Of that shape and the array's type; integers are rounded.
    """
    edges = [_edges(size, count) for size, count in zip(array.shape, shape, strict=True)]
    result = scratch_array(tuple(shape), array.dtype)
    wide = np.dtype(np.float64).itemsize * max(1, array.size // max(1, result.size))
    for region in regions(shape, (1,) * len(shape), wide):
        cuts = [ends[part.start : part.stop + 1] for ends, part in zip(edges, region, strict=True)]
        source = tuple(slice(int(cut[0]), int(cut[-1])) for cut in cuts)
        piece = array[source].astype(np.float64)
        for axis, cut in enumerate(cuts):
            piece = _mean(piece, axis, cut)
        result[region] = convert(piece, array.dtype)
        forget(array)
        forget(result)
    return result


def _edges(size: int, count: int) -> npt.NDArray[np.int64]:
    """Say where the blocks along an axis begin, and where the last one ends."""
    factor = max(1, round(size / count))
    if count in (size // factor, -(-size // factor)):
        return np.minimum(np.arange(count + 1) * factor, size)
    return np.arange(count + 1) * size // count


def _mean(values: Array, axis: int, edges: npt.NDArray[np.int64]) -> Array:
    """Average between edges along an axis."""
    counts = np.diff(edges)
    if (counts == 1).all():
        return values
    sums = np.add.reduceat(values, edges[:-1] - edges[0], axis=axis)
    shape = [1] * values.ndim
    shape[axis] = -1
    return np.asarray(sums / counts.reshape(shape))
