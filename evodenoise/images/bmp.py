"""BMP: Pillow reads, imagecodecs writes."""

from typing import IO

import imagecodecs

from evodenoise.images import pillow
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import RESOLUTION, Image, Metadata

INCHES_A_METRE = 39.37007874


def _read(stream: IO[bytes], options: ReadOptions) -> Image:
    picture = pillow.open_picture(stream, "BMP", options)
    samples, has_alpha, warnings = pillow.samples_of(picture)
    shared = pillow.shared_metadata(picture)
    x, y = shared.get(RESOLUTION, (0, 0))
    if x != y:
        warnings = (*warnings, "of its two resolutions, that along x comes back for both")
    return pillow.as_image(
        samples,
        "BMP",
        has_alpha=has_alpha,
        metadata=Metadata(tuple(shared), shared),
        warnings=warnings,
    )


def _write(stream: IO[bytes], image: Image, _: WriteOptions) -> None:
    x, _y = image.metadata.shared.get(RESOLUTION, (0, 0))
    stream.write(imagecodecs.bmp_encode(image.raster, ppm=round(x * INCHES_A_METRE) or None))


BMP = Format(
    name="BMP",
    endings=(".bmp",),
    magic=(b"BM",),
    dtypes=("uint8",),
    shared=frozenset((RESOLUTION,)),
    read=_read,
    write=_write,
)
