"""From a layer of napari to what the library takes, and back. Knows layers by their looks only.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ImageError, plural
from evodenoise.images import MOST_PIXELS

if TYPE_CHECKING:
    from evodenoise.denoising.result import DenoiseResult

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
LayerTuple = tuple[Array, dict[str, Any], str]
"""Data, attributes and type of a layer, as napari takes them."""

PLACED = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""Attributes that say where a layer is."""

NOT_KEPT = ("multiscale", "locked_data_level")
"""Attributes of the data that come, not of how they are shown."""

MOST_SHOWN = 99.5
"""Percentile of what is shown; few values beyond it would make all others look alike."""

SHOWN_VALUES = 1_000_000
"""Values that the percentile is read off, about."""

OPAQUE = 4
"""Channels of a colour layer, the last of which is opacity."""


class Pages(StrEnum):
    """How a stack is denoised."""

    PAGES = "pages"
    JOINT = "joint"
    SHOWN = "shown"


@dataclass(frozen=True, eq=False)
class LayerImage:
    """What is denoised of a layer.

    Attributes
    ----------
    name : str
        Of the layer.
    data : array-like, shape (..., Y, X) or (..., Y, X, C)
        Its pixels, or those of the largest level; not read yet, maybe.
    rgb : bool
        Whether the last axis holds colours.
    levels : int
        Of a multiscale layer; 1: it is none.
    attributes : mapping
        All others of the layer, as napari takes them.
    """

    name: str
    data: Any
    rgb: bool
    levels: int
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, layer: Any) -> "LayerImage":
        """Look at a layer, without reading its pixels.

        Raises
        ------
        ImageError
            If it is of a kind that cannot be denoised.
        """
        data, attributes, kind = layer.as_layer_data_tuple()
        if kind != "image":
            raise ImageError(f"{layer.name}: is a layer of {kind}; choose one of images")
        levels = len(data) if layer.multiscale else 1
        image = cls(
            layer.name, data[0] if layer.multiscale else data, layer.rgb, levels, attributes
        )
        image._check()
        return image

    def _check(self) -> None:
        kind = np.dtype(self.data.dtype).kind
        if kind == "c":
            raise ImageError(
                f"{self.name}: complex values; make a layer of their magnitude, or of each part"
            )
        if kind == "b":
            raise ImageError(f"{self.name}: only True and False; numbers are needed, as uint8")
        if len(self.shape) < 2:
            raise ImageError(f"{self.name}: {plural(len(self.shape), 'axis')}; two are needed")
        pixels = math.prod(self.shape)
        if pixels > MOST_PIXELS:
            raise ImageError(
                f"{self.name}: {pixels / 1e6:.0f} million pixels; at most "
                f"{MOST_PIXELS // 10**6} million fit, so crop it, or use the command line"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the axes that are not colours."""
        shape = tuple(map(int, self.data.shape))
        return shape[:-1] if self.rgb else shape

    @property
    def pages(self) -> int:
        """How many there are, of all axes but the last two."""
        return math.prod(self.shape[:-2])

    @property
    def is_stack(self) -> bool:
        """Whether there are axes beside height and width."""
        return len(self.shape) > 2

    @property
    def channels(self) -> int:
        """Colours, opacity not counted."""
        return min(int(self.data.shape[-1]), OPAQUE - 1) if self.rgb else 1

    def page(self, place: Sequence[int], translate: Sequence[float]) -> "LayerImage":
        """Return one page, as a stack of that alone.

        Parameters
        ----------
        place : sequence of int
            Where it is, on each axis but the last two.
        translate : sequence of float
            Where its first pixel is, as the layer's attribute of that name.
        """
        one = (*(slice(each, each + 1) for each in place),)
        return replace(
            self, data=self.data[one], attributes={**self.attributes, "translate": translate}
        )

    def read(self) -> "Pixels":
        """Read the pixels, which may take a while.

        Raises
        ------
        ImageError
            If that fails.
        """
        try:
            values = np.asarray(self.data)
        except Exception as error:  # whatever stands behind a lazy array
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ImageError(f"{self.name}: cannot be read: {reason}") from error
        pages = values.reshape(self.pages, *values.shape[len(self.shape) - 2 :])
        if not self.rgb or values.shape[-1] < OPAQUE:
            return Pixels(pages, None, self.data.shape)
        return Pixels(pages[..., :-1], pages[..., -1], self.data.shape)

    def describe(self, pages: Pages) -> str:
        """Tell what will be denoised, for people, before it is.

        Parameters
        ----------
        pages : Pages
            What becomes of a stack.
        """
        height, width = self.shape[-2:]
        colour = "colour" if self.rgb else "gray"
        said = [f"{width} x {height} pixels, {colour}, {np.dtype(self.data.dtype)}"]
        if self.levels > 1:
            said[0] += f"; the largest of {self.levels} levels"
        if self.is_stack:
            said.append(self._describe_pages(pages))
        if self.rgb and self.data.shape[-1] == OPAQUE:
            said.append("Opacity is kept as it is")
        return ". ".join(said) + "."

    def _describe_pages(self, pages: Pages) -> str:
        axes = " x ".join(map(str, self.shape[:-2]))
        count = f"{plural(self.pages, 'page')} ({axes})" if len(self.shape) > 3 else axes
        if pages is Pages.SHOWN:
            return f"Only the page that is shown, of {count}"
        if pages is Pages.JOINT:
            return f"All {count} pages together: one model learns from them all"
        return f"All {count} pages, one after the other: each has a model of its own"


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of a layer.

    Attributes
    ----------
    pages : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Colours without opacity.
    opacity : ndarray, shape (T, Y, X), or None
        It is copied, never denoised.
    shape : tuple of int
        Of the layer's data.
    """

    pages: Array
    opacity: Array | None
    shape: tuple[int, ...]

    @property
    def invisible(self) -> Mask | None:
        """Pixels (T, Y, X) of which nothing can be seen, and nothing is learned; None: no pixel."""
        if self.opacity is None:
            return None
        hidden: Mask = self.opacity == 0
        hidden &= ~hidden.all(axis=(-2, -1), keepdims=True)
        return hidden if hidden.any() else None

    def put_back(self, pages: Array) -> Array:
        """Give pages (T, Y, X) or (T, Y, X, C) the shape of the layer, with its opacity."""
        if self.opacity is None:
            return pages.reshape(self.shape)
        hidden, whole = self.invisible, np.array(pages)
        if hidden is not None:
            whole[hidden] = self.pages[hidden]
        return np.concatenate([whole, self.opacity[..., None]], -1).reshape(self.shape)

    def gray(self, values: Array, *, squared: bool = False) -> Array:
        """Average values (T, Y, X[, C]) over colours, and give them the shape of the layer."""
        if values.ndim == 4:
            values = np.sqrt(np.square(values).mean(-1)) if squared else values.mean(-1)
        axes = len(self.shape) - (self.pages.ndim == 4)
        return values.astype(np.float32).reshape(self.shape[:axes])


def denoised_layer(image: LayerImage, data: Array, about: Mapping[str, Any]) -> LayerTuple:
    """Describe the layer of the result, which is shown as that of the noisy image is.

    Parameters
    ----------
    image : LayerImage
        The noisy image.
    data : ndarray
        Of the shape and type of its data.
    about : mapping
        How it came about, for its metadata.
    """
    kept = {key: value for key, value in image.attributes.items() if key not in NOT_KEPT}
    metadata = {**kept.get("metadata", {}), "evodenoise": dict(about)}
    name = f"{image.name} denoised"
    return data, {**kept, "name": name, "metadata": metadata, "visible": True}, "image"


def uncertainty_layer(image: LayerImage, pixels: Pixels, std: Array) -> LayerTuple:
    """Describe the layer of the errors' standard deviation (T, Y, X[, C]); in colour of all."""
    data = pixels.gray(std, squared=True)
    most = _largest(data)
    own = {"colormap": "magma", "contrast_limits": (0.0, most), "visible": False}
    return data, _beside(image, "uncertainty", own), "image"


def residual_layer(image: LayerImage, pixels: Pixels, denoised: Array) -> LayerTuple:
    """Describe the layer of noisy minus denoised (T, Y, X[, C]); in colour of the brightness."""
    difference = pixels.pages.astype(np.float64) - denoised
    data = pixels.gray(difference)
    most = _largest(data)
    own = {"colormap": "PiYG", "contrast_limits": (-most, most), "visible": False}
    return data, _beside(image, "residual", own), "image"


def _beside(image: LayerImage, what: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """List attributes of a layer that is where the image is, and is shown in its own way."""
    placed = {key: image.attributes[key] for key in PLACED if key in image.attributes}
    metadata = dict(image.attributes.get("metadata", {}))
    return {**placed, "name": f"{image.name} {what}", "metadata": metadata, **own, "rgb": False}


def _largest(values: Array) -> float:
    """Find how far from 0 most values are; never 0."""
    flat = np.abs(values.reshape(-1)[:: 1 + values.size // SHOWN_VALUES])
    known = flat[np.isfinite(flat)]
    return float(np.percentile(known, MOST_SHOWN)) if known.any() else 1.0


def describe_result(result: "DenoiseResult", settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take down how a result came about, in plain numbers and words for metadata.

    Parameters
    ----------
    result : DenoiseResult
        What came of it.
    settings : mapping
        What was asked for.
    """
    from evodenoise import __version__

    return {
        "version": __version__,
        **settings,
        "noise_std": result.noise_std,
        "noise": result.noise_estimate.kind.value,
        "device": result.device,
        "epochs": len(result.history),
        "estimated_rmse": result.estimated_rmse,
        "impulses": result.impulses,
    }
