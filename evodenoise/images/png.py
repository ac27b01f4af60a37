"""PNG: imagecodecs for pixels of any depth, pypng for the chunks beside them."""

import io
from collections.abc import Iterable
from typing import IO

import imagecodecs
import png as pypng
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from evodenoise.errors import ImageError
from evodenoise.images import pillow
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import EXIF, ICC_PROFILE, RESOLUTION, XMP, Image, Metadata

Chunk = tuple[bytes, bytes]

_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")
# They count in the old depth or name colours of a palette.
_DEPTH_CHUNKS = (b"bKGD", b"hIST", b"sBIT")
_CHUNK_NAMES = {
    b"iCCP": ICC_PROFILE,
    b"eXIf": EXIF,
    b"pHYs": RESOLUTION,
    b"gAMA": "gamma",
    b"cHRM": "chromaticities",
    b"sRGB": "sRGB intent",
    b"tIME": "time of change",
    b"bKGD": "background",
    b"hIST": "histogram",
    b"sBIT": "significant bits",
}
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = "XML:com.adobe.xmp"


def _read(stream: IO[bytes], options: ReadOptions) -> Image:
    picture = pillow.open_picture(stream, "PNG", options)
    header = pypng.Reader(file=_rewound(stream))
    try:
        header.preamble(lenient=True)
        is_deep = header.bitdepth == 16 and (header.color_type != 0 or header.transparent)
        warnings: tuple[str, ...] = ()
        if is_deep:  # Pillow would silently drop the lower eight bits of each channel.
            samples = imagecodecs.png_decode(_rewound(stream).read())
            has_alpha = samples.ndim == 3 and samples.shape[2] in (2, 4)
            if header.transparent:
                warnings = ("its transparent colour comes back as an alpha channel",)
        else:
            samples, has_alpha, warnings = pillow.samples_of(picture)
            if header.bitdepth in (2, 4) and header.color_type == 0:
                warnings = (f"{header.bitdepth}-bit gray levels come back with 8 bits", *warnings)
        chunks = _chunks_beside(_rewound(stream))
    except (pypng.Error, imagecodecs.PngError) as error:
        raise ImageError(f"cannot be read: the file is truncated or damaged: {error}") from error
    kept = [chunk for chunk in chunks if not (warnings and chunk[0] in _DEPTH_CHUNKS)]
    if len(kept) < len(chunks):
        lost = sorted({_name(chunk) for chunk in chunks} - {_name(chunk) for chunk in kept})
        warnings = (*warnings, f"not kept, for it belongs to the old depth: {', '.join(lost)}")
    names = tuple(dict.fromkeys(map(_name, kept)))
    return pillow.as_image(
        samples,
        "PNG",
        has_alpha=has_alpha,
        metadata=Metadata(names, pillow.shared_metadata(picture), kept),
        encoding=samples.dtype.name,
        warnings=warnings,
    )


def _rewound(stream: IO[bytes]) -> IO[bytes]:
    stream.seek(0)
    return stream


def _chunks_beside(stream: IO[bytes]) -> list[Chunk]:
    """Read all chunks that do not hold pixels."""
    chunks = pypng.Reader(file=stream).chunks()
    return [(kind, body) for kind, body in chunks if kind not in _PIXEL_CHUNKS]


def _name(chunk: Chunk) -> str:
    """Name a chunk for people."""
    kind, body = chunk
    if kind not in _TEXT_CHUNKS:
        return _CHUNK_NAMES.get(kind, f"chunk {kind.decode('latin-1')}")
    keyword = body.split(b"\0")[0].decode("latin-1")
    return XMP if keyword == _XMP_KEYWORD else f"text {keyword!r}"


def _write(stream: IO[bytes], image: Image, _: WriteOptions) -> None:
    metadata = image.metadata
    if image.format == "PNG":
        same_depth = image.pixels.dtype.name == image.encoding
        beside = [c for c in metadata.native or () if same_depth or c[0] not in _DEPTH_CHUNKS]
    else:
        beside = _chunks_of(metadata)
    first, *rest = pypng.Reader(bytes=imagecodecs.png_encode(image.raster)).chunks()
    pypng.write_chunks(stream, _after(first, beside, rest))


def _after(first: Chunk, beside: Iterable[Chunk], rest: Iterable[Chunk]) -> Iterable[Chunk]:
    # Profile, density and the like have to stand before the pixels; the others may.
    yield first
    yield from beside
    yield from rest


def _chunks_of(metadata: Metadata) -> list[Chunk]:
    """Let Pillow put the metadata of another format into chunks."""
    shared = dict(metadata.shared)
    text = PngInfo()
    if XMP in shared:
        text.add_itxt(_XMP_KEYWORD, shared.pop(XMP).decode("utf-8", "replace"))
    buffer = io.BytesIO()
    settings = {pillow.KEYWORDS[name]: value for name, value in shared.items()}
    PillowImage.new("L", (1, 1)).save(buffer, format="PNG", pnginfo=text, **settings)
    return _chunks_beside(_rewound(buffer))


PNG = Format(
    name="PNG",
    endings=(".png",),
    magic=(b"\x89PNG\r\n\x1a\n",),
    dtypes=("uint8", "uint16"),
    shared=frozenset((RESOLUTION, ICC_PROFILE, EXIF, XMP)),
    read=_read,
    write=_write,
)
