"""Between what a file holds, what is denoised, and what is written."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ConfigError, ImageError
from evodenoise.images import Array, Image, ReadOptions, WriteOptions, convert, read_image

Mask = npt.NDArray[np.bool_]

SAME = "same"
DTYPES = (SAME, "uint8", "uint16", "float32")
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
        Whether values are brought to the span of `dtype`, not rounded and clipped as they are.
    strip : bool
        Whether metadata is dropped.
    mask : Path or None
        An image whose values other than zero mark missing pixels.

    Raises
    ------
    ConfigError
        If the type is unknown.
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
    """

    image: Image
    dtype: "np.dtype[np.generic]"
    missing: Mask | None = None

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
            If it cannot be read.
        """
        image = read_image(path, settings.reading)
        dtype = image.pixels.dtype if settings.dtype == SAME else np.dtype(settings.dtype)
        missing = _missing(image, settings.mask)
        if missing is not None and missing.all():
            raise ImageError(f"{path}: every pixel is missing; nothing is left to learn from")
        return cls(image.stripped() if settings.strip else image, dtype, missing)

    @property
    def noisy(self) -> Array:
        """What is denoised: floating-point numbers if the result holds such."""
        pixels = self.image.pixels
        is_finer = self.dtype.kind == "f" and pixels.dtype.kind in "ui"
        return convert(pixels, self.dtype) if is_finer else pixels

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
        result, hidden = convert(pixels, self.dtype), self.image.invisible
        if hidden is not None:
            result = result.copy()
            result[hidden] = convert(self.image.pixels[hidden], self.dtype)
        return self.image.with_pixels(result)


def _missing(image: Image, mask: Path | None) -> Mask | None:
    """Find the pixels of an image of which nothing is known."""
    missing = np.zeros(image.pixels.shape[: 2 + image.is_stack], bool)
    if image.invisible is not None:
        missing |= image.invisible
    if image.pixels.dtype.kind == "f":
        unknown = np.isnan(image.pixels)
        missing |= unknown.any(-1) if unknown.ndim > missing.ndim else unknown
    if mask is not None:
        missing |= _read_mask(mask, image)
    return missing if missing.any() else None


def _read_mask(path: Path, image: Image) -> Mask:
    """Read a mask of one page, or of as many as the image has."""
    mask = read_image(path)
    marked = mask.pixels != 0
    if mask.channels > 1:
        marked = marked.any(-1)
    expected = image.pages.shape[:3]
    if marked.shape not in (expected, expected[1:]):
        raise ImageError(
            f"{path}: shape {marked.shape}, but the image has {expected[0]} pages of "
            f"{expected[2]} x {expected[1]} pixels; the mask must show the same pixels"
        )
    return np.asarray(marked if image.is_stack else marked.reshape(expected[1:]))
