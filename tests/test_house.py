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
    "presets": {"config", "errors"},
    "files": set(),
    "images.axes": {"errors"},
    "images.image": {"images.axes"},
    "images.format": {"images.image", "errors"},
    "images.pillow": {"images.format", "images.image", "images.axes", "errors"},
    "images.png": {"images.pillow", "images.format", "images.image", "errors"},
    "images.jpeg": {"images.pillow", "images.format", "images.image"},
    "images.webp": {"images.pillow", "images.format", "images.image"},
    "images.bmp": {"images.pillow", "images.format", "images.image"},
    "images.npy": {"images.format", "images.image", "images.axes", "errors"},
    "images.fits": {"images.format", "images.image", "images.axes", "errors"},
    "images.tiff_tags": set(),
    "images.tiff_exif": {"images.pillow", "images.tiff_tags"},
    "images.tiff_writing": {
        *("images.tiff_exif", "images.tiff_tags", "images.format", "images.image"),
    },
    "images.tiff": {
        *("images.tiff_writing", "images.tiff_exif", "images.tiff_tags"),
        *("images.format", "images.image", "images.axes", "errors"),
    },
    "images.formats": {
        *("images.png", "images.jpeg", "images.webp", "images.bmp", "images.npy"),
        *("images.tiff", "images.fits", "images.format", "errors"),
    },
    "images.reading": {"images.formats", "images.format", "images.image", "errors"},
    "images.writing": {"images.formats", "images.format", "images.image", "files", "errors"},
    "images": {
        *("images.reading", "images.writing", "images.formats", "images.format"),
        *("images.image", "images.axes"),
    },
    "conversion": {"images", "errors"},
    "metrics": {"errors"},
    "readings": set(),
    "noise": {"readings", "errors"},
    "device": {"errors"},
    "patches": set(),
    "threads": set(),
    "tvae": set(),
    "tvae.adam": set(),
    "tvae.precision": set(),
    "tvae.schedule": {"config"},
    "tvae.batches": {"threads"},
    "tvae.states": set(),
    "tvae.posterior": set(),
    "tvae.operators": {"tvae.states", "config"},
    "tvae.evolution": {"tvae.operators", "tvae.states", "config"},
    "tvae.decoder": set(),
    "tvae.observations": set(),
    "tvae.model": {"tvae.decoder", "tvae.observations", "tvae.precision", "tvae.states"},
    "tvae.e_step": {"tvae.model", "tvae.observations", "tvae.evolution", "tvae.states", "config"},
    "tvae.training": {
        *("tvae.e_step", "tvae.model", "tvae.posterior", "tvae.schedule", "tvae.states"),
        *("tvae.adam", "tvae.batches", "tvae.observations"),
        *("config", "errors"),
    },
    "tvae.reconstruction": {
        *("tvae.e_step", "tvae.evolution", "tvae.model", "tvae.posterior", "tvae.states"),
        "tvae.observations",
        "config",
    },
    "groups": {"patches", "threads"},
    "frames": set(),
    "scene": {"patches", "tvae.observations"},
    "scaling": {"noise", "tvae.training"},
    "lattices": {"scene"},
    "canvas": {"scene", "patches", "tvae.reconstruction"},
    "trained": {"tvae.model", "config", "errors"},
    "session": {
        *("tvae.training", "tvae.reconstruction", "tvae.model", "tvae.schedule", "tvae.states"),
        *("trained", "canvas", "lattices", "scene", "groups"),
        *("tvae.batches", "tvae.observations", "config", "errors"),
    },
    "task": {
        *("session", "trained", "scene", "scaling", "frames"),
        *("noise", "presets", "config", "errors"),
    },
    "checks": {"config", "errors"},
    "pipeline": {
        *("task", "checks", "session", "trained", "frames", "tvae.training", "tvae.schedule"),
        *("noise", "device", "presets", "config", "errors"),
    },
    "": {"pipeline", "presets", "config"},
    "stacks": {"trained", "pipeline", "session", "config", ""},
    "figure": {"metrics"},
    "extras": {"files", "errors", "figure", "images", "metrics"},
    "meter": set(),
    "job": {
        *("conversion", "pipeline", "trained", "images", "metrics", "presets", "config", "errors"),
    },
    "work": {
        *("job", "stacks", "", "extras", "meter", "checks", "trained", "conversion"),
        *("pipeline", "session", "device", "images", "metrics", "config", "errors"),
    },
    "naming": {"images", "errors"},
    "sharing": {
        *("conversion", "extras", "images", "job", "checks", "pipeline", "trained", "errors"),
    },
    "plan": {"naming", "job", "images", "errors"},
    "rows": {"job", ""},
    "report": {"rows", "files", "errors"},
    "worker": {"work", "job", "rows", "device", "errors"},
    "pool": {"worker", "job", "images", "errors"},
    "batch": {
        "checks",
        *("pool", "worker", "report", "rows", "job", "extras", "figure", "pipeline", "device"),
        *("images", "errors"),
    },
    "benchmark": {"pipeline", "session", "metrics", "config", "errors"},
    "benchmark_summary": set(),
    "cli.tables": set(),
    "cli.interrupts": {"errors"},
    "cli.progress": {"tvae.training"},
    "cli.options": {"", "presets", "images"},
    "cli.completion": set(),
    "cli.file_options": {"cli.options", "cli.completion", "naming"},
    "cli.presets": {"cli.options", "cli.tables", "presets"},
    "cli.streams": {"images", "errors"},
    "cli.output": {"cli.tables", "batch", "plan", "naming", "rows", "report"},
    "cli.batch_progress": {"cli.output", "worker", "rows", "job"},
    "cli.one": {
        "work",
        *("cli.interrupts", "cli.output", "cli.progress"),
        *("batch", "pool", "job", "device", "tvae.training", "errors"),
    },
    "cli.models": {
        *("cli.output", "cli.progress", "sharing", "job", "plan", "extras", "device", "errors"),
    },
    "cli.many": {
        "cli.models",
        *("cli.interrupts", "cli.output", "cli.batch_progress"),
        *("batch", "plan", "naming", "rows", "report", "job"),
    },
    "cli.denoise": {
        "cli.models",
        *("cli.one", "cli.many", "cli.output", "cli.streams", "cli.options", "cli.file_options"),
        *(
            "batch",
            "plan",
            "naming",
            "rows",
            "report",
            "job",
            "conversion",
            "images",
            "presets",
            "errors",
        ),
    },
    "cli.info": {"cli.options", "cli.tables", "images", "noise", "errors", ""},
    "cli.benchmark": {
        "checks",
        *("cli.options", "cli.file_options", "cli.interrupts", "cli.progress", "cli.output"),
        *(
            "cli.tables",
            "benchmark",
            "benchmark_summary",
            "report",
            "rows",
            "job",
            "pipeline",
            "device",
        ),
        *("images", "presets", "config", "errors"),
    },
    "cli.compare": {
        *("cli.options", "cli.file_options", "cli.output", "cli.tables"),
        *("rows", "images", "metrics", "errors"),
    },
    "cli": {
        *("cli.benchmark", "cli.compare", "cli.denoise", "cli.info", "cli.presets"),
        *("cli.completion", "cli.interrupts", "cli.options"),
        *("errors", ""),
    },
    "__main__": {"cli"},
}
"""Which module may import which; "" is the package itself, with its lazy exports."""

CLI = {module for module in MAY_IMPORT if module.split(".")[0] == "cli"}
ROOMS: dict[str, set[str]] = {
    "skimage": {"metrics", "readings"},
    "PIL": {
        "images.pillow",
        "images.png",
        "images.jpeg",
        "images.webp",
        "images.tiff_exif",
        "figure",
    },
    "tifffile": {"images.tiff", "images.tiff_writing", "images.tiff_exif", "images.tiff_tags"},
    "imagecodecs": {"images.png", "images.bmp"},
    "png": {"images.png"},
    "astropy": {"images.fits"},
    "typer": CLI,
    "rich": {"cli.progress", "cli.batch_progress", "cli.tables"},
    "torch": {
        *("device", "meter", "patches", "groups", "scene", "lattices", "canvas", "session"),
        *("trained", "task", "checks", "pipeline", "threads"),
        *(module for module in MAY_IMPORT if module.startswith("tvae.")),
    },
}
"""Who may know a library, inside of functions too."""

WITHOUT_TORCH = [
    *("errors", "config", "presets", "files", "images", "metrics", "figure", "extras"),
    *("job", "naming", "plan", "rows", "report", "worker", "pool", "batch"),
    *CLI - {"cli.progress"},
]
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
