"""Every kind of image file that comes back as it was, made without the code that is tested.

Each kind is a function that writes a file. Its name begins with the ending of the file.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import png as pypng
import tifffile
from astropy.io import fits
from PIL import Image as PillowImage
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

Make = Callable[[Path], object]
SIZE = (16, 18)
PALETTE = np.random.default_rng(5).integers(0, 256, (256, 3)).astype(np.uint8)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def values(dtype: str = "uint8", *shape: int) -> np.ndarray:
    """Make noise over the whole range of a type; of floats, with values of no integer."""
    rng = np.random.default_rng(3)
    shape = shape or SIZE
    if np.dtype(dtype).kind == "f":
        return rng.normal(100, 25, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


def exif(orientation: int = 6) -> PillowImage.Exif:
    """Make EXIF with an orientation and a folder of its own for exposure."""
    made = PillowImage.Exif()
    made[0x010F], made[0x0112] = "A maker", orientation
    made.get_ifd(0x8769)[0x829A] = 0.01
    return made


def pillow(pixels: np.ndarray, mode: str | None = None, **settings: Any) -> Make:
    picture = PillowImage.fromarray(pixels)
    picture = picture.convert(mode) if mode else picture
    return lambda path: picture.save(path, **settings)


def _texts() -> PngInfo:
    texts = PngInfo()
    texts.add_text("Author", "Zoë")
    texts.add_text("Comment", "long " * 99, zip=True)
    texts.add_itxt("Title", "Ωmega", "el", "τίτλος")
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return texts


def _png(
    pixels: np.ndarray, *, chunks: tuple[tuple[bytes, bytes], ...] = (), **settings: Any
) -> Make:
    """Write a PNG of any depth with more chunks, by pypng."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    settings = {"bitdepth": 8 * pixels.dtype.itemsize, **settings}
    if "palette" not in settings:
        settings |= {"greyscale": channels < 3, "alpha": channels in (2, 4)}

    def write(path: Path) -> None:
        buffer = io.BytesIO()
        writer = pypng.Writer(pixels.shape[1], pixels.shape[0], **settings)
        writer.write(buffer, pixels.reshape(pixels.shape[0], -1).tolist())
        first, *rest = pypng.Reader(bytes=buffer.getvalue()).chunks()
        with path.open("wb") as stream:
            pypng.write_chunks(stream, [first, *chunks, *rest])

    return write


def tiff(pixels: np.ndarray, **settings: Any) -> Make:
    settings.setdefault("photometric", "rgb" if pixels.shape[-1] in (3, 4) else "minisblack")
    return lambda path: tifffile.imwrite(path, pixels, **settings)


def _tiff_4_bits(path: Path) -> None:
    """Pack two pixels into a byte; no library at hand writes that."""
    pixels = values() % 16
    tiff(pixels[:, 0::2] << 4 | pixels[:, 1::2], metadata=None)(path)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["BitsPerSample"].overwrite(4)
        file.pages.first.tags["ImageWidth"].overwrite(pixels.shape[1])


def _pages(path: Path) -> None:
    """Write pages that each have tags of their own, big-endian."""
    with tifffile.TiffWriter(path, byteorder=">") as writer:
        for page, pixels in enumerate(values("uint16", 3, *SIZE)):
            writer.write(
                pixels,
                metadata=None,
                description=f"page {page}",
                resolution=(page + 1, 7),
                extratags=[(65000, 4, 1, page, True), (65001, 5, 1, (page, 3), True)],
            )


def exif_tiff(pixels: np.ndarray) -> Make:
    """Write a TIFF with directories of EXIF and GPS."""

    def write(path: Path) -> None:
        directory = ImageFileDirectory_v2()
        directory[274] = 6
        directory[34665] = {33434: IFDRational(1, 60), 42036: "A lens", 37500: b"\0secret\1"}
        directory[34853] = {1: "N", 2: (IFDRational(50), IFDRational(5, 2), IFDRational(0))}
        PillowImage.fromarray(pixels).save(path, tiffinfo=directory)

    return write


def _npy(pixels: np.ndarray) -> Make:
    return lambda path: np.save(path, pixels)


def _fits(pixels: np.ndarray) -> Make:
    def write(path: Path) -> None:
        header = fits.Header()
        header["OBJECT"] = ("M31", "what was seen")
        header.add_history("seen twice")
        table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])])
        fits.HDUList([fits.PrimaryHDU(pixels, header), table]).writeto(path)

    return write


