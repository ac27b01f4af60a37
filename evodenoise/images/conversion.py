"""Between what a file holds, what is denoised, and what is written."""

from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ConfigError, ImageError
from evodenoise.images import Array, Image, ReadOptions, WriteOptions, convert, read_image
from evodenoise.images.levels import (
    DType,
    Rescaling,
    check_levels,
    choose_rescaling,
    rounding_warnings,
)
from evodenoise.system.scratch import map_pieces

Mask = npt.NDArray[np.bool_]

SAME = "same"
WITH_LEVELS = ("uint8", "uint16")
DTYPES = (SAME, *WITH_LEVELS, "float32")
"""What values may be asked for; `SAME`: as in the input."""


@dataclass(frozen=True)
class FileSettings:
    """What the user wants of the files of a run.

    Attributes
    ----------
    reading : ReadOptions
        How inputs are read.
    writing : WriteOptions
        How results are written.
    dtype : str
        Of the values of a result, one of `DTYPES`.
    rescale : bool
        Whether values are spread over the range of that type, see `choose_rescaling`; otherwise
        they stay as they are, but rounded and clipped.
    strip : bool
        Whether metadata is dropped.
    mask : Path or None
        An image whose values other than zero mark missing pixels.

    Raises
    ------
    ConfigError
        If the type is unknown, or has no range to spread values over.
    """

    reading: ReadOptions = field(default_factory=ReadOptions)
    writing: WriteOptions = field(default_factory=WriteOptions)
    dtype: str = SAME
    rescale: bool = False
    strip: bool = False
    mask: Path | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype {self.dtype!r} is unknown; use one of {', '.join(DTYPES)}")
        if self.rescale and self.dtype not in WITH_LEVELS:
            raise ConfigError(
                f"--rescale does nothing for --dtype {self.dtype}; "
                f"it needs --dtype {' or '.join(WITH_LEVELS)}"
            )


