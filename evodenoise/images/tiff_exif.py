"""The directories of EXIF and GPS in a TIFF file, by Pillow; tifffile writes none.

The page is written with a tag in place of each pointer. The directories follow the pages, and
then the tags become the pointers.
"""

import io
import struct
from collections.abc import Mapping, Sequence
from typing import IO, Literal, cast

import tifffile
from PIL import Image as PillowImage
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from evodenoise.images.pillow import EXIF_HEAD
from evodenoise.images.tiff_tags import PHOTO_TAGS, Tag, read_tags

STAND_INS: Mapping[int, int] = {34665: 34664, 34853: 34852}
"""Pointers to EXIF and GPS, and tags that no page has, whose numbers come just before."""

_LONG, _INTEROPERABILITY, _HEADER_BYTES = 4, 40965, 8
Directories = Mapping[int, ImageFileDirectory_v2]


def read_directories(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Directories:
    """Read the directories that a page points to.

    Parameters
    ----------
    file : TiffFile
        Open.
    page : TiffPage
        One of its pages.

    Returns
    -------
    mapping of int to ImageFileDirectory_v2
        By the tags that point to them.
    """
    stream = cast(IO[bytes], file.filehandle)
    pointers = [code for code in STAND_INS if code in page.tags]
    # Of these tags, tifffile takes what they point to for the place of their value.
    return {code: _read_directory(stream, page.tags[code].valueoffset, code) for code in pointers}


def _read_directory(stream: IO[bytes], offset: int, group: int) -> ImageFileDirectory_v2:
    stream.seek(0)
    directory = ImageFileDirectory_v2(stream.read(_HEADER_BYTES), group=group)
    stream.seek(offset)
    directory.load(stream)
    values = dict(directory)  # decoded now, while the file is open
    if group != _INTEROPERABILITY and isinstance(values.get(_INTEROPERABILITY), int):
        inner = _read_directory(stream, values[_INTEROPERABILITY], _INTEROPERABILITY)
        directory[_INTEROPERABILITY] = dict(inner)
    return directory


def stand_ins(directories: Directories) -> list[Tag]:
    """Make the tags that keep the places of the pointers.

    Parameters
    ----------
    directories : mapping
        From `read_directories`.

    Returns
    -------
    list of Tag
        For the page.
    """
    return [Tag(STAND_INS[code], _LONG, 1, bytes(4)) for code in directories]


def from_block(block: bytes) -> tuple[list[Tag], Directories, Literal["<", ">"]]:
    """Take EXIF of another format apart, which is a TIFF file without pixels.

    Parameters
    ----------
    block : bytes
        As Pillow has it.

    Returns
    -------
    tags : list of Tag
        For the page, with those that keep the places of pointers.
    directories : mapping
        What they will point to.
    byteorder : str
        Of all of them, as in `struct`.
    """
    with tifffile.TiffFile(io.BytesIO(block.removeprefix(EXIF_HEAD))) as file:
        page = file.pages.first
        directories = read_directories(file, page)
        return [*read_tags(file, page), *stand_ins(directories)], directories, file.byteorder


def has_thumbnail(block: bytes) -> bool:
    """Say whether there is a small picture in EXIF of another format."""
    with tifffile.TiffFile(io.BytesIO(block.removeprefix(EXIF_HEAD))) as file:
        return len(file.pages) > 1


def to_block(page: tifffile.TiffPage, directories: Directories) -> bytes | None:
    """Put what other formats hold as EXIF together.

    Parameters
    ----------
    page : TiffPage
        Has the tags.
    directories : mapping
        From `read_directories`.

    Returns
    -------
    bytes or None
        As Pillow takes it; None if there is nothing, or nothing that can be read.
    """
    exif = PillowImage.Exif()
    exif.update({code: page.tags.valueof(code) for code in PHOTO_TAGS if code in page.tags})
    for code, directory in directories.items():
        exif.get_ifd(code).update(dict(directory))
    try:
        return exif.tobytes() if exif or directories else None
    except (struct.error, TypeError, ValueError):
        return None


def append_directories(stream: IO[bytes], pages: Sequence[Directories], byteorder: str) -> None:
    """Write the directories behind the pages, and let the pages point to them.

    Parameters
    ----------
    stream : IO[bytes]
        The file, all of whose pages are written; readable.
    pages : sequence of mappings
        The directories of each page.
    byteorder : str
        Of the file, as in `struct`.
    """
    if not any(pages):
        return
    stream.seek(0)
    with tifffile.TiffFile(stream) as file:
        tags = [
            (file.pages[place].aspage().tags[STAND_INS[code]].offset, code, directory)
            for place, directories in enumerate(pages)
            for code, directory in directories.items()
        ]
    for entry, code, directory in tags:
        end = stream.seek(0, 2)
        end += stream.write(bytes(end % 2))  # directories begin at even places
        stream.write(directory.tobytes(end))
        stream.seek(entry)
        stream.write(struct.pack(f"{byteorder}HHLL", code, _LONG, 1, end))
