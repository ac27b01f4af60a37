"""The tags of a TIFF page: read as they are, and written again as they were."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import tifffile

KIND, DESCRIPTION, RESOLUTION_TAGS, ICC_PROFILE, XMP, EXIF, GPS = (
    *(254, 270, (282, 283, 296)),
    *(34675, 700),
    *(34665, 34853),
)

PHOTO_TAGS = (271, 272, 274, 305, 306, 315, 33432)
"""Tags of a page that other formats have in their EXIF: maker, orientation, time and the like."""

# Described anew by the writer, for they say how and where the values are stored.
_STRUCTURE = frozenset(
    (
        *(254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
        *(322, 323, 324, 325, 330, 332, 334, 338, 339, 347, *range(512, 522), *range(529, 533)),
        *(32997, 32998, 34665, 34853, 40965),
    )
)
_RATIONALS = (5, 10)  # pairs of integers, signed or not
_INCH, _CENTIMETRE, _CENTIMETRES_AN_INCH = 2, 3, 2.54


@dataclass(frozen=True)
class Tag:
    """A tag of a page.

    Attributes
    ----------
    code, dtype, count : int
        As in the file.
    value : bytes or tuple of int
        In the byte order of the file; rational numbers as numerators and denominators.
    """

    code: int
    dtype: int
    count: int
    value: Any


def read_tags(file: tifffile.TiffFile, page: tifffile.TiffPage) -> list[Tag]:
    """Read the tags of a page that do not say how its values are stored.

    Parameters
    ----------
    file : TiffFile
        Open.
    page : TiffPage
        One of its pages.

    Returns
    -------
    list of Tag
        In the order of the page.
    """
    return [_read_tag(file, tag) for tag in page.tags if tag.code not in _STRUCTURE]


def _read_tag(file: tifffile.TiffFile, tag: tifffile.TiffTag) -> Tag:
    if tag.dtype in _RATIONALS:
        return Tag(tag.code, int(tag.dtype), tag.count, tuple(map(int, tag.value)))
    file.filehandle.seek(tag.valueoffset)
    return Tag(tag.code, int(tag.dtype), tag.count, file.filehandle.read(tag.valuebytecount))


def settings(tags: Sequence[Tag]) -> dict[str, Any]:
    """Turn tags into what `tifffile.TiffWriter.write` takes.

    Parameters
    ----------
    tags : sequence of Tag
        Of one page.

    Returns
    -------
    dict
        Keyword arguments.
    """
    density = {tag.code: tag.value for tag in tags if tag.code in RESOLUTION_TAGS}
    taken: dict[str, Any] = {}
    if {282, 283} <= density.keys():
        taken["resolution"] = (density[282], density[283])
        unit = density.get(296)
        taken["resolutionunit"] = max(unit[0], unit[-1]) if unit else _INCH
    taken["extratags"] = [
        (tag.code, tag.dtype, tag.count, tag.value, True)
        for tag in tags
        if tag.code not in RESOLUTION_TAGS
    ]
    return taken


def retyped(pages: Sequence[Sequence[Tag]], old: str, new: str) -> list[list[Tag]]:
    """Correct what the tags say of the type of the values.

    Parameters
    ----------
    pages : sequence of sequences of Tag
        Of each page.
    old, new : str
        Types before and after.

    Returns
    -------
    list of lists of Tag
        The same, but for the type in OME-XML.
    """
    if old == new:
        return [list(tags) for tags in pages]
    return [[_retyped(tag, new) for tag in tags] for tags in pages]


def _retyped(tag: Tag, dtype: str) -> Tag:
    if tag.code != DESCRIPTION or b"<OME" not in tag.value:
        return tag
    name = {"float32": b"float", "float64": b"double"}.get(dtype, dtype.encode())
    text = re.sub(rb'(<Pixels\b[^>]*\bType=")[^"]*', rb"\g<1>" + name, tag.value)
    text = re.sub(rb'(<Pixels\b[^>]*?) SignificantBits="[^"]*"', rb"\g<1>", text)
    return replace(tag, value=text, count=len(text))


def dots_an_inch(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Read the resolution, if it has a unit.

    Parameters
    ----------
    page : TiffPage
        With or without the tags.

    Returns
    -------
    tuple of float or None
        Dots an inch along x and y.
    """
    unit = page.tags.valueof(296, default=_INCH)
    pairs = [page.tags.valueof(code) for code in (282, 283)]
    if unit not in (_INCH, _CENTIMETRE) or any(not pair or not pair[1] for pair in pairs):
        return None
    scale = _CENTIMETRES_AN_INCH if unit == _CENTIMETRE else 1.0
    x, y = (pair[0] / pair[1] * scale for pair in pairs)
    return (x, y) if x and y else None


def names(file: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[str, ...]:
    """Name the tags for people.

    Parameters
    ----------
    file : TiffFile
        Open.
    page : TiffPage
        Its first page.

    Returns
    -------
    tuple of str
        Metadata of known kinds first.
    """
    kinds = {"OME-XML": file.is_ome, "ImageJ metadata": file.is_imagej}
    found = [name for name, there in kinds.items() if there]
    known = {ICC_PROFILE: "ICC profile", XMP: "XMP", EXIF: "EXIF", GPS: "GPS"}
    if dots_an_inch(page) is not None:
        found.append("resolution")
    for tag in page.tags:
        if (tag.code in known or tag.code not in _STRUCTURE) and tag.code not in RESOLUTION_TAGS:
            found.append(known.get(tag.code, f"tag {tag.name}"))
    return tuple(dict.fromkeys(found))
