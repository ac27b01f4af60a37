"""Image files: read, check, write. The only place that knows the libraries for them."""

from evodenoise.images.axes import Array, Layout
from evodenoise.images.format import MOST_PIXELS, Format, ReadOptions, WriteOptions
from evodenoise.images.formats import ALL, FORMATS, format_of, is_folder_name, is_image_folder
from evodenoise.images.image import Image, Metadata, convert
from evodenoise.images.reading import read_image
from evodenoise.images.writing import check_output, write_image

__all__ = [
    "ALL",
    "FORMATS",
    "MOST_PIXELS",
    "Array",
    "Format",
    "Image",
    "Layout",
    "Metadata",
    "ReadOptions",
    "WriteOptions",
    "check_output",
    "convert",
    "format_of",
    "is_folder_name",
    "is_image_folder",
    "read_image",
    "write_image",
]
