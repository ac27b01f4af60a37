"""FITS, by astropy, which is an optional extra."""

import math
import os
from types import ModuleType
from typing import IO, Any, NamedTuple

import numpy as np

from evodenoise.errors import ImageError
from evodenoise.images.axes import Array
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import Image, Metadata, from_samples
from evodenoise.system.scratch import is_large, map_file, pieces, scratch_array

_BLOCK = 2880
"""Bytes; headers and data of a file are filled up to a multiple of it."""

_SCALED = "its scaled integers come back as floating-point numbers"


class Native(NamedTuple):
    """What stands around the pixels: their header, and the units before and after, as bytes."""

    header: Any
    before: memoryview
    after: memoryview


def _astropy_fits() -> ModuleType:
    try:
        from astropy.io import fits
    except ImportError as error:
        raise ImageError(
            "FITS files need astropy; install it with: python -m pip install 'evodenoise[fits]'"
        ) from error
    return fits  # type: ignore[no-any-return]


def _read(stream: IO[bytes], options: ReadOptions) -> Image:
    fits = _astropy_fits()
    size = os.fstat(stream.fileno()).st_size
    content = memoryview(map_file(stream) if is_large((size,), np.uint8) else stream.read())
    stream.seek(0)
    with fits.open(stream, memmap=False) as units:
        place = _first_image(fits, units)
        header = units[place].header
        shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))
        layout = options.layout_of(shape, colours=False)
        stored = header["BITPIX"]
        array = _take(units[place], shape)
        info = units.fileinfo(place)
        before, after = content[: info["hdrLoc"]], content[info["datLoc"] + info["datSpan"] :]
        native = Native(header.copy(), before, after)
        names = [f"FITS header ({len(header)} cards)"]
        others = [(index, unit) for index, unit in enumerate(units) if index != place]
        names += [f"FITS unit {unit.name or index}" for index, unit in others]
    pixels, _ = from_samples(array, layout, has_alpha=False)
    return Image(
        pixels,
        "FITS",
        layout,
        metadata=Metadata(tuple(names), native=native),
        warnings=(_SCALED,) if stored > 0 and array.dtype.kind == "f" else (),
    )


def _take(unit: Any, shape: tuple[int, ...]) -> Array:
    """Take the values of a unit, scaled as its header says."""
    if not math.prod(shape):
        return np.zeros(shape)
    row = (0,) * (len(shape) - 1)
    dtype = unit.section[row].dtype.newbyteorder("=")
    array = scratch_array(shape, dtype)
    for place in pieces(array):
        array[place] = unit.section[place]
    return array


def _first_image(fits: ModuleType, units: Any) -> int:
    """Find the first unit with pixels."""
    for place, unit in enumerate(units):
        if isinstance(unit, fits.CompImageHDU):
            raise ImageError("compressed FITS images are not supported; unpack the file first")
        if unit.is_image and unit.header["NAXIS"] > 1:
            return place
    raise ImageError("holds no image")


def _write(stream: IO[bytes], image: Image, _: WriteOptions) -> None:
    fits = _astropy_fits()
    array = image.layout.restore(image.samples)
    native = image.metadata.native if image.format == "FITS" else None
    header, before, after = native or Native(None, memoryview(b""), memoryview(b""))
    blank = image.layout.restore(image.blank().samples)
    unit = (fits.ImageHDU if before else fits.PrimaryHDU)(blank, header)
    unit.verify("fix+ignore")
    stream.write(before)
    stream.write(unit.header.tostring().encode("ascii"))
    for place in pieces(array):
        stream.write(_stored(array[place]).data)
    stream.write(bytes(-array.nbytes % _BLOCK))
    stream.write(after)


def _stored(values: Array) -> Array:
    """Bring values into the file's types: signed, but for bytes, and the largest byte first."""
    if values.dtype.kind == "u" and values.itemsize > 1:
        sign = values.dtype.type(1 << (8 * values.itemsize - 1))
        values = (values ^ sign).view(f"i{values.itemsize}")
    return np.ascontiguousarray(values, values.dtype.newbyteorder(">"))


FITS = Format(
    name="FITS",
    endings=(".fits", ".fit", ".fts"),
    magic=(b"SIMPLE  =",),
    dtypes=("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"),
    channels=(),
    alpha=False,
    pages=True,
    read=_read,
    write=_write,
)
