"""JPEG, by Pillow; what stands beside the pixels is copied segment by segment."""

import io
from typing import IO, Any

from PIL import Image as PillowImage

from evodenoise.images import pillow
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import EXIF, ICC_PROFILE, RESOLUTION, XMP, Image, Metadata

QUALITY = 95
# The marker and the length of a segment, which counts its own two bytes.
_COMMENT, _FIRST_APPLICATION, _LENGTH_BYTES = 0xFE, 0xE0, 2
_OF_THE_PIXELS = {"APP0": b"JFIF", "APP14": b"Adobe"}
_SEGMENT_NAMES = {
    ("APP1", b"Exif\0"): EXIF,
    ("APP1", b"http://ns.adobe.com/"): XMP,
    ("APP2", b"ICC_PROFILE\0"): ICC_PROFILE,
    ("APP13", b"Photoshop"): "IPTC",
    ("COM", b""): "comment",
}
_OTHER_PICTURES = ("APP2", b"MPF\0")
CORRELATED = (
    "JPEG noise is correlated between pixels, and what looks like structure stays; "
    "denoise the camera's raw or TIFF image if there is one"
)


def _read(stream: IO[bytes], options: ReadOptions) -> Image:
    picture = pillow.open_picture(stream, "JPEG", options)
    samples, has_alpha, warnings = pillow.samples_of(picture)
    # Pillow keeps every segment in the order of the file.
    segments: list[tuple[str, bytes]] = [
        (marker, body)
        for marker, body in getattr(picture, "applist", [])
        if not body.startswith(_OF_THE_PIXELS.get(marker, b"\0none"))
    ]
    kept = [segment for segment in segments if not _is(segment, _OTHER_PICTURES)]
    if len(kept) < len(segments):
        warnings = (*warnings, "holds several pictures; only the first one comes back")
    native: dict[str, Any] = {"extra": b"".join(map(_pack, kept))}
    names = [_name(segment) for segment in kept]
    # Density that Pillow took from the EXIF is in there already.
    if picture.info.get("jfif_unit") and "dpi" in picture.info:
        native["dpi"] = picture.info["dpi"]
        names.append(RESOLUTION)
    return pillow.as_image(
        samples,
        "JPEG",
        has_alpha=has_alpha,
        metadata=Metadata(tuple(dict.fromkeys(names)), pillow.shared_metadata(picture), native),
        warnings=(CORRELATED, *warnings),
    )


def _is(segment: tuple[str, bytes], kind: tuple[str, bytes]) -> bool:
    return segment[0] == kind[0] and segment[1].startswith(kind[1])


def _name(segment: tuple[str, bytes]) -> str:
    """Name a segment for people."""
    names = (name for kind, name in _SEGMENT_NAMES.items() if _is(segment, kind))
    return next(names, f"segment {segment[0]}")


def _pack(segment: tuple[str, bytes]) -> bytes:
    marker, body = segment
    code = _COMMENT if marker == "COM" else _FIRST_APPLICATION + int(marker.removeprefix("APP"))
    return bytes((0xFF, code)) + (len(body) + _LENGTH_BYTES).to_bytes(2, "big") + body


def _write(stream: IO[bytes], image: Image, options: WriteOptions) -> None:
    metadata = image.metadata
    if image.format == "JPEG":
        beside = metadata.native or {}
    else:
        beside = {pillow.KEYWORDS[name]: value for name, value in metadata.shared.items()}
    # Full colour resolution and high quality: compression must not undo the denoising.
    # By way of memory: given a file, Pillow overlooks that a full disk took only a part of it.
    buffer = io.BytesIO()
    PillowImage.fromarray(image.raster).save(
        buffer, format="JPEG", quality=options.quality or QUALITY, subsampling=0, **beside
    )
    stream.write(buffer.getbuffer())


JPEG = Format(
    name="JPEG",
    endings=(".jpg", ".jpeg"),
    magic=(b"\xff\xd8\xff",),
    dtypes=("uint8",),
    alpha=False,
    quality=True,
    shared=frozenset((RESOLUTION, ICC_PROFILE, EXIF, XMP)),
    read=_read,
    write=_write,
)
