"""The plan of the house: its rooms from top to bottom, and what each may import.

`python tests/house.py` writes the table of CONTRIBUTING.md anew; `test_house.py` holds the code
and the table to it.
"""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "evodenoise"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- rooms:begin -->", "<!-- rooms:end -->"


class Room(NamedTuple):
    """A folder of the package, or a module beside the folders.

    Attributes
    ----------
    name : str
        Its name inside of the package.
    purpose : str
        What lives there, for people.
    may_import : tuple of str
        Rooms above it, or modules of them.
    libraries : tuple of str
        Those that only the rooms that name them may know, of `GUARDED`.
    """

    name: str
    purpose: str
    may_import: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


GUARDED = (
    *("torch", "PIL", "tifffile", "imagecodecs", "png", "astropy", "zarr", "skimage"),
    *("distributed", "typer", "rich", "napari", "magicgui", "qtpy"),
)
"""Libraries that stay in their rooms."""

ROOMS = (
    Room("errors", "the tree of exceptions, and what exit code each has"),
    Room(
        "system",
        "what the machine offers: devices, threads and cores, files that appear whole, CPU "
        "seconds and memory",
        ("errors",),
        ("torch",),
    ),
    Room(
        "config",
        "settings, frozen and validated, with a unit or a reason beside each; presets; no torch",
        ("errors",),
    ),
    Room(
        "images",
        "files of every format, metadata, axes, conversion of values; the only place that reads "
        "or writes them",
        ("system", "errors"),
        ("PIL", "tifffile", "imagecodecs", "png", "astropy", "zarr"),
    ),
    Room("noise", "what the noise of an image is, read blindly", ("errors",)),
    Room(
        "tvae",
        "the engine, on tensors of patches only: decoder, model, states, evolution, E-step, "
        "posterior, training, reconstruction",
        ("config", "system", "errors"),
        ("torch",),
    ),
    Room(
        "patches",
        "grid, source (with gaps), which patches are trained on, aggregation with weights",
        ("tvae.observations", "tvae.gaps"),
        ("torch",),
    ),
    Room(
        "nonlocal_models",
        "models of groups of similar patches: matching, Wiener, low rank, and `refine`, which "
        "mixes them",
        ("patches", "noise", "system", "config"),
        ("torch",),
    ),
    Room(
        "denoising",
        "arrays in, arrays out: preparing, scaling, channels, the denoiser, the checkpoint",
        ("nonlocal_models", "patches", "tvae", "noise", "config", "system", "errors"),
        ("torch",),
    ),
    Room(
        "evaluation",
        "metrics, the benchmark and its summary, figures",
        ("denoising", "noise", "config", "errors"),
        ("PIL", "skimage"),
    ),
    Room(
        "jobs",
        "from files to files: plan, naming, process, records and report, files beside a result, "
        "workers",
        ("evaluation", "denoising", "tvae", "noise", "images", "config", "system", "errors"),
        ("distributed",),
    ),
    Room(
        "cli",
        "parse, call, print, exit code; a leaf",
        (
            *("jobs", "evaluation", "denoising", "tvae", "noise", "images", "config", "system"),
            "errors",
        ),
        ("typer", "rich"),
    ),
    Room(
        "viewer",
        "the plugin of napari: from a layer to the library, a widget, a sample; a leaf",
        ("jobs", "denoising", "tvae", "noise", "images", "config", "system", "errors"),
        ("napari", "magicgui", "qtpy"),
    ),
)
"""From top to bottom: each may import only what its row names."""

WALK = (
    ("cli.denoise", "what was typed becomes settings and a plan"),
    ("cli.one", "one image, its progress and its summary"),
    ("jobs.process", "read, check, denoise, measure, write"),
    ("images.reading", "from the file to pixels and all that stands beside them"),
    ("denoising.denoise", "from pixels to clean pixels, step by step"),
    ("denoising.cleaning", "noise levelled, coarser scales first, then the model, then back"),
    ("denoising.denoiser", "train, rebuild, refine"),
    ("tvae.training", "E-steps and M-steps on some of the patches"),
    ("tvae.reconstruction", "clean patches from the trained model"),
    ("patches.aggregation", "patches averaged to a first estimate"),
    ("nonlocal_models.refinement", "the estimate refined by models of groups"),
    ("images.writing", "from clean pixels to a file like the one that came"),
)
"""The files that one image passes through, in this order, and what becomes of it in each."""

WITHOUT_TORCH = ("errors", "config", "images", "noise", "jobs", "cli")
"""Rooms whose modules answer before torch has been loaded, but for those in `WITH_TORCH`."""

WITH_TORCH = {"cli.progress"}


def module_name(path: Path) -> str:
    """Name a module of the package by its path; "" is the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    """Return the room that a module is in."""
    return module.split(".")[0]


@cache
def imported_names(module: str) -> tuple[str, ...]:
    """Find all that a module imports, wherever it does: full dotted names."""
    names: list[str] = []
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


def own_imports(module: str) -> set[str]:
    """Find the modules of the package that a module imports."""
    found = set()
    for name in imported_names(module):
        if room_of(name) == "evodenoise":
            inside = name.split(".")[1:]
            # What is imported from a module is not a module itself.
            found.add(".".join(inside if ".".join(inside) in MODULES else inside[:-1]))
    return found


def tables() -> str:
    """Draw the walk and the table of the rooms for CONTRIBUTING.md."""
    steps = [
        f"{number}. `{module.replace('.', '/')}.py`: {purpose}"
        for number, (module, purpose) in enumerate(WALK, 1)
    ]
    rows = ["| room | what lives there | may import |", "|---|---|---|"]
    for room in ROOMS:
        allowed = ", ".join(f"`{name}`" for name in room.may_import) or "nothing"
        rows.append(f"| `{room.name}` | {room.purpose} | {allowed} |")
    between = "The rooms from top to bottom; each may import only what its row names:"
    return "\n".join([BEGIN, *steps, "", between, "", *rows, END])


def with_tables(text: str) -> str:
    """Put both in the place of those that are in a text."""
    before, rest = text.split(BEGIN)
    return before + tables() + rest.split(END)[1]


if __name__ == "__main__":
    text = CONTRIBUTING.read_text(encoding="utf-8")
    CONTRIBUTING.write_text(with_tables(text), encoding="utf-8")
