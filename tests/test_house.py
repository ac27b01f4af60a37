"""The order of the house: which module may import which. A module may use those above it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import evodenoise

PACKAGE = Path(evodenoise.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "config": {"errors"},
    "images": {"errors"},
    "metrics": {"errors"},
    "noise": {"errors"},
    "device": {"errors"},
    "patches": set(),
    "tvae": set(),
    "tvae.decoder": {"config"},
    "tvae.model": {"tvae.decoder", "config"},
    "tvae.states": set(),
    "tvae.evolution": {"tvae.states", "config"},
    "tvae.training": {"tvae.model", "tvae.evolution", "tvae.states", "config", "errors"},
    "pipeline": {
        *("tvae.training", "tvae.model", "tvae.states"),
        *("patches", "device", "config", "errors"),
    },
    "batch": {"pipeline", "images", "errors"},
    "report": {"metrics", "errors"},
    "figure": {"metrics", "errors"},
    "progress": {"tvae.training"},
    "": {"config", "pipeline"},
}
"""The module table of CONTRIBUTING.md; "" is the package itself, with its lazy exports."""
MAY_IMPORT["cli"] = set(MAY_IMPORT)
MAY_IMPORT["__main__"] = {"cli"}

ROOMS: dict[str, set[str]] = {
    "skimage": {"metrics", "noise"},
    "PIL": {"images"},
    "tifffile": {"images"},
    "typer": {"cli"},
    "rich": {"progress"},
    "torch": {
        *("device", "patches", "pipeline", "cli"),
        *("tvae.decoder", "tvae.model", "tvae.states", "tvae.evolution", "tvae.training"),
    },
}
"""Who may know a library, inside of functions too."""

WITHOUT_TORCH = ["errors", "config", "images", "metrics", "cli"]
"""What answers before torch has been loaded."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str) -> Iterator[str]:
    """Find all that a module imports, wherever it does: full dotted names."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """Find the modules of the package that a module imports, by their names in the table."""
    found = set()
    for name in imports(module):
        if name.split(".")[0] == "evodenoise":
            inside = name.split(".")[1:]
            # What is imported from a module is not a module itself.
            found.add(".".join(inside if ".".join(inside) in MODULES else inside[:-1]))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_table(module: str) -> None:
    assert module in MAY_IMPORT, f"{module} has no row in the table"
    assert own_imports(module) <= MAY_IMPORT[module]


def test_the_table_is_in_order() -> None:
    """So that the package can be read from top to bottom."""
    above: set[str] = set()
    for module, allowed in MAY_IMPORT.items():
        assert allowed <= above, f"{module} stands above what it needs"
        above.add(module)


@pytest.mark.parametrize("library", ROOMS)
def test_a_library_is_known_in_its_rooms_only(library: str) -> None:
    known = {
        module for module in MODULES if library in {name.split(".")[0] for name in imports(module)}
    }
    assert known <= ROOMS[library]
    assert known


def test_no_torch_before_it_is_needed() -> None:
    names = ", ".join(f"evodenoise.{name}" for name in WITHOUT_TORCH)
    code = f"import sys, evodenoise, {names}; print([m for m in sys.modules if m == 'torch'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", evodenoise.__all__)
def test_exports_are_there(name: str) -> None:
    assert getattr(evodenoise, name).__doc__ or name == "__version__"


def test_what_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'denoize'"):
        evodenoise.denoize  # noqa: B018
