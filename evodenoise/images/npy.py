"""NumPy's .npy."""

from dataclasses import dataclass
from typing import IO

import numpy as np

from evodenoise.errors import ImageError
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import Image, from_samples


@dataclass(frozen=True)
class Encoding:
    """How a file stores its values: byte order as NumPy writes it, and which index runs fastest."""

    byteorder: str = "="
    is_transposed: bool = False


def _read(stream: IO[bytes], options: ReadOptions) -> Image:
    # Mapped, so that a header that promises more than there is takes no memory.
    try:
        mapped = np.load(stream.name, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" not in str(error):
            raise
        raise ImageError("holds Python objects; save numbers: array.astype(np.float32)") from error
    if not isinstance(mapped, np.ndarray):
        raise ImageError("is not a single array")
    layout = options.layout_of(mapped.shape)
    array = np.array(mapped, dtype=mapped.dtype.newbyteorder("="))
    pixels, _ = from_samples(array, layout, has_alpha=False)
    is_transposed = mapped.flags.f_contiguous and not mapped.flags.c_contiguous
    return Image(pixels, "NPY", layout, encoding=Encoding(mapped.dtype.byteorder, is_transposed))


def _write(stream: IO[bytes], image: Image, _: WriteOptions) -> None:
    array = image.layout.restore(image.samples)
    encoding = image.encoding if isinstance(image.encoding, Encoding) else Encoding()
    stored = array.astype(f"{encoding.byteorder}{array.dtype.str[1:]}")
    np.save(
        stream,
        np.asfortranarray(stored) if encoding.is_transposed else np.ascontiguousarray(stored),
        allow_pickle=False,
    )


NPY = Format(
    name="NPY",
    endings=(".npy",),
    magic=(b"\x93NUMPY",),
    dtypes=(
        *("uint8", "uint16", "uint32", "int8", "int16", "int32"),
        *("float16", "float32", "float64"),
    ),
    channels=(),
    alpha=False,
    pages=True,
    read=_read,
    write=_write,
)
