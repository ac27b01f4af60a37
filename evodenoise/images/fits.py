"""FITS, by astropy, which is an optional extra."""

import io
from types import ModuleType
from typing import IO, Any

import numpy as np

from evodenoise.errors import ImageError
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import Image, Metadata, from_samples

_SCALED = "its scaled integers come back as floating-point numbers"


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
    content = stream.read()
    with fits.open(io.BytesIO(content), memmap=False) as units:
        place = _first_image(fits, units)
        header = units[place].header
        shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))
        layout = options.layout_of(shape, colours=False)
        stored = header["BITPIX"]
        array = units[place].data
        native = array.astype(array.dtype.newbyteorder("="))
        names = [f"FITS header ({len(header)} cards)"]
        others = [(index, unit) for index, unit in enumerate(units) if index != place]
        names += [f"FITS unit {unit.name or index}" for index, unit in others]
    pixels, _ = from_samples(native, layout, has_alpha=False)
    return Image(
        pixels,
        "FITS",
        layout,
        metadata=Metadata(tuple(names), native=(content, place)),
        warnings=(_SCALED,) if stored > 0 and native.dtype.kind == "f" else (),
    )


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
    array = np.ascontiguousarray(image.layout.restore(image.samples))
    buffer = io.BytesIO()
    if image.format == "FITS" and image.metadata.native is not None:
        content, place = image.metadata.native
        with fits.open(io.BytesIO(content), memmap=False) as units:
            # Only the data, once read, take the factors of scaled integers out of the header.
            if units[place].data is not None:
                units[place].data = array
            units.writeto(buffer, output_verify="fix+ignore")
    else:
        fits.PrimaryHDU(array).writeto(buffer)
    stream.write(buffer.getbuffer())


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
