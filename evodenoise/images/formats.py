"""The formats, by the endings of file names and by what files start with."""

from collections.abc import Mapping
from pathlib import Path

from evodenoise.errors import ImageError
from evodenoise.images.bmp import BMP
from evodenoise.images.fits import FITS
from evodenoise.images.format import Format
from evodenoise.images.jpeg import JPEG
from evodenoise.images.npy import NPY
from evodenoise.images.png import PNG
from evodenoise.images.tiff import TIFF
from evodenoise.images.webp import WEBP

ALL = (PNG, JPEG, TIFF, WEBP, BMP, NPY, FITS)
"""Every format, the most usual first."""

FORMATS: Mapping[str, Format] = {ending: known for known in ALL for ending in known.endings}
"""File name endings and what they stand for."""

HEAD_BYTES = 16
"""So many bytes tell a format from the others."""


def format_of(path: Path) -> Format:
    """Find the format of a file by what is in it.

    Raises
    ------
    ImageError
        If it cannot be read, or none is known that starts so.
    """
    try:
        with path.open("rb") as stream:
            return recognise(stream.read(HEAD_BYTES))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def recognise(head: bytes) -> Format:
    """Find the format of a file by its first bytes.

    Parameters
    ----------
    head : bytes
        At least `HEAD_BYTES` of them, if the file has as many.

    Returns
    -------
    Format
        The format.

    Raises
    ------
    ImageError
        If none is known that starts so.
    """
    if not head:
        raise ImageError("the file is empty")
    for known in ALL:
        if head.startswith(known.magic):
            return known
    names = [known.name for known in ALL]
    raise ImageError(f"is not a {', '.join(names[:-1])} or {names[-1]} image")
