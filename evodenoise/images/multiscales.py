"""What OME-Zarr says of an image: its levels, its axes, and all that stands beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evodenoise.errors import ImageError
from evodenoise.images.zarr_nodes import Node, list_nodes, read_node

NEWEST = "0.5"
"""Version of OME-Zarr of what comes from other formats."""

_TYPES = {"time": "T", "channel": "C"}
_BEFORE_AXES = "TCZYX"
"""The axes of versions that do not name them."""

_KNOWN = ("ome", "multiscales", "omero", "_creator", "bioformats2raw.layout", "version")
_KINDS = {"T": "time", "C": "channel"}
_SPARE = "TZPRVW"


@dataclass(frozen=True)
class Multiscales:
    """An image in a store.

    Attributes
    ----------
    levels : tuple of Node
        The array and its smaller copies.
    groups : tuple of Node
        The root and the groups on the way to the levels.
    axes : str or None
        A letter for each dimension; None: the store does not say.
    version : str or None
        Of OME-Zarr; None: these are arrays of Zarr and no more.
    names : tuple of str
        What stands beside the pixels, for people.
    warnings : tuple of str
        What is not kept.
    """

    levels: tuple[Node, ...]
    groups: tuple[Node, ...]
    axes: str | None
    version: str | None
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def find_image(store: Path) -> Multiscales:
    """Find the image of a store.

    Parameters
    ----------
    store : Path
        The folder.

    Returns
    -------
    Multiscales
        Its levels and what is said of them.

    Raises
    ------
    ImageError
        If there is none, or more than one, or it is no picture.
    """
    root = read_node(store)
    if root.is_array:
        return _plain(root, ())
    ome = root.attributes.get("ome", root.attributes)
    if not isinstance(ome, Mapping):
        raise ImageError("its OME-Zarr metadata is damaged: 'ome' is no object")
    _refuse_others(ome)
    if "multiscales" not in ome:
        return _only_array(store, root)
    try:
        return _read(store, root, ome)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ImageError(f"its OME-Zarr metadata is damaged: {error!r}") from error


def _refuse_others(ome: Mapping[str, Any]) -> None:
    if "plate" in ome or "well" in ome:
        kind = "plate" if "plate" in ome else "well"
        raise ImageError(f"is a {kind} of many images; name the folder of one of them")
    if "image-label" in ome or ("labels" in ome and "multiscales" not in ome):
        raise ImageError("holds labels, which are no picture; name the image that they belong to")


def _only_array(store: Path, root: Node) -> Multiscales:
    """Take the only array of a group."""
    inside = list(list_nodes(store))
    arrays = [node for node in inside if node.is_array]
    if len(arrays) == 1:
        return _plain(arrays[0], (root,))
    names = [str(store / node.path) for node in inside]
    if not names:
        raise ImageError("is a Zarr group without an array")
    raise ImageError(
        f"is a Zarr group of {len(arrays)} arrays that it does not describe as one image; "
        f"name one of its parts, for example {names[0]}"
    )


def _plain(array: Node, groups: tuple[Node, ...]) -> Multiscales:
    named = array.document.get("dimension_names") or array.attributes.get("_ARRAY_DIMENSIONS")
    axes = None
    if isinstance(named, Sequence) and len(named) == len(array.shape):
        letters = "".join(str(name).upper() for name in named)
        is_usual = len(letters) == len(named) == len(set(letters)) and {*"YX"} <= {*letters}
        axes = letters if is_usual else None
    names = [f"attribute {key}" for node in (*groups, array) for key in node.attributes]
    return Multiscales((array,), groups, axes, None, tuple(names))


def _read(store: Path, root: Node, ome: Mapping[str, Any]) -> Multiscales:
    count = len(ome["multiscales"])
    if count != 1:
        raise ImageError(f"holds {count} images; only one is supported")
    (described,) = ome["multiscales"]
    levels = tuple(read_node(store, str(each["path"])) for each in described["datasets"])
    shape = levels[0].shape
    for level in levels:
        fits = level.is_array and len(level.shape) == len(shape)
        if not fits or any(a > b for a, b in zip(level.shape, shape, strict=True)):
            raise ImageError(f"its level {level.path!r} is no smaller copy of {levels[0].path!r}")
    groups = [root, *_groups_above(store, levels)]
    letters = _letters(described.get("axes"), len(shape))
    version = str(ome.get("version", described.get("version", "0.4")))
    labelled = (store / "labels").is_dir()
    return Multiscales(
        levels,
        tuple(groups),
        letters,
        version,
        tuple(_names(root, ome, described, levels)),
        ("its labels are not kept",) if labelled else (),
    )


def _groups_above(store: Path, levels: Sequence[Node]) -> list[Node]:
    above: dict[str, Node] = {}
    for level in levels:
        parts = Path(level.path).parts
        for depth in range(1, len(parts)):
            path = "/".join(parts[:depth])
            if path not in above:
                above[path] = read_node(store, path)
    return list(above.values())


def _letters(axes: Sequence[Any] | None, count: int) -> str:
    """Give each axis a letter of its own."""
    if axes is None:
        if count != len(_BEFORE_AXES):
            raise ImageError(f"its OME-Zarr metadata names no axes for {count} dimensions")
        return _BEFORE_AXES
    letters = ""
    for axis in axes:
        name, kind = (axis, None) if isinstance(axis, str) else (axis["name"], axis.get("type"))
        letter = name.upper() if len(name) == 1 and name.isalpha() else _TYPES.get(kind or "", "")
        if not letter or letter in letters:
            letter = next(other for other in _SPARE if other not in letters)
        letters += letter
    return letters


def _names(
    root: Node, ome: Mapping[str, Any], described: Mapping[str, Any], levels: Sequence[Node]
) -> list[str]:
    """Name what another format would not keep."""
    names = []
    if len(levels) > 1:
        names.append(f"a pyramid of {len(levels)} levels")
    transforms = [*described["datasets"][0].get("coordinateTransformations", ())]
    transforms += described.get("coordinateTransformations", ())
    if any({*each.get("scale", ()), *each.get("translation", ())} - {0, 1} for each in transforms):
        names.append("scale")
    if any(isinstance(axis, Mapping) and "unit" in axis for axis in described.get("axes") or ()):
        names.append("units")
    if "omero" in ome:
        names.append("display settings (omero)")
    others = [key for holder in (root.attributes, ome) for key in holder if key not in _KNOWN]
    others += [key for level in levels for key in level.attributes if key != "_ARRAY_DIMENSIONS"]
    return names + [f"attribute {key}" for key in dict.fromkeys(others)]


def minimal(
    axes: str, paths: Sequence[str], scales: Sequence[Sequence[float]], version: str
) -> dict[str, Any]:
    """Make the attributes of the root of an image of which nothing more is known.

    Parameters
    ----------
    axes : str
        A letter for each dimension.
    paths : sequence of str
        Of the levels.
    scales : sequence of sequences of float
        Of each level, along each axis.
    version : str
        Of OME-Zarr.

    Returns
    -------
    dict
        As JSON takes it.
    """
    described: dict[str, Any] = {
        "axes": [{"name": letter.lower(), "type": _KINDS.get(letter, "space")} for letter in axes],
        "datasets": [
            {"path": path, "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
            for path, scale in zip(paths, scales, strict=True)
        ],
    }
    if _number(version) >= (0, 5):
        return {"ome": {"version": version, "multiscales": [described]}}
    return {"multiscales": [{"version": version, **described}]}


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
