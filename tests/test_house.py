"""The order of the house: which room may import which. A room may use those above it."""

import subprocess
import sys
from graphlib import TopologicalSorter

import pytest
from house import (
    CONTRIBUTING,
    GUARDED,
    MODULES,
    ROOMS,
    WALK,
    WITH_TORCH,
    WITHOUT_TORCH,
    imported_names,
    own_imports,
    room_of,
    with_tables,
)

import evodenoise

BY_NAME = {room.name: room for room in ROOMS}
INSIDE = [module for module in MODULES if module not in ("", "__main__")]


@pytest.mark.parametrize("module", INSIDE)
def test_imports_follow_the_table(module: str) -> None:
    assert room_of(module) in BY_NAME, f"{module} is in no room"
    allowed = (room_of(module), *BY_NAME[room_of(module)].may_import)
    for other in own_imports(module) - {""}:
        assert any(other == name or other.startswith(f"{name}.") for name in allowed), other


@pytest.mark.parametrize("module", INSIDE)
def test_of_the_package_itself_only_the_version_is_imported(module: str) -> None:
    own = {name for name in imported_names(module) if room_of(name) == "evodenoise"}
    at_the_door = {name for name in own if room_of(name.removeprefix("evodenoise.")) not in BY_NAME}
    assert at_the_door <= {"evodenoise.__version__"}


def test_the_table_is_in_order() -> None:
    """So that the package can be read from top to bottom."""
    above: set[str] = set()
    for room in ROOMS:
        assert {room_of(name) for name in room.may_import} <= above, room.name
        above.add(room.name)


def test_every_entry_of_the_table_is_used() -> None:
    used = {(room_of(module), room_of(other)) for module in INSIDE for other in own_imports(module)}
    for room in ROOMS:
        assert {(room.name, room_of(name)) for name in room.may_import} <= used, room.name


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: own_imports(module) - {"", module} for module in INSIDE}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("place", range(1, len(WALK)))
def test_each_file_of_the_walk_is_handed_the_image_by_one_before_it(place: int) -> None:
    module = WALK[place][0]
    # A room may hand on what lies in its modules.
    doors = {module, room_of(module)}
    assert any(own_imports(before) & doors for before, _ in WALK[:place])


def test_the_walk_is_short() -> None:
    assert len(WALK) <= 12


@pytest.mark.parametrize("library", GUARDED)
def test_a_library_is_known_in_its_rooms_only(library: str) -> None:
    known = {
        room_of(module)
        for module in INSIDE
        if library in {name.split(".")[0] for name in imported_names(module)}
    }
    assert known == {room.name for room in ROOMS if library in room.libraries}


def test_no_torch_before_it_is_needed() -> None:
    light = [
        module for module in INSIDE if room_of(module) in WITHOUT_TORCH and module not in WITH_TORCH
    ]
    names = ", ".join(f"evodenoise.{name}" for name in light)
    code = f"import sys, evodenoise, {names}; print([m for m in sys.modules if m == 'torch'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_contributing_shows_the_table() -> None:
    """If not: `python tests/house.py` writes it anew."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    assert with_tables(text) == text


@pytest.mark.parametrize("name", evodenoise.__all__)
def test_exports_are_there(name: str) -> None:
    assert getattr(evodenoise, name).__doc__ or name == "__version__"


def test_what_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'denoize'"):
        evodenoise.denoize  # noqa: B018