GRAY_ALPHA, COLOUR, COLOUR_ALPHA = (*SIZE, 2), (*SIZE, 3), (*SIZE, 4)
_SHAPES = {"gray": SIZE, "gray+alpha": GRAY_ALPHA, "RGB": COLOUR, "RGBA": COLOUR_ALPHA}
_TIFF_ALPHA: Mapping[str, dict[str, Any]] = {
    "gray+alpha": {"extrasamples": ["unassalpha"], "planarconfig": "contig"},
    "RGBA": {"extrasamples": ["assocalpha"]},
}
_NUMBERS = ("uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64")
_CHUNKS = (
    (b"gAMA", (45455).to_bytes(4, "big")),
    (b"sBIT", b"\5\6\5"),
    (b"tIME", b"\7\xe0\1\2\3\4\5"),
    (b"prVt", b"private"),
)
_FULL_RANGE = {"zlib": {"predictor": True}, "lzw": {}, "packbits": {}, "zstd": {}, "lzma": {}}

SAME: Mapping[str, Make] = {
    **{
        f"png {dtype} {name}": _png(values(dtype, *shape))
        for dtype in ("uint8", "uint16")
        for name, shape in _SHAPES.items()
    },
    "png interlaced": _png(values(), interlace=True),
    "png with chunks": _png(values("uint16", *COLOUR), chunks=_CHUNKS),
    "png with texts": pillow(values("uint8", *COLOUR), pnginfo=_texts(), dpi=(300, 150)),
    "png with profile and EXIF": pillow(values(), icc_profile=PROFILE, exif=exif()),
    **{
        f"tif {dtype} {name}": tiff(values(dtype, *shape), **_TIFF_ALPHA.get(name, {}))
        for dtype in _NUMBERS
        for name, shape in _SHAPES.items()
        if name in ("gray", "RGB") or dtype in ("uint8", "uint16", "float32")
    },
    **{
        f"tif {name}": tiff(values("uint16", *COLOUR), compression=name, **settings)
        for name, settings in _FULL_RANGE.items()
    },
    "tif float predictor in tiles": tiff(
        values("float32"), compression="zlib", predictor=True, tile=(16, 16)
    ),
    "tif planar": tiff(values("uint16", 3, *SIZE), photometric="rgb", planarconfig="separate"),
    "tif planar with alpha": tiff(
        values("uint8", 4, *SIZE),
        photometric="rgb",
        planarconfig="separate",
        extrasamples=["unassalpha"],
    ),
    "tif unknown fourth channel": tiff(
        values("uint8", *COLOUR_ALPHA), extrasamples=["unspecified"]
    ),
    "tif two channels": tiff(values("uint16", *GRAY_ALPHA), planarconfig="contig"),
    "tif white is zero": tiff(values(), photometric="miniswhite"),
    "tif BigTIFF": tiff(values("uint16"), bigtiff=True),
    "tif big-endian": tiff(values("float32"), byteorder=">"),
    "tif strips": tiff(values("uint16"), rowsperstrip=5),
    "tif tags": tiff(
        values("uint8", *COLOUR),
        metadata=None,
        description="a picture",
        software="Scope 1.0",
        datetime="2020:02:29 12:00:00",
        resolution=(3.5, 7),
        resolutionunit="CENTIMETER",
        iccprofile=PROFILE,
        extratags=[
            (274, 3, 1, 6, True),
            (315, 2, 0, "Zoe", True),
            (700, 1, len(XMP), XMP, True),
            (65000, 12, 2, (0.1, 1e300), True),
            (65001, 7, 3, b"\0\1\2", True),
        ],
    ),
    "tif of Pillow": pillow(
        values("uint8", *COLOUR), dpi=(300, 150), compression="tiff_lzw", icc_profile=PROFILE
    ),
    "tif EXIF": exif_tiff(values("uint8", *COLOUR)),
    "tif EXIF big-endian": exif_tiff(values("uint16").astype(">u2")),
    "tif stack": tiff(values("uint8", 3, *SIZE)),
    "tif stack of colours": tiff(values("uint16", 3, *COLOUR)),
    "tif stack with axes": tiff(values("uint8", 2, 3, *SIZE), metadata={"axes": "TZYX"}),
    "tif pages with tags": _pages,
    "tif ImageJ": tiff(
        values("uint16", 2, 3, *SIZE),
        imagej=True,
        photometric=None,
        resolution=(2.5, 2.5),
        metadata={
            "axes": "TZYX",
            "spacing": 3.9,
            "unit": "um",
            "finterval": 0.5,
            "Info": "seen twice",
            "Labels": list("abcdef"),
        },
    ),
    "tif ImageJ channels": tiff(
        values("uint16", 3, 2, *SIZE),
        imagej=True,
        photometric=None,
        metadata={"axes": "TCYX", "mode": "composite", "Ranges": (0.0, 1.0, 2.0, 3.0)},
    ),
    "tif ImageJ one directory": tiff(
        values("uint16", 5, *SIZE), imagej=True, photometric=None, truncate=True
    ),
    "tif OME": tiff(
        values("uint16", 3, 2, *SIZE),
        ome=True,
        metadata={"axes": "TCYX", "PhysicalSizeX": 0.1, "Channel": {"Name": ["a", "b"]}},
    ),
    "tif OME colours": tiff(
        values("uint8", 3, *COLOUR), ome=True, photometric="rgb", metadata={"axes": "ZYXS"}
    ),
    "webp RGB": pillow(values("uint8", *COLOUR), lossless=True),
    "webp RGBA": pillow(values("uint8", *COLOUR_ALPHA), lossless=True, exact=True),
    "webp with metadata": pillow(
        values("uint8", *COLOUR), lossless=True, exif=exif(), icc_profile=PROFILE, xmp=XMP
    ),
    "bmp gray": pillow(values()),
    "bmp RGB": pillow(values("uint8", *COLOUR), dpi=(200, 200)),
    **{
        f"npy {dtype} {'x'.join(map(str, shape))}": _npy(values(dtype, *shape))
        for dtype in _NUMBERS
        for shape in (SIZE, COLOUR, (3, *SIZE), (2, *COLOUR))
    },
    "npy big-endian": _npy(values("uint16").astype(">u2")),
    "npy columns first": _npy(np.asfortranarray(values("uint16"))),
    **{
        f"fits {dtype}": _fits(values(dtype))
        for dtype in ("uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
    },
    "fits stack": _fits(values("float32", 3, *SIZE)),
}
"""Files whose pixels and metadata come back identical when nothing is denoised."""

OTHERWISE: Mapping[str, tuple[Make, str]] = {
    "png 1 bit": (_png(values() % 2, bitdepth=1), "1-bit"),
    "png 2 bits": (_png(values() % 4, bitdepth=2), "2-bit"),
    "png 4 bits": (_png(values() % 16, bitdepth=4), "4-bit"),
    "png palette": (_png(values(), palette=list(map(tuple, PALETTE.tolist()))), "palette"),
    "png palette with alpha": (
        _png(values(), palette=[(*map(int, colour), 9) for colour in PALETTE]),
        "palette",
    ),
    "png gray palette": (
        _png(values(), palette=[(i, i, i) for i in range(255, -1, -1)]),
        "palette",
    ),
    "png transparent gray": (_png(values(), transparent=7), "transparent colour"),
    "png transparent colour": (
        _png(values("uint16", *COLOUR), transparent=(1, 2, 3)),
        "transparent colour",
    ),
    "tif 1 bit": (pillow(values(), "1", compression="group4"), "1-bit"),
    "tif 4 bits": (_tiff_4_bits, "4-bit"),
    "tif palette": (
        tiff(values(), photometric="palette", colormap=PALETTE.T.astype(np.uint16) * 257),
        "palette",
    ),
    "tif JPEG": (tiff(values("uint8", *COLOUR), compression="jpeg"), "JPEG compression"),
    "tif JPEG 2000": (tiff(values(), compression="jpeg2000"), "JPEG2000 compression"),
    "bmp two resolutions": (pillow(values("uint8", *COLOUR), dpi=(300, 200)), "two resolutions"),
    "bmp palette": (pillow(values("uint8", *COLOUR), "P"), "palette"),
    "fits scaled": (
        lambda path: (
            fits.PrimaryHDU(values("int16")).writeto(path) or fits.setval(path, "BSCALE", value=0.5)
        ),
        "scaled",
    ),
}
"""Files whose colours come back, but not as they were stored, and what the warning names."""


def write(name: str, make: Make, folder: Path, *, stem: str = "in") -> Path:
    """Write a file of a kind into a folder."""
    path = folder / f"{stem}.{name.split()[0]}"
    make(path)
    return path


def every(folder: Path) -> list[Path]:
    """Write one file of every kind, JPEG too."""
    kinds = {**SAME, **{name: make for name, (make, _) in OTHERWISE.items()}, **JPEGS}
    return [
        write(name, make, folder, stem=f"{place:03}")
        for place, (name, make) in enumerate(kinds.items())
    ]


JPEGS: Mapping[str, Make] = {
    "jpg gray": pillow(values(), quality=90),
    "jpg RGB": pillow(
        values("uint8", *COLOUR),
        quality=90,
        dpi=(300, 150),
        exif=exif(),
        icc_profile=PROFILE,
        xmp=XMP,
        comment="hello",
    ),
    "jpg progressive": pillow(values("uint8", *COLOUR), progressive=True),
}
"""JPEG loses details whenever it is written; metadata it keeps."""
