"""The formats, by the endings of file names and by what files start with."""

from collections.abc import Mapping

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
    for known in ALL:
        if head.startswith(known.magic):
            return known
    names = [known.name for known in ALL]
    raise ImageError(f"is not a {', '.join(names[:-1])} or {names[-1]} image")
