"""Reading TIFF, by tifffile: pages, planes and axes, and how the values are stored."""

import logging
from typing import IO, Any

import numpy as np
import tifffile

from evodenoise.errors import ImageError, plural
from evodenoise.images import tiff_exif, tiff_tags
from evodenoise.images.axes import Array, Layout
from evodenoise.images.format import Format, ReadOptions
from evodenoise.images.image import (
    EXIF,
    ICC_PROFILE,
    RESOLUTION,
    XMP,
    Image,
    Metadata,
    from_samples,
)
from evodenoise.images.tiff_values import decode
from evodenoise.images.tiff_writing import UNCERTAINTY, Encoding, Native, drops, takes_pages, write

# What tifffile thinks of a damaged file is told in one line by the ImageError.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_COLOURS = {"MINISBLACK": 1, "MINISWHITE": 1, "RGB": 3, "YCBCR": 3, "PALETTE": 1}
_LOSSLESS = ("NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD")
_TILE_STEP = 16  # pixels
_WHOLE_BYTE = 8


def _read(stream: IO[bytes], options: ReadOptions) -> Image:
    with tifffile.TiffFile(stream) as file:
        series, warnings = _only_series(file)
        page = series.keyframe
        _check_kind(page)
        layout = options.layout_of(series.shape, _letters(series))
        _check_whole(series)
        array = decode(stream, series)
        array, layout, expanded = _expand(array, page, layout)
        has_alpha, transparent = _opacity(page, layout)
        pixels, alpha = from_samples(array, layout, has_alpha=has_alpha)
        return Image(
            pixels,
            "TIFF",
            layout,
            alpha,
            transparent=transparent,
            metadata=_metadata(file, series),
            encoding=_encoding(file, series, array, layout),
            warnings=(*warnings, *expanded, *_recoded(file, page)),
        )


def _letters(series: tifffile.TiffPageSeries) -> str:
    """Return the axes as the file has them; a letter may stand for one axis only."""
    letters, spare = "", iter("TZRPVW")
    for letter in series.axes:
        letters += letter if letter not in letters else next(a for a in spare if a not in letters)
    return letters


def _only_series(file: tifffile.TiffFile) -> tuple[tifffile.TiffPageSeries, list[str]]:
    """Find the pages that make up the image."""
    every = [each for each in file.series if UNCERTAINTY not in each.keyframe.description]
    main = [series for series in every if not series.keyframe.is_reduced]
    others = len(every) - len(main)
    if len(main) != 1:
        raise ImageError(
            f"{plural(len(main), 'image')} of different kinds or sizes; "
            "only one image or stack is supported"
        )
    series, warnings = main[0], []
    if any(page is None or page.parent is not file for page in series.pages):
        raise ImageError("some of its pages are missing or in other files")
    if others or len(series.levels) > 1 or series.keyframe.subifds:
        warnings.append("its smaller copies (thumbnail or pyramid) are not kept")
    return series, warnings


def _check_kind(page: tifffile.TiffPage) -> None:
    """Refuse what is neither gray nor RGB, and values that are not numbers of whole bytes."""
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    samples = page.samplesperpixel
    is_jpeg = page.compression == tifffile.COMPRESSION.JPEG
    known = photometric in _COLOURS and (photometric != "YCBCR" or is_jpeg)
    if not known or samples < _COLOURS[photometric] or samples > 4 or page.is_volumetric:
        kind = "volumetric" if page.is_volumetric else photometric.lower()
        raise ImageError(
            f"{kind} with {samples} samples a pixel; only gray and RGB, with or without "
            "opacity, are supported"
        )
    if page.dtype is None or page.dtype.kind not in "buif":
        raise ImageError(f"values of {page.bitspersample} bits, kind {page.sampleformat}")


def _check_whole(series: tifffile.TiffPageSeries) -> None:
    # tifffile fills up some truncated tiles without a word.
    for page in series.pages:
        if page is None:
            continue
        segments = zip(page.dataoffsets, page.databytecounts, strict=True)
        if max((a + n for a, n in segments), default=0) > page.parent.filehandle.size:
            raise ImageError("cannot be read: image file is truncated")


def _pages(series: tifffile.TiffPageSeries) -> list[tifffile.TiffPage]:
    """List the pages, all of which are there, with their tags."""
    return [page.aspage() for page in series.pages if page is not None]


