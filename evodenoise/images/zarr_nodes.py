"""The groups and arrays of a Zarr store as its files describe them, in versions 2 and 3.

A result is described as its input was, down to what we know nothing of: chunks, shards, codecs,
attributes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evodenoise.errors import ImageError

Document = Mapping[str, Any]

_V3, _ARRAY, _GROUP, _ATTRIBUTES = "zarr.json", ".zarray", ".zgroup", ".zattrs"
_MARKS = (_V3, _ARRAY, _GROUP)
CONSOLIDATED, _CONSOLIDATED_V2 = "consolidated_metadata", ".zmetadata"
_OF_A_TYPE = ("dtype", "astype", "elementsize")
"""What a filter of version 2 is told if it works on one type of values only."""


@dataclass(frozen=True)
class Node:
    """A group or an array.

    Attributes
    ----------
    path : str
        Inside of the store; nothing for its root.
    version : int
        Of the format: 2 or 3.
    is_array : bool
        Or it is a group.
    document : mapping
        What its file says, but for the attributes.
    attributes : mapping
        What is said of it beside that.
    is_consolidated : bool
        Whether there is a copy of all that is below it.
    """

    path: str
    version: int
    is_array: bool
    document: Document
    attributes: Document
    is_consolidated: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an array."""
        return tuple(map(int, self.document["shape"]))


def is_store(folder: Path) -> bool:
    """Tell whether a folder is a group or an array."""
    return any((folder / mark).is_file() for mark in _MARKS)


def read_node(store: Path, path: str = "") -> Node:
    """Read the description of a group or an array.

    Parameters
    ----------
    store : Path
        The folder of the root.
    path : str
        Inside of it.

    Returns
    -------
    Node
        The description.

    Raises
    ------
    ImageError
        If there is none, or the path leads out of the store.
    """
    folder = store / path
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise ImageError(f"its part {path!r} lies outside of it")
    if (folder / _V3).is_file():
        document = _load(folder / _V3)
        attributes = document.pop("attributes", {})
        is_consolidated = document.pop(CONSOLIDATED, None) is not None
        kind = document.get("node_type")
        if kind not in ("array", "group"):
            raise ImageError(f"its {_name(path, _V3)} describes neither a group nor an array")
        return Node(path, 3, kind == "array", document, attributes, is_consolidated)
    attributes = _load(folder / _ATTRIBUTES) if (folder / _ATTRIBUTES).is_file() else {}
    for mark in (_ARRAY, _GROUP):
        if (folder / mark).is_file():
            is_consolidated = (folder / _CONSOLIDATED_V2).is_file()
            document = _load(folder / mark)
            return Node(path, 2, mark == _ARRAY, document, attributes, is_consolidated)
    missing = f"its part {path!r} is missing" if path else "is a folder that holds no Zarr data"
    raise ImageError(missing)


def list_nodes(store: Path) -> Iterator[Node]:
    """Read the descriptions of what stands directly in the root."""
    for folder in sorted(store.iterdir()):
        if folder.is_dir() and is_store(folder):
            yield read_node(store, folder.name)


def write_node(store: Path, node: Node) -> None:
    """Write the description of a group or an array.

    Parameters
    ----------
    store : Path
        The folder of the root.
    node : Node
        The description.
    """
    folder = store / node.path
    folder.mkdir(parents=True, exist_ok=True)
    if node.version == 3:
        _save(folder / _V3, {**node.document, "attributes": node.attributes})
        return
    _save(folder / (_ARRAY if node.is_array else _GROUP), node.document)
    if node.attributes:
        _save(folder / _ATTRIBUTES, node.attributes)


def retyped(node: Node, old: np.dtype[Any], new: np.dtype[Any]) -> Node:
    """Describe an array of other values, stored alike.

    Parameters
    ----------
    node : Node
        An array.
    old, new : dtype
        Types of values before and after.

    Returns
    -------
    Node
        The same, but for the type and what follows from it.
    """
    if old == new:
        return node
    document = {**node.document, "fill_value": 0}
    if node.version == 3:
        codecs = [_retyped_codec(codec, new) for codec in document["codecs"]]
        return replace(node, document={**document, "data_type": new.name, "codecs": codecs})
    order = document["dtype"][0]
    order = "|" if new.itemsize == 1 else order if order in "<>" else "<"
    filters = document.get("filters") or []
    kept = [each for each in filters if not any(name in each for name in _OF_A_TYPE)]
    changed = {"dtype": f"{order}{new.str[1:]}", "filters": kept or None}
    return replace(node, document={**document, **changed})


def _retyped_codec(codec: Document, new: np.dtype[Any]) -> Document:
    settings = dict(codec.get("configuration") or {})
    if codec["name"] == "bytes":
        settings = {"endian": settings.get("endian", "little")} if new.itemsize > 1 else {}
    elif codec["name"] == "blosc":
        settings["typesize"] = new.itemsize
    elif codec["name"] == "sharding_indexed":
        settings["codecs"] = [_retyped_codec(inner, new) for inner in settings["codecs"]]
    return {"name": codec["name"], **({"configuration": settings} if settings else {})}


def _load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ImageError(f"its {path.name} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ImageError(f"its {path.name} is damaged: it is no object")
    return found


def _save(path: Path, document: Document) -> None:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _name(path: str, file: str) -> str:
    return f"{path}/{file}" if path else file
