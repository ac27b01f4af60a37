"""What of an array is to be denoised: channels that say something, pixels that are there.

Dimensions: T pages, Y, X height and width, C channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.noise.impulses import find_impulses

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class DistinctChannels:
    """The values of a stack of pages, and how a result gets its shape.

    Attributes
    ----------
    values : ndarray of float64, shape (T, Y, X, C)
        Channels that differ from each other and are not constant; missing pixels are filled
        with an average of their surroundings.
    missing : ndarray of bool, shape (T, Y, X)
        Pixels of which at least one channel is not known.
    sources : tuple of (int or None)
        For each channel of the array its place among those of `values`; None: it is constant.
    """

    values: Array
    missing: Mask
    sources: tuple[int | None, ...]

    @classmethod
    def of(
        cls, pages: Array, missing: Mask | None = None, *, most_pages: int | None = None
    ) -> "DistinctChannels":
        """Take apart pages (T, Y, X, C), of which nan and `missing` (T, Y, X) are unknown.

        Parameters
        ----------
        pages : ndarray, shape (T, Y, X, C)
            Finite or nan.
        missing : ndarray of bool, shape (T, Y, X), optional
            Pixels that do not count.
        most_pages : int, optional
            Take the values of so many pages only; all of them still tell which channels differ.
        """
        unknown = np.isnan(pages).any(-1) if pages.dtype.kind == "f" else np.zeros(1, bool)
        unknown = np.broadcast_to(unknown, pages.shape[:-1]).copy()
        if missing is not None:
            unknown = unknown | missing
        kept, sources = _distinct_channels(pages, ~unknown)
        if most_pages is not None:
            chosen = spread_pages(unknown, most_pages)
            pages, unknown = pages[chosen], unknown[chosen]
        values = pages[..., kept].astype(np.float64)
        for page, gaps in zip(values, unknown, strict=True):
            fill_missing(page, gaps)
        return cls(values, unknown, sources)

    @property
    def constant(self) -> bool:
        """Whether there is nothing to denoise."""
        return not self.values.size

    def restore(self, estimate: Array, pages: Array) -> Array:
        """Put an estimate (T, Y, X, C) of `values` back in place of what `pages` holds.

        Parameters
        ----------
        estimate : ndarray, shape (T, Y, X, C)
            Of `values`.
        pages : ndarray, shape (T, Y, X, C')
            The array that was taken apart.

        Returns
        -------
        ndarray of float64, shape (T, Y, X, C')
            The estimate in all channels; constant ones are as they were, without gaps.
        """
        result = np.empty(pages.shape)
        for channel, source in enumerate(self.sources):
            if source is not None:
                result[..., channel] = estimate[..., source]
            else:
                seen = pages[..., channel][~self.missing]
                result[..., channel] = seen[0] if len(seen) else 0.0
        return result


def mark_impulses(pages: Array, missing: Mask | None) -> Mask:
    """Find the impulses of pages (T, Y, X, C), page by page: (T, Y, X).

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X, C)
        Finite or nan.
    missing : ndarray of bool, shape (T, Y, X), optional
        Pixels that do not count, and are not found either.

    Returns
    -------
    ndarray of bool, shape (T, Y, X)
        What `find_impulses` finds.
    """
    gaps = [None] * len(pages) if missing is None else missing
    return np.stack([find_impulses(*page) for page in zip(pages, gaps, strict=True)])


def spread_pages(missing: Mask, most: int) -> Indices:
    """Choose pages, evenly spaced, of those that are not missing (T, Y, X) altogether."""
    known = np.flatnonzero(~missing.all(axis=(1, 2)))
    places = np.linspace(0, len(known) - 1, min(len(known), most)).round()
    return known[np.unique(places.astype(np.intp))]


def _distinct_channels(pages: Array, seen: Mask) -> tuple[list[int], tuple[int | None, ...]]:
    """List the channels to keep, and where each channel's values are among those."""
    kept: list[int] = []
    sources: list[int | None] = []
    for channel in range(pages.shape[-1]):
        values = pages[..., channel][seen]
        same = [
            place for place, other in enumerate(kept) if (values == pages[..., other][seen]).all()
        ]
        if _constant(values):
            sources.append(None)
        elif same:
            sources.append(same[0])
        else:
            sources.append(len(kept))
            kept.append(channel)
    return kept, tuple(sources)


def _constant(values: Array) -> bool:
    """Tell whether there is one value only, up to rounding."""
    if not len(values):
        return True
    low, high = float(values.min()), float(values.max())
    return bool(high - low <= 16 * np.finfo(np.float64).eps * max(abs(low), abs(high)))


def fill_missing(image: Array, missing: Mask) -> None:
    """Replace missing pixels by averages of what is near, wider where there is nothing near.

    Parameters
    ----------
    image : ndarray of float64, shape (Y, X, C)
        Changed in place.
    missing : ndarray of bool, shape (Y, X)
        Pixels to be replaced; if all are, with zeros.
    """
    from scipy.ndimage import gaussian_filter

    if not missing.any():
        return
    image[missing] = 0.0
    scale = max(float(np.abs(image).max(initial=0.0)), 1e-300)
    left = missing.copy()
    width = 1.0
    # The wider the average, the nearer the weight comes to the share of what is known.
    enough = min(1e-3, float((~missing).mean()) / 2)
    while left.any() and not missing.all():
        weight = gaussian_filter((~missing).astype(np.float64), width, mode="reflect")
        reached = left & (weight > enough)
        for channel in range(image.shape[2]):
            known = np.where(missing, 0.0, image[..., channel] / scale)
            smooth = gaussian_filter(known, width, mode="reflect")
            image[reached, channel] = smooth[reached] / weight[reached] * scale
        left &= ~reached
        width *= 2