def _expand(
    array: Array, page: tifffile.TiffPage, layout: Layout
) -> tuple[Array, Layout, list[str]]:
    """Turn bits and palettes into gray levels and colours."""
    if array.dtype == bool:
        said = "1-bit pixels come back as gray levels of 8 bits, which denoising needs"
        return array.astype(np.uint8) * 255, layout, [said]
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        if page.bitspersample >= _WHOLE_BYTE:
            return array, layout, []
        # Brought to the full range, or white would come back as black.
        said = f"{page.bitspersample}-bit gray levels come back with 8 bits"
        return array * np.uint8(255 // (2**page.bitspersample - 1)), layout, [said]
    colours = np.moveaxis(page.colormap[:, array], 0, -1)  # 16 bits each
    if not (colours % 257).any():
        colours = (colours // 257).astype(np.uint8)
    said = "the colours of its palette come back without the palette"
    if (colours == colours[..., :1]).all():
        return colours[..., 0], layout, [said]
    return colours, Layout(f"{layout.axes}S", colours.shape), [said]


def _opacity(page: tifffile.TiffPage, layout: Layout) -> tuple[bool, bool]:
    """Tell whether the last sample is no colour, and whether it is opacity."""
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    extra = page.samplesperpixel - _COLOURS[photometric]
    if extra == 0 or layout.channel != "S":
        return False, False
    kinds = [tifffile.EXTRASAMPLE(kind) for kind in page.extrasamples]
    is_opacity = kinds[-1:] not in ([], [tifffile.EXTRASAMPLE.UNSPECIFIED])
    if _COLOURS[photometric] == 1:  # several channels, or gray with opacity
        return extra == 1 and is_opacity, is_opacity
    return True, is_opacity


def _recoded(file: tifffile.TiffFile, page: tifffile.TiffPage) -> list[str]:
    """Say what is stored otherwise when it is written."""
    said = []
    compression = tifffile.COMPRESSION(page.compression).name
    if compression not in _LOSSLESS and page.dtype != bool:
        said.append(f"its {compression} compression, which loses details, is replaced by Deflate")
    if page.bitspersample > _WHOLE_BYTE and page.bitspersample not in (16, 32, 64):
        said.append(f"values of {page.bitspersample} bits come back with {page.dtype}")
    if file.is_bigtiff and tiff_exif.STAND_INS.keys() & {tag.code for tag in page.tags}:
        said.append("its EXIF is not kept, for it is a BigTIFF file")
    return said


def _encoding(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, array: Array, layout: Layout
) -> Encoding:
    page = series.keyframe
    is_expanded = array.shape != series.shape or array.dtype != page.dtype
    compression = tifffile.COMPRESSION(page.compression)
    if compression.name not in _LOSSLESS:
        compression = tifffile.COMPRESSION.ADOBE_DEFLATE
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    if photometric in ("YCBCR", "PALETTE"):
        photometric = "RGB" if layout.channel == "S" else "MINISBLACK"
    stored: dict[str, Any] = {
        "photometric": photometric.lower(),
        "compression": compression,
        "predictor": page.predictor != 1 or None,
    }
    if tiff_tags.KIND in page.tags:
        stored["subfiletype"] = page.subfiletype
    if page.samplesperpixel > 1:
        stored["planarconfig"] = page.planarconfig
        stored["extrasamples"] = page.extrasamples or None
    if page.is_tiled and not (page.tilewidth % _TILE_STEP or page.tilelength % _TILE_STEP):
        stored["tile"] = (page.tilelength, page.tilewidth)
    elif page.rowsperstrip and not page.is_tiled:
        stored["rowsperstrip"] = min(page.rowsperstrip, page.imagelength)
    page_shape = page.shape if not is_expanded else (*page.shape, *array.shape[series.ndim :])
    order = tuple(int(place) for place in np.argsort([page.index for page in series.pages if page]))
    return Encoding(
        byteorder=file.byteorder,
        bigtiff=file.is_bigtiff,
        page=stored,
        page_shape=page_shape,
        order=order,
        dtype=array.dtype.name,
    )


def _metadata(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> Metadata:
    """Collect the tags of every page, and what of them other formats know."""
    pages = _pages(series)
    tags = [tiff_tags.read_tags(file, page) for page in pages]
    # Offsets of 64 bits are beyond the writer of these directories.
    exif = [{} if file.is_bigtiff else tiff_exif.read_directories(file, page) for page in pages]
    first = {tag.code: tag.value for tag in tags[0]}
    native = [(*own, *tiff_exif.stand_ins(beside)) for own, beside in zip(tags, exif, strict=True)]
    shared: dict[str, Any] = {}
    for name, code in ((ICC_PROFILE, tiff_tags.ICC_PROFILE), (XMP, tiff_tags.XMP)):
        if code in first:
            shared[name] = first[code]
    block = tiff_exif.to_block(pages[0], exif[0])
    inside = frozenset(
        f"tag {tag.name}" for tag in pages[0].tags if tag.code in tiff_tags.PHOTO_TAGS
    )
    if block is not None:
        shared[EXIF] = block
    density = tiff_tags.dots_an_inch(pages[0])
    if density is not None:
        shared[RESOLUTION] = density
    return Metadata(tiff_tags.names(file, pages[0]), shared, Native(native, exif), inside | {"GPS"})


TIFF = Format(
    name="TIFF",
    endings=(".tif", ".tiff"),
    magic=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    dtypes=(
        *("uint8", "uint16", "uint32", "int8", "int16", "int32"),
        *("float16", "float32", "float64"),
    ),
    channels=(1, 2, 3, 4),
    pages=True,
    shared=frozenset((RESOLUTION, ICC_PROFILE, EXIF, XMP)),
    drops=drops,
    takes_pages=takes_pages,
    read=_read,
    write=write,
)
