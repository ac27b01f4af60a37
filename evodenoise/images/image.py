"""An image as it is between two files: colours, opacity, and all that stands beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.images.axes import Array, Layout
from evodenoise.system.numbers import round_to
from evodenoise.system.scratch import is_large, map_pieces, scratch_array

RESOLUTION, ICC_PROFILE, EXIF, XMP = "resolution", "ICC profile", "EXIF", "XMP"
"""Metadata that several formats know: dots an inch (x, y), and three kinds of bytes."""


@dataclass(frozen=True)
class Metadata:
    """What stands in a file beside its pixels.

    Attributes
    ----------
    names : tuple of str
        What there is, for people.
    shared : mapping
        What other formats know too: `RESOLUTION`, `ICC_PROFILE`, `EXIF`, `XMP`.
    native : object
        All of it, as the writer of the same format takes it.
    inside_exif : frozenset of str
        Those names that stand in `EXIF`, too.
    """

    names: tuple[str, ...] = ()
    shared: Mapping[str, Any] = field(default_factory=dict)
    native: Any = None
    inside_exif: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Image:
    """The contents of an image file.

    Attributes
    ----------
    pixels : ndarray, shape (Y, X), (Y, X, C), (T, Y, X) or (T, Y, X, C)
        Gray levels or colours as they are in the file, without opacity; T counts pages.
    format : str
        Name of the format that it was read from.
    layout : Layout
        The file's own arrangement of pixels and opacity.
    alpha : ndarray, shape (Y, X) or (T, Y, X), optional
        Opacity, of the type of the pixels. It is copied, never denoised.
    transparent : bool
        Whether pixels of no opacity are invisible; no, if `alpha` is a channel of unknown meaning.
    metadata : Metadata
        What stands beside the pixels.
    encoding : object
        How the format stores the values (compression, byte order, ...), for its own writer.
    warnings : tuple of str
        What the user should know about this file, in plain sentences.
    uncertainty : ndarray of float32, optional
        Standard deviation of the errors of the pixels, of their shape, for pages of its own.
    """

    pixels: Array
    format: str
    layout: Layout
    alpha: Array | None = None
    transparent: bool = True
    metadata: Metadata = field(default_factory=Metadata)
    encoding: Any = None
    warnings: tuple[str, ...] = ()
    uncertainty: Array | None = None

    @classmethod
    def plain(cls, pixels: Array, axes: str) -> "Image":
        """Make an image that is nothing but an array, with a letter for each axis."""
        return cls(pixels, "", Layout(axes, pixels.shape))

    @property
    def is_stack(self) -> bool:
        """Whether the first axis counts pages."""
        return bool(self.layout.pages)

    @property
    def pages(self) -> Array:
        """The pages, of shape (Y, X) or (Y, X, C) each."""
        return self.pixels if self.is_stack else self.pixels[None]

    @property
    def channels(self) -> int:
        """Colours of a pixel, opacity not counted."""
        return int(self.pixels.shape[-1]) if self._has_channel_axis else 1

    @property
    def axes(self) -> str:
        """The axes of `pixels`, a letter each."""
        return "T" * self.is_stack + "YX" + "C" * self._has_channel_axis

    @property
    def _has_channel_axis(self) -> bool:
        return self.pixels.ndim - self.is_stack == 3

    @property
    def samples(self) -> Array:
        """Colours and opacity together, (..., Y, X) or (..., Y, X, C)."""
        if self.alpha is None:
            return self.pixels
        colours = self.pixels if self._has_channel_axis else self.pixels[..., None]
        shape = (*colours.shape[:-1], colours.shape[-1] + 1)
        samples = scratch_array(shape, colours.dtype)
        samples[..., :-1] = colours
        samples[..., -1] = self.alpha
        return samples

    @property
    def raster(self) -> Array:
        """Samples as most formats take them: row by row, one colour without an axis of its own."""
        samples = self.samples
        if self._has_channel_axis and samples.shape[-1] == 1:
            samples = samples[..., 0]
        return np.ascontiguousarray(samples)

    @property
    def invisible(self) -> npt.NDArray[np.bool_] | None:
        """Which pixels show nothing of their colour, of the shape of `alpha`; None: no pixel.

        Where a page has no opacity at all, it says nothing.
        """
        if self.alpha is None or not self.transparent:
            return None
        hidden = self.alpha == 0
        hidden &= ~hidden.all(axis=(-2, -1), keepdims=True)
        return hidden if hidden.any() else None

    def blank(self, dtype: np.dtype[Any] | None = None) -> "Image":
        """Return the image with pixels of zeros, of its type or another; many are only one."""
        kind, shape = dtype or self.pixels.dtype, self.pixels.shape
        if is_large(shape, kind):
            return self.with_pixels(np.broadcast_to(np.zeros((), kind), shape))
        return self.with_pixels(np.zeros(shape, kind))

    def with_pixels(self, pixels: Array) -> "Image":
        """Return the image with other pixels; opacity takes their type."""
        alpha = None if self.alpha is None else convert_opacity(self.alpha, pixels.dtype)
        return replace(self, pixels=pixels, alpha=alpha)

    def stripped(self) -> "Image":
        """Return the image without its metadata."""
        return replace(self, metadata=Metadata())


def from_samples(samples: Array, layout: Layout, *, has_alpha: bool) -> tuple[Array, Array | None]:
    """Part an array of a file's arrangement into colours and opacity.

    Parameters
    ----------
    samples : ndarray
        As it stands in the file.
    layout : Layout
        Its arrangement.
    has_alpha : bool
        Whether the last channel is opacity.

    Returns
    -------
    pixels, alpha : ndarray
        For `Image`; one colour stands without an axis of its own.
    """
    arranged = layout.arrange(samples)
    if not has_alpha:
        return arranged, None
    colours, alpha = arranged[..., :-1], arranged[..., -1]
    return (colours[..., 0] if colours.shape[-1] == 1 else colours), alpha


def convert(values: Array, dtype: np.dtype[Any] | str) -> Array:
    """Give values another type: rounded and clipped where it holds integers, never rescaled.

    Parameters
    ----------
    values : ndarray
        Pixels.
    dtype : dtype or str
        The wanted type.

    Returns
    -------
    ndarray
        Of that type.
    """
    target = np.dtype(dtype)
    if values.dtype == target:
        return values
    if target.kind == "f":
        return map_pieces(lambda piece: piece.astype(target), target, values)
    return map_pieces(lambda piece: round_to(piece, target), target, values)


def convert_opacity(alpha: Array, dtype: np.dtype[Any]) -> Array:
    """Give opacity another type; full opacity is the largest integer, or 1, of each."""
    if alpha.dtype == dtype:
        return alpha
    old, new = _full(alpha.dtype), _full(dtype)
    return map_pieces(
        lambda piece: convert(piece.astype(np.float64) / old * new, dtype), dtype, alpha
    )


def _full(dtype: np.dtype[Any]) -> float:
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0
