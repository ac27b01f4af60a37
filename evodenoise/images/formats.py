"""The formats, by the endings of file names and by what files start with."""

from collections.abc import Mapping
from pathlib import Path

from evodenoise.errors import ImageError
from evodenoise.images.bmp import BMP
from evodenoise.images.fits import FITS
from evodenoise.images.format import Format
from evodenoise.images.jpeg import JPEG
from evodenoise.images.npy import NPY
from evodenoise.images.ome_zarr import ZARR
from evodenoise.images.png import PNG
from evodenoise.images.tiff import TIFF
from evodenoise.images.webp import WEBP
from evodenoise.images.zarr_nodes import is_store

ALL = (PNG, JPEG, TIFF, WEBP, BMP, NPY, FITS, ZARR)
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
        if is_image_folder(path):
            return ZARR
        with path.open("rb") as stream:
            return recognise(stream.read(HEAD_BYTES))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def is_image_folder(path: Path) -> bool:
    """Tell whether a folder is one image, by its name or by what is in it."""
    return path.is_dir() and (path.suffix.lower() in ZARR.endings or is_store(path))


def is_folder_name(path: Path) -> bool:
    """Tell whether what is written under a name will be a folder."""
    known = FORMATS.get(path.suffix.lower())
    return known is not None and known.is_folder


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
    names = [known.name for known in ALL if not known.is_folder]
    raise ImageError(f"is not a {', '.join(names[:-1])} or {names[-1]} image")
