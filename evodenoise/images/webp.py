"""WebP, by Pillow."""

import io
from typing import IO

from PIL import Image as PillowImage

from evodenoise.images import pillow
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import EXIF, ICC_PROFILE, XMP, Image, Metadata


def _read(stream: IO[bytes], options: ReadOptions) -> Image:
    picture = pillow.open_picture(stream, "WEBP", options)
    samples, has_alpha, warnings = pillow.samples_of(picture)
    shared = pillow.shared_metadata(picture)
    shared.pop("resolution", None)  # Pillow reads it out of the EXIF, where it stays
    return pillow.as_image(
        samples,
        "WebP",
        has_alpha=has_alpha,
        metadata=Metadata(tuple(shared), shared),
        warnings=warnings,
    )


def _write(stream: IO[bytes], image: Image, options: WriteOptions) -> None:
    beside = {
        pillow.KEYWORDS[name]: value
        for name, value in image.metadata.shared.items()
        if name in WEBP.shared
    }
    # Exact: invisible pixels keep their colour, too.
    loss = {"quality": options.quality} if options.quality else {"lossless": True, "exact": True}
    buffer = io.BytesIO()
    PillowImage.fromarray(image.raster).save(buffer, format="WEBP", **loss, **beside)
    stream.write(buffer.getbuffer())


WEBP = Format(
    name="WebP",
    endings=(".webp",),
    magic=(b"RIFF",),
    dtypes=("uint8",),
    quality=True,
    shared=frozenset((ICC_PROFILE, EXIF, XMP)),
    read=_read,
    write=_write,
)
