"""OME-Zarr and plain Zarr arrays, by zarr, which is an optional extra: folders, not files."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from evodenoise.errors import ImageError
from evodenoise.images.axes import Array
from evodenoise.images.format import Format, ReadOptions, WriteOptions
from evodenoise.images.image import Image, Metadata, from_samples
from evodenoise.images.multiscales import NEWEST, find_image, minimal
from evodenoise.images.pyramid import regions, shrink
from evodenoise.images.zarr_nodes import Document, Node, retyped, write_node
from evodenoise.system.scratch import forget, scratch_array

_OLDEST = 3
"""First version of the library that knows both versions of the format."""

_CHUNK = 1024
"""Rows and columns of a chunk of what comes from another format."""


@dataclass(frozen=True)
class Encoding:
    """How a store keeps its values.

    Attributes
    ----------
    levels : tuple of Node
        Arrays, without attributes.
    dtype : dtype
        Of their values.
    axes : str
        A letter for each dimension, also for those of one value that `Image` leaves out.
    version : str or None
        Of OME-Zarr, if it is such a store.
    groups : tuple of Node
        The root, if it is not an array itself, and those on the way to the levels, all without
        attributes.
    """

    levels: tuple[Node, ...]
    dtype: np.dtype[Any]
    axes: str
    version: str | None
    groups: tuple[Node, ...]


@dataclass(frozen=True)
class Native:
    """What stands beside the values: groups, and the attributes of each level."""

    groups: tuple[Node, ...]
    attributes: tuple[Document, ...]


def _zarr() -> ModuleType:
    try:
        import zarr
    except ImportError:
        zarr = None  # type: ignore[assignment]
    if zarr is None or int(zarr.__version__.partition(".")[0]) < _OLDEST:
        raise ImageError(
            "OME-Zarr images need zarr 3; install it with: python -m pip install 'evodenoise[zarr]'"
        )
    return zarr


def _open(store: Path, node: Node, mode: str) -> Any:
    place = _zarr().storage.LocalStore(store / node.path, read_only=mode == "r")
    return _zarr().open_array(store=place, mode=mode, zarr_format=node.version)


def _read(store: Path, options: ReadOptions) -> Image:
    _zarr()
    found = find_image(store)
    stored = _open(store, found.levels[0], "r")
    dtype = np.dtype(stored.dtype)
    if dtype.kind not in "buifc":
        raise ImageError(f"values of type {dtype}, which are no numbers")
    # As TIFF does it: axes of one value are usual, and would make a stack of a picture.
    shape, axes = tuple(stored.shape), found.axes
    if axes is not None and found.version is not None:
        kept = [size != 1 or letter in "YX" for size, letter in zip(shape, axes, strict=True)]
        shape = tuple(size for size, keep in zip(shape, kept, strict=True) if keep)
        axes = "".join(letter for letter, keep in zip(axes, kept, strict=True) if keep)
    layout = options.layout_of(shape, axes)
    array = _take(stored).reshape(shape)
    pixels, _ = from_samples(array, layout, has_alpha=False)
    levels, groups = (
        tuple(replace(node, attributes={}) for node in nodes)
        for nodes in (found.levels, found.groups)
    )
    axes = found.axes or layout.axes
    return Image(
        pixels,
        ZARR.name,
        layout,
        metadata=Metadata(
            found.names,
            native=Native(found.groups, tuple(level.attributes for level in found.levels)),
        ),
        encoding=Encoding(levels, array.dtype, axes, found.version, groups),
        warnings=found.warnings,
    )


def _take(stored: Any) -> Array:
    array = scratch_array(tuple(stored.shape), np.dtype(stored.dtype).newbyteorder("="))
    for region in regions(stored.shape, stored.chunks, array.itemsize):
        array[region] = stored[region]
        forget(array)
    return array


def _write(store: Path, image: Image, _: WriteOptions) -> None:
    zarr = _zarr()
    encoding, native = image.encoding, image.metadata.native
    if isinstance(encoding, Encoding):
        values = image.layout.restore(image.samples).reshape(encoding.levels[0].shape)
    else:
        axes, values = _arrange(image)
        encoding, native = _new_encoding(values, axes), None
    if not isinstance(native, Native):
        native = _bare(encoding)
    for group in native.groups:
        write_node(store, group)
    for level, attributes in zip(encoding.levels, native.attributes, strict=True):
        if level.shape != values.shape:
            values = shrink(values, level.shape)
        described = retyped(level, encoding.dtype, values.dtype)
        write_node(store, replace(described, attributes=attributes))
        _fill(_open(store, level, "r+"), values)
    for root in encoding.groups[:1]:
        if root.is_consolidated:
            zarr.consolidate_metadata(zarr.storage.LocalStore(store), zarr_format=root.version)


def _fill(stored: Any, values: Array) -> None:
    for region in regions(values.shape, stored.shards or stored.chunks, values.itemsize):
        stored[region] = np.ascontiguousarray(values[region])
        forget(values)


def _bare(encoding: Encoding) -> Native:
    """Make what a store cannot do without."""
    groups, levels = encoding.groups, encoding.levels
    if encoding.version is not None:
        largest = levels[0].shape
        scales = [[a / b for a, b in zip(largest, each.shape, strict=True)] for each in levels]
        paths = [level.path for level in levels]
        attributes = minimal(encoding.axes, paths, scales, encoding.version)
        groups = (replace(groups[0], attributes=attributes), *groups[1:])
    return Native(groups, ({},) * len(levels))


def _arrange(image: Image) -> tuple[str, Array]:
    """Bring an image from another format into the order of OME-Zarr: t, c, z, y, x."""
    pixels, pages = image.pixels, image.layout.pages
    has_channels = image.axes.endswith("C")
    known = "TZ" if has_channels else "TCZ"
    if not {*pages} <= {*known}:
        pages = "T"
    if len(pages) > 1:
        pixels = pixels.reshape(*map(image.layout.size, pages), *pixels.shape[1:])
    axes = f"{pages}YX{'C' * has_channels}"
    ordered = "".join(letter for letter in "TCZYX" if letter in axes)
    return ordered, pixels.transpose([axes.index(letter) for letter in ordered])


def _new_encoding(values: Array, axes: str) -> Encoding:
    chunks = [1 if letter not in "YX" else _CHUNK for letter in axes]
    chunks = [min(pair) for pair in zip(chunks, values.shape, strict=True)]
    endian = {"configuration": {"endian": "little"}} if values.itemsize > 1 else {}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(values.shape),
        "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {"name": "bytes", **endian},
            {"name": "zstd", "configuration": {"level": 3, "checksum": False}},
        ],
        "dimension_names": list(axes.lower()),
    }
    group = {"zarr_format": 3, "node_type": "group"}
    level = Node("0", 3, is_array=True, document=document, attributes={})
    root = Node("", 3, is_array=False, document=group, attributes={})
    return Encoding((level,), values.dtype, axes, NEWEST, (root,))


ZARR = Format(
    name="OME-Zarr",
    endings=(".zarr",),
    magic=(),
    dtypes=(
        *("uint8", "uint16", "uint32", "int8", "int16", "int32"),
        *("float16", "float32", "float64"),
    ),
    channels=(),
    alpha=False,
    pages=True,
    is_folder=True,
    read=_read,
    write=_write,
)
