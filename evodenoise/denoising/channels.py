"""What of an array is to be denoised: channels that say something, pixels that are there.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.system.scratch import pieces

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class ChannelPlan:
    """Which channels of an array are to be denoised.

    Attributes
    ----------
    kept : tuple of int
        Channels that differ from each other and are not constant.
    sources : tuple of (int or None)
        For each channel of the array its place among those; None: it is constant.
    constants : tuple of float
        For each channel of the array its value if it is constant; else 0.
    has_gaps : bool
        Whether any pixel is missing.
    """

    kept: tuple[int, ...]
    sources: tuple[int | None, ...]
    constants: tuple[float, ...]
    has_gaps: bool

    @classmethod
    def of(cls, pages: Array, missing: Mask | None = None) -> "ChannelPlan":
        """Look through pages (T, Y, X, C), of which nan and `missing` (T, Y, X) are unknown.

        Few of their values are looked at at a time.
        """
        channels = range(pages.shape[-1])
        pairs = [(one, other) for other in channels for one in range(other)]
        low, high = np.full(len(channels), np.inf), np.full(len(channels), -np.inf)
        first, equal = np.full(len(channels), np.nan), dict.fromkeys(pairs, True)
        has_gaps = False
        for place in pieces(pages):
            values = pages[place]
            unknown = unknown_pixels(values, None if missing is None else missing[place[:3]])
            seen = values[~unknown]  # (N, C)
            has_gaps |= len(seen) < unknown.size
            if not len(seen):
                continue
            low, high = np.fmin(low, seen.min(0)), np.fmax(high, seen.max(0))
            first = np.where(np.isnan(first), seen[0].astype(np.float64), first)
            for one, other in pairs:
                equal[one, other] &= bool((seen[:, one] == seen[:, other]).all())
        kept: list[int] = []
        sources: list[int | None] = []
        for channel in channels:
            same = [place for place, other in enumerate(kept) if equal[other, channel]]
            if _constant(float(low[channel]), float(high[channel])):
                sources.append(None)
            elif same:
                sources.append(same[0])
            else:
                sources.append(len(kept))
                kept.append(channel)
        constants = [
            0.0 if source is not None or math.isnan(value) else value
            for source, value in zip(sources, first.tolist(), strict=True)
        ]
        return cls(tuple(kept), tuple(sources), tuple(constants), has_gaps)


def unknown_pixels(pages: Array, missing: Mask | None = None) -> Mask:
    """Mark the pixels of an array (..., C) that are nan in a channel, or said to be missing."""
    unknown = np.zeros(pages.shape[:-1], bool)
    if pages.dtype.kind == "f":
        unknown |= np.isnan(pages).any(-1)
    if missing is not None:
        unknown |= missing
    return unknown


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
    plan : ChannelPlan
        Which channels of the array they are.
    """

    values: Array
    missing: Mask
    plan: ChannelPlan

    @classmethod
    def of(
        cls,
        pages: Array,
        missing: Mask | None = None,
        *,
        plan: ChannelPlan | None = None,
        most_pages: int | None = None,
    ) -> "DistinctChannels":
        """Take apart pages (T, Y, X, C), of which nan and `missing` (T, Y, X) are unknown.

        Parameters
        ----------
        pages : ndarray, shape (T, Y, X, C)
            Finite or nan.
        missing : ndarray of bool, shape (T, Y, X), optional
            Pixels that do not count.
        plan : ChannelPlan, optional
            Which channels to take; by default those that differ in these pages.
        most_pages : int, optional
            Take the values of so many pages only; all of them still tell which channels differ.
        """
        plan = plan or ChannelPlan.of(pages, missing)
        unknown = unknown_pixels(pages, missing)
        if most_pages is not None:
            chosen = spread_pages(unknown, most_pages)
            pages, unknown = pages[chosen], unknown[chosen]
        values = pages[..., plan.kept].astype(np.float64)
        for page, gaps in zip(values, unknown, strict=True):
            fill_missing(page, gaps)
        return cls(values, unknown, plan)

    @property
    def constant(self) -> bool:
        """Whether there is nothing to denoise."""
        return not self.values.size

    def restore(self, estimate: Array, *, constants: bool = True) -> Array:
        """Put an estimate (T, Y, X, C) of `values` back in its place in the array.

        Parameters
        ----------
        estimate : ndarray, shape (T, Y, X, C)
            Of `values`.
        constants : bool
            Whether channels that are constant get their value, or 0.

        Returns
        -------
        ndarray of float64, shape (T, Y, X, C')
            The estimate in all channels.
        """
        result = np.empty((*estimate.shape[:-1], len(self.plan.sources)))
        for channel, source in enumerate(self.plan.sources):
            constant = self.plan.constants[channel] if constants else 0.0
            result[..., channel] = constant if source is None else estimate[..., source]
        return result


def spread_pages(missing: Mask, most: int) -> Indices:
    """Choose pages, evenly spaced, of those that are not missing (T, Y, X) altogether."""
    known = np.flatnonzero(~missing.all(axis=(1, 2)))
    places = np.linspace(0, len(known) - 1, min(len(known), most)).round()
    return known[np.unique(places.astype(np.intp))]


def _constant(low: float, high: float) -> bool:
    """Tell whether there is one value only, up to rounding; or none at all."""
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
