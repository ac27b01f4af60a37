"""Writing TIFF: what was read from such a file as it was, other images with what TIFF can hold."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal, NamedTuple, cast

import numpy as np
import tifffile

from evodenoise.images import tiff_exif, tiff_tags
from evodenoise.images.axes import Array
from evodenoise.images.format import WriteOptions
from evodenoise.images.image import EXIF, ICC_PROFILE, RESOLUTION, XMP, Image
from evodenoise.images.tiff_values import ForgettingStream, for_writer

_BYTE = 1  # a type of tags
_GIVEN_APART = (tiff_tags.DESCRIPTION, tiff_tags.XMP, tiff_tags.ICC_PROFILE)
UNCERTAINTY = "standard deviation of the errors"
"""Name of its pages in their descriptions."""

_NONE: tuple[list[tiff_tags.Tag], tiff_exif.Directories, Literal["<", ">"]] = ([], {}, "<")
_LARGEST_CLASSIC = 2**32 - 2**25
"""Bytes of pixels in a file whose offsets have 32 bits, with room for the tags."""


@dataclass(frozen=True)
class Encoding:
    """How a file stores its values.

    Attributes
    ----------
    byteorder : str
        As in `struct`.
    bigtiff : bool
        Whether offsets have 64 bits.
    page : mapping
        What `tifffile.TiffWriter.write` is told of each page.
    page_shape : tuple of int
        Of the array of one page.
    order : tuple of int
        The pages of the array as they stand in the file. One alone may stand for many, whose
        values follow each other.
    dtype : str
        Of the values.
    """

    byteorder: Literal["<", ">"]
    bigtiff: bool
    page: dict[str, Any]
    page_shape: tuple[int, ...]
    order: tuple[int, ...]
    dtype: str


class Native(NamedTuple):
    """What stands beside the pixels of each page: tags, and directories of EXIF and GPS."""

    tags: Sequence[Sequence[tiff_tags.Tag]]
    exif: Sequence[tiff_exif.Directories]


def write(stream: IO[bytes], image: Image, _: WriteOptions) -> None:
    """Write an image.

    Parameters
    ----------
    stream : IO[bytes]
        Readable, too.
    image : Image
        From a file of this or another format.
    """
    encoding = image.encoding
    if not isinstance(encoding, Encoding):
        _write_foreign(stream, image)
        return
    planes = image.layout.restore(image.samples).reshape(-1, *encoding.page_shape)
    native = image.metadata.native or Native([], [])
    tags = tiff_tags.retyped(native.tags, encoding.dtype, planes.dtype.name)
    with tifffile.TiffWriter(
        cast(IO[bytes], ForgettingStream(stream, planes)),
        byteorder=encoding.byteorder,
        bigtiff=encoding.bigtiff or _bytes(planes, image) > _LARGEST_CLASSIC,
        imagej=False,
        ome=False,
    ) as writer:
        is_one_for_all = len(encoding.order) < len(planes)
        for place in encoding.order:
            values = planes if is_one_for_all else planes[place]
            writer.write(
                **for_writer(values, encoding.byteorder, encoding.page),
                metadata=None,
                software=False,
                truncate=is_one_for_all,
                **encoding.page,
                **tiff_tags.settings(tags[place] if tags else ()),
            )
        _write_uncertainty(writer, image, encoding.byteorder)
    in_order = [native.exif[place] for place in encoding.order if native.exif]
    tiff_exif.append_directories(stream, in_order, encoding.byteorder)


def drops(image: Image) -> tuple[str, ...]:
    """Name what is not taken over from the metadata of another format."""
    block = image.metadata.shared.get(EXIF)
    return ("the thumbnail in EXIF",) if block and tiff_exif.has_thumbnail(block) else ()


def takes_pages(image: Image) -> bool:
    """Tell whether pages can follow: not where the first one describes all that there is."""
    encoding, native = image.encoding, image.metadata.native
    if not isinstance(encoding, Encoding):
        return True
    if len(encoding.order) < image.samples.size // math.prod(encoding.page_shape):
        return False
    tags = native.tags[0] if native and native.tags else ()
    said = [tag.value for tag in tags if tag.code == tiff_tags.DESCRIPTION]
    return not any(text.startswith(b"ImageJ=") or b"<OME" in text for text in said)


def _write_foreign(stream: IO[bytes], image: Image) -> None:
    """Write what was read from a file of another format."""
    shared = image.metadata.shared
    tags, directories, byteorder = tiff_exif.from_block(shared[EXIF]) if EXIF in shared else _NONE
    settings = tiff_tags.settings(tags)
    raster = image.raster
    # The letters of the pixels, but S for the channels, if there are several.
    axes = "T" * image.is_stack + "YX" + "S" * (raster.ndim - image.is_stack == 3)
    extra = [tag for tag in settings["extratags"] if tag[0] not in _GIVEN_APART]
    if XMP in shared:
        extra.append((tiff_tags.XMP, _BYTE, len(shared[XMP]), shared[XMP], True))
    if RESOLUTION in shared:
        settings |= {"resolution": shared[RESOLUTION], "resolutionunit": "INCH"}
    if "S" in axes:
        settings["planarconfig"] = "contig"
    if image.alpha is not None:
        settings["extrasamples"] = ["unassalpha"]
    settings |= {
        "photometric": "rgb" if image.channels == 3 else "minisblack",
        "metadata": {"axes": axes} if image.is_stack else None,
        "software": False,
        "iccprofile": shared.get(ICC_PROFILE),
        "extratags": extra,
    }
    settings |= for_writer(raster, byteorder, settings)
    bigtiff = _bytes(raster, image) > _LARGEST_CLASSIC
    with tifffile.TiffWriter(stream, byteorder=byteorder, bigtiff=bigtiff) as writer:
        writer.write(**settings)
        _write_uncertainty(writer, image, byteorder)
    tiff_exif.append_directories(stream, [directories], byteorder)


def _bytes(values: Array, image: Image) -> int:
    """Count the bytes of all pages."""
    return int(values.nbytes + (0 if image.uncertainty is None else image.uncertainty.nbytes))


def _write_uncertainty(
    writer: tifffile.TiffWriter, image: Image, byteorder: Literal["<", ">"]
) -> None:
    """Append the standard deviation of the errors; channels that are no colours get a page each.

    The strips are unlike those of any other page, lest readers take these for further ones of it.
    """
    if image.uncertainty is None:
        return
    pages = image.uncertainty if image.is_stack else image.uncertainty[None]
    colours = image.channels == 3
    if not colours:
        pages = np.moveaxis(pages.reshape(*pages.shape[:3], -1), 3, 1)
        pages = pages.reshape(-1, *pages.shape[2:])
    settings: dict[str, Any] = {
        "photometric": "rgb" if colours else "minisblack",
        "rowsperstrip": max(1, pages.shape[1] // 3),
        "description": json.dumps({"shape": pages.shape[1:], "Name": UNCERTAINTY}),
    }
    if colours:
        settings["planarconfig"] = "contig"
    for page in pages:
        values = for_writer(page, byteorder, settings)
        writer.write(**values, metadata=None, software=False, **settings)
