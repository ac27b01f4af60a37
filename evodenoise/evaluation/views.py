"""Small pictures of an image before and after, for a page that shows many."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image  # noqa: TID251 - draws, reads no files

from evodenoise.evaluation.figures import DETAIL_SHARE, NOISE_SPAN, Tones, choose_detail

Array = npt.NDArray[Any]

VIEW_SIDE = 320
"""Longest side of a view of a whole image, in pixels; smaller images stay as they are."""
SMALLEST_DETAIL, LARGEST_DETAIL = 72, 160
"""Side of a detail, in pixels: those of the image, so that its noise is seen."""
FINENESS = 2
"""Views are averaged in two steps; the first, by whole pixels, leaves so many times their side."""
MEDIA_TYPE = "image/jpeg"
WHOLE = {"quality": 75}
DETAIL = {"quality": 90, "subsampling": 0}
"""How the files are compressed: a detail is looked at enlarged, the grain of its colours too, and
so is an image that is no larger than one."""


@dataclass(frozen=True)
class View:
    """A picture as a file.

    Attributes
    ----------
    width, height : int
        In pixels.
    data : bytes
        The file, of `MEDIA_TYPE`.
    """

    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class Views:
    """An image before and after.

    Attributes
    ----------
    noisy, denoised : View
        The whole image.
    noisy_detail, denoised_detail : View
        The square of it where most is to be seen.
    residual : View
        What was taken away of the whole image.
    frame : tuple of float
        Left, top, width and height of that square, each a share of those of the image.
    span : float
        What is black and white in the residual, plus or minus, in pixel units.
    """

    noisy: View
    denoised: View
    noisy_detail: View
    denoised_detail: View
    residual: View
    frame: tuple[float, float, float, float]
    span: float


NAMES = tuple(field.name for field in fields(Views) if field.type is View)
"""The pictures among the attributes of `Views`."""


def draw_views(noisy: Array, denoised: Array) -> Views:
    """Draw an image before and after, in memory that does not grow with it.

    Parameters
    ----------
    noisy, denoised : ndarray, shape (Y, X) or (Y, X, C)
        Before and after, in the same units.
    """
    before, after = _average(noisy), _average(denoised)
    eight_bits = np.uint8 in (noisy.dtype, denoised.dtype)
    tones = Tones(0.0, 255.0) if eight_bits else Tones.of(_known(after))
    difference = _fit(before - after)
    # Averaging has left less of the noise than there was: what shows is structure.
    span = NOISE_SPAN * float(_known(difference).std()) or 1.0
    top, left, side = _find_detail(after, denoised.shape[:2])
    square = np.s_[top : top + side, left : left + side]
    height, width = denoised.shape[:2]
    whole = WHOLE if max(height, width) > LARGEST_DETAIL else DETAIL
    return Views(
        noisy=_encode(_fit(before), tones, whole),
        denoised=_encode(_fit(after), tones, whole),
        noisy_detail=_encode(np.asarray(noisy[square]), tones, DETAIL),
        denoised_detail=_encode(np.asarray(denoised[square]), tones, DETAIL),
        residual=_encode(difference, Tones(-span, span), whole),
        frame=(left / width, top / height, side / width, side / height),
        span=span,
    )


def _average(image: Array) -> Array:
    """Average blocks of pixels so that a few times the size of a view is left, row by row.

    Pixels that are missing do not count; the last rows and columns that fill no block are left
    out.
    """
    factor = max(1, max(image.shape[:2]) // (FINENESS * VIEW_SIDE))
    high, wide = (min(factor, length) for length in image.shape[:2])
    rows, columns = image.shape[0] // high, image.shape[1] // wide
    result = np.empty((rows, columns, *image.shape[2:]))
    for row in range(rows):
        strip = image[row * high : (row + 1) * high, : columns * wide].astype(np.float64)
        blocks = strip.reshape(high, columns, wide, *image.shape[2:])
        known = np.isfinite(blocks)
        counts, sums = known.sum(axis=(0, 2)), np.where(known, blocks, 0).sum(axis=(0, 2))
        result[row] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return result


def _known(values: Array) -> Array:
    """Leave out what is missing; if that is all, zero stands for it."""
    known = values[np.isfinite(values)]
    return known if known.size else np.zeros(1)


def _fit(image: Array) -> Array:
    """Scale an image down so that it fits into a view."""
    scale = VIEW_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    planes = image[..., None] if image.ndim == 2 else image
    pictures = (Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(planes, 2, 0))
    resized = [picture.resize((width, height), Image.Resampling.BOX) for picture in pictures]
    return np.stack([np.asarray(each) for each in resized], axis=2).reshape(
        height, width, *image.shape[2:]
    )


def _find_detail(reduced: Array, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Find top, left and side of the detail of an image of a shape, by one that was reduced."""
    factors = [full / small for full, small in zip(shape, reduced.shape[:2], strict=True)]
    size = min(max(round(DETAIL_SHARE * min(shape)), SMALLEST_DETAIL), LARGEST_DETAIL, *shape)
    reduced = np.where(np.isfinite(reduced), reduced, _known(reduced).mean())
    top, left, side = choose_detail(reduced, max(1, round(size / max(factors))))
    middles = [(start + side / 2) * each for start, each in zip((top, left), factors, strict=True)]
    top, left = (
        min(max(round(middle - size / 2), 0), length - size)
        for middle, length in zip(middles, shape, strict=True)
    )
    return top, left, size


def _encode(pixels: Array, tones: Tones, options: Mapping[str, int]) -> View:
    picture, stream = tones.draw(pixels), io.BytesIO()
    gray = pixels.ndim == 2 or pixels.shape[2] < 3
    picture.convert("L" if gray else "RGB").save(stream, "JPEG", **options)
    return View(picture.width, picture.height, stream.getvalue())