@dataclass(frozen=True)
class Conversion:
    """An input, and how it becomes a result.

    Attributes
    ----------
    image : Image
        As in its file, but for metadata that is not wanted.
    dtype : dtype
        Of the result.
    missing : ndarray of bool, shape (Y, X) or (T, Y, X), optional
        Pixels that are masked, invisible or no numbers; None: there is none.
    rescaling : Rescaling, optional
        From the values of the image to those of the result; None: they are the same.
    warnings : tuple of str
        What the user should know about the way to the result, in plain sentences.
    """

    image: Image
    dtype: DType
    missing: Mask | None = None
    rescaling: Rescaling | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path, settings: FileSettings) -> "Conversion":
        """Read an input.

        Parameters
        ----------
        path : Path
            The file.
        settings : FileSettings
            What is wanted of it.

        Returns
        -------
        Conversion
            Its contents.

        Raises
        ------
        ImageError
            If it cannot be read, or little would be left of it in the type that is wanted.
        """
        image = read_image(path, settings.reading)
        dtype = image.pixels.dtype if settings.dtype == SAME else np.dtype(settings.dtype)
        missing = _missing(image, settings.mask)
        if missing is not None and missing.all():
            raise ImageError(f"{path}: every pixel is missing; nothing is left to learn from")
        conversion = cls(image.stripped() if settings.strip else image, dtype, missing)
        try:
            return conversion._fitted(rescale=settings.rescale)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error

    def _fitted(self, *, rescale: bool) -> "Conversion":
        """Fit the values into the integers of the result, if there are any of both."""
        known = self._known()
        if self.dtype.kind not in "ui" or not known.size:
            return self
        rescaling, said = choose_rescaling(known, self.dtype) if rescale else (None, ())
        check_levels(known, self.dtype, rescaling)
        said += rounding_warnings(known, rescaling)
        return replace(self, rescaling=rescaling, warnings=said)

    def _known(self) -> Array:
        """Collect the values that count: numbers, neither missing nor infinite."""
        pixels = self.image.pixels
        if pixels.dtype.kind not in "uif":
            return pixels[:0]
        known = pixels if self.missing is None else pixels[~self.missing]
        return known[np.isfinite(known)] if known.dtype.kind == "f" else known

    @property
    def noisy(self) -> Array:
        """What is denoised: floating-point numbers if the result holds such, or is rescaled."""
        pixels = self.image.pixels
        if pixels.dtype.kind not in "ui":
            return pixels
        if self.rescaling is not None:  # or it would be rounded twice
            return convert(pixels, np.result_type(pixels, np.float32))
        return convert(pixels, self.dtype) if self.dtype.kind == "f" else pixels

    def result(self, pixels: Array) -> Image:
        """Make the result from denoised pixels.

        Parameters
        ----------
        pixels : ndarray
            Of the shape of the input's.

        Returns
        -------
        Image
            With all else that the input held, the colours of invisible pixels too.
        """
        result, hidden = self._converted(pixels), self.image.invisible
        if hidden is not None:
            if result is pixels:
                result = map_pieces(np.asarray, result.dtype, pixels)
            result[hidden] = self._converted(self.image.pixels[hidden])
        return self.image.with_pixels(result)

    def _converted(self, values: Array) -> Array:
        rescaling = self.rescaling
        if rescaling is None:
            return convert(values, self.dtype)
        return map_pieces(
            lambda piece: convert(rescaling.apply(piece), self.dtype), self.dtype, values
        )

    def shown_std(self, std: Array, *, written: bool = False) -> Array:
        """Return standard deviations as they go into a file: none where pixels stay as they are.

        Parameters
        ----------
        std : ndarray of float32
            In the units of the input, of the shape of its pixels.
        written : bool
            Whether they are wanted in the units of the result.
        """
        hidden = self.image.invisible
        factor = self.rescaling.factor if written and self.rescaling is not None else 1.0
        if hidden is None and factor == 1:
            return std
        shown = map_pieces(lambda piece: piece * factor, np.float32, std)
        if hidden is not None:
            shown[hidden] = 0
        return shown

    def in_units_of_input(self, result: Array) -> Array:
        """Return the pixels of a result, but in the units of the input if they were rescaled."""
        if self.rescaling is None:
            return result
        return map_pieces(self.rescaling.undo, np.float64, result)


def _missing(image: Image, mask: Path | None) -> Mask | None:
    """Find the pixels of an image of which nothing is known."""
    marked = [] if image.invisible is None else [image.invisible]
    if image.pixels.dtype.kind == "f":
        unknown = map_pieces(np.isnan, bool, image.pixels)
        has_channels = unknown.ndim > 2 + image.is_stack
        marked.append(np.asarray(unknown.any(-1)) if has_channels else unknown)
    if mask is not None:
        marked.append(_fit_mask(mask, image))
    missing = reduce(np.logical_or, marked) if marked else np.zeros(1, bool)
    return missing if missing.any() else None


def read_mask(path: Path) -> Mask:
    """Read which pixels are missing: those whose values are not zero.

    Parameters
    ----------
    path : Path
        An image, gray or of channels that agree.

    Returns
    -------
    ndarray of bool, shape (Y, X) or (T, Y, X)
        The missing pixels.

    Raises
    ------
    ImageError
        If it cannot be read, or its channels mark different pixels.
    """
    mask = read_image(path)
    marked: Mask = mask.pixels != 0
    if mask.channels == 1:
        return marked
    if (marked != marked[..., :1]).any():
        raise ImageError(
            f"{path}: its {mask.channels} channels mark different pixels; save the mask as a "
            "gray image that is zero where the pixels are good"
        )
    return marked[..., 0]


def _fit_mask(path: Path, image: Image) -> Mask:
    """Read a mask of one page, or of as many as the image has."""
    marked = read_mask(path)
    expected = image.pages.shape[:3]
    if marked.shape not in (expected, expected[1:]):
        raise ImageError(
            f"{path}: shape {marked.shape}, but the image has {expected[0]} pages of "
            f"{expected[2]} x {expected[1]} pixels; the mask must show the same pixels"
        )
    return np.asarray(marked if image.is_stack else marked.reshape(expected[1:]))
