"""NumPy's .npy."""

from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np

from evodenoise.errors import ImageError
from evodenoise.images.axes import Array
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import Image, from_samples
from evodenoise.system.scratch import is_large, map_file, map_pieces, pieces


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
    if not isinstance(mapped, np.memmap):
        raise ImageError("is not a single array")
    layout = options.layout_of(mapped.shape)
    is_transposed = mapped.flags.f_contiguous and not mapped.flags.c_contiguous
    array = _native(stream, mapped, is_transposed=is_transposed)
    pixels, _ = from_samples(array, layout, has_alpha=False)
    return Image(pixels, "NPY", layout, encoding=Encoding(mapped.dtype.byteorder, is_transposed))


def _native(stream: IO[bytes], mapped: "np.memmap[Any, Any]", *, is_transposed: bool) -> Array:
    """Take the values into memory; those of a large file stay there, if they can."""
    native = mapped.dtype.newbyteorder("=")
    if not is_large(mapped.shape, native):
        return np.array(mapped, dtype=native)
    order: Literal["F", "C"] = "F" if is_transposed else "C"
    array = np.ndarray(mapped.shape, mapped.dtype, map_file(stream), mapped.offset, order=order)
    if mapped.dtype.isnative and not is_transposed:
        return array
    return map_pieces(np.asarray, native, array)


def _write(stream: IO[bytes], image: Image, _: WriteOptions) -> None:
    array = image.layout.restore(image.samples)
    encoding = image.encoding if isinstance(image.encoding, Encoding) else Encoding()
    stored = np.dtype(f"{encoding.byteorder}{array.dtype.str[1:]}")
    header = {
        "descr": np.lib.format.dtype_to_descr(stored),
        "fortran_order": encoding.is_transposed,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(stream, header)
    in_order = array.T if encoding.is_transposed else array
    for place in pieces(in_order):
        stream.write(np.ascontiguousarray(in_order[place], stored).data)


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
