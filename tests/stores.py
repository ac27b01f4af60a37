"""Small OME-Zarr stores for the tests, made by zarr itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr", minversion="3")

VERSIONS = {2: "0.4", 3: "0.5"}
"""Of OME-Zarr, by that of Zarr."""

TYPES = {"t": "time", "c": "channel"}
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}


def make_array(group: Any, path: str, values: np.ndarray, **settings: Any) -> None:
    settings.setdefault("chunks", tuple(min(8, size) for size in values.shape))
    array = group.create_array(path, shape=values.shape, dtype=values.dtype, **settings)
    array[...] = values


def make_store(
    folder: Path,
    levels: list[np.ndarray],
    axes: str,
    *,
    zarr_format: int = 3,
    consolidated: bool = False,
    paths: tuple[str, ...] = ("0", "1", "2"),
    more: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """Write an image with all that can be said of it."""
    group = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    for path, values in zip(paths, levels, strict=False):
        make_array(group, path, values, **settings)
    version = VERSIONS[zarr_format]
    scales = [[a / b for a, b in zip(levels[0].shape, v.shape, strict=True)] for v in levels]
    described = {
        "name": "cells",
        "axes": [
            {"name": axis, "type": TYPES.get(axis, "space")}
            | ({"unit": UNITS[axis]} if axis in UNITS else {})
            for axis in axes
        ],
        "datasets": [
            {
                "path": path,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [0.25 * each for each in scale]}
                ],
            }
            for path, scale in zip(paths, scales, strict=False)
        ],
    }
    ome: dict[str, Any] = {
        "omero": {"channels": [{"color": "00FF00", "window": {"start": 0, "end": 200}}]},
        **(more or {}),
    }
    if zarr_format == 3:
        group.attrs["ome"] = {"version": version, "multiscales": [described], **ome}
    else:
        group.attrs.update({"multiscales": [{"version": version, **described}], **ome})
    group.attrs["scope"] = {"objective": 60}
    if consolidated:
        zarr.consolidate_metadata(zarr.storage.LocalStore(folder), zarr_format=zarr_format)
    return folder


def documents(folder: Path) -> dict[str, str]:
    """Read all that a store says, but for its values."""
    names = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
    return {
        str(path.relative_to(folder)): json_of(path)
        for path in sorted(folder.rglob("*"))
        if path.name in names and path.read_text().strip() != "{}"
    }


def json_of(path: Path) -> Any:
    import json

    return json.loads(path.read_text())


def values_of(folder: Path, path: str = "0") -> np.ndarray:
    return np.asarray(zarr.open_array(folder / path, mode="r")[...])
