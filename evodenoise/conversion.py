"""Between what a file holds, what is denoised, and what is written."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evodenoise.errors import ConfigError
from evodenoise.images import Array, Image, ReadOptions, WriteOptions, convert, read_image

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
    strip : bool
        Whether metadata is dropped.

    Raises
    ------
    ConfigError
        If the type is unknown.
    """

    reading: ReadOptions = field(default_factory=ReadOptions)
    writing: WriteOptions = field(default_factory=WriteOptions)
    dtype: str = SAME
    strip: bool = False

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
    """

    image: Image
    dtype: "np.dtype[np.generic]"

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
        return cls(image.stripped() if settings.strip else image, dtype)

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
            With all else that the input held.
        """
        return self.image.with_pixels(convert(pixels, self.dtype))
