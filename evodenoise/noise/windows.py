"""What surrounds each pixel of a plane.

Dimensions: Y, X height and width, K pixels that are looked at more closely.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, uniform_filter

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

# Batcher's network: pairs to be put in order one after the other.
NETWORK = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *((0, 4), (3, 7), (1, 5), (2, 6), (1, 4), (3, 6), (2, 4), (3, 5), (3, 4)),
)


def mean_around(plane: Array, side: int) -> Array:
    """Average a plane (Y, X) over a square window around each pixel."""
    average: Array = uniform_filter(plane, side, mode="reflect")
    return average


def rank_neighbours(plane: Array, distance: int = 1) -> list[Array]:
    """Sort the eight neighbours of each pixel, so many rows and columns away: (Y, X) eight times.

    Robust averages are means of some of them.
    """
    height, width = plane.shape
    padded = np.pad(plane, distance, mode="reflect")
    steps = (0, distance, 2 * distance)
    ranked = [
        padded[row : row + height, column : column + width].copy()
        for row in steps
        for column in steps
        if (row, column) != (distance, distance)
    ]
    for one, other in NETWORK:
        least = np.minimum(ranked[one], ranked[other])
        np.maximum(ranked[one], ranked[other], out=ranked[other])
        ranked[one] = least
    return ranked


def cut_windows(plane: Array, places: tuple[Indices, ...], reach: int) -> Array:
    """Cut out what is around pixels (K,), row by row: (K, (2 reach + 1)^2)."""
    padded = np.pad(plane, reach, mode="reflect")
    steps = np.arange(2 * reach + 1)
    offsets = (steps[:, None] * padded.shape[1] + steps).ravel()
    corners = places[0] * padded.shape[1] + places[1]
    windows: Array = padded.ravel()[corners[:, None] + offsets]
    return windows


def fill_with_nearest(plane: Array, known: Mask) -> Array:
    """Give the pixels of a plane (Y, X) that are not known the value of the nearest that is."""
    if known.all():
        return plane
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled: Array = plane[tuple(nearest)]
    return filled
