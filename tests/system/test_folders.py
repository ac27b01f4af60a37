"""Folders appear whole or not at all, and what a killed run left behind goes away."""

import sys
from pathlib import Path

import pytest

from evodenoise.system.folders import NewFolder

with_locks = pytest.mark.skipif(sys.platform == "win32", reason="needs locks of Unix")


def fill(target: Path, text: str) -> None:
    with NewFolder(target) as new:
        (new.folder / "a.txt").write_text(text)
        new.put()


def test_it_appears_whole_in_place_of_an_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    fill(target, "old")
    (target / "b.txt").write_text("only in the old one")
    with NewFolder(target) as new:
        (new.folder / "a.txt").write_text("new")
        assert (target / "a.txt").read_text() == "old"
        new.put()
    assert [path.name for path in target.iterdir()] == ["a.txt"]
    assert (target / "a.txt").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_of_what_was_given_up(tmp_path: Path) -> None:
    with NewFolder(tmp_path / "a.zarr") as new:
        (new.folder / "a.txt").write_text("half")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_and_not_what_it_leads_to(tmp_path: Path) -> None:
    fill(tmp_path / "real", "kept")
    (tmp_path / "a.zarr").symlink_to("real")
    fill(tmp_path / "a.zarr", "new")
    assert (tmp_path / "real" / "a.txt").read_text() == "kept"
    assert (tmp_path / "a.zarr" / "a.txt").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "real"]


def test_the_old_one_comes_back_if_the_new_one_cannot_be_put(tmp_path: Path) -> None:
    fill(tmp_path / "a.zarr", "old")
    with NewFolder(tmp_path / "a.zarr") as new:
        new.folder.rmdir()
        with pytest.raises(FileNotFoundError):
            new.put()
    assert (tmp_path / "a.zarr" / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@with_locks
def test_sweeps_what_a_killed_run_left_but_not_what_is_being_written(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    with NewFolder(target) as living:
        stale = living.folder.with_name(living.folder.name[:-13] + "00000000.part")
        (stale / "inner").mkdir(parents=True)
        fill(target, "whole")
        assert not stale.exists()
        assert living.folder.exists()
    assert list(tmp_path.iterdir()) == [target]


@with_locks
def test_what_a_killed_run_moved_away_comes_back(tmp_path: Path) -> None:
    """It had moved the old folder and not yet put the new one."""
    target = tmp_path / "a.zarr"
    fill(target, "old")
    with NewFolder(target) as new:
        name = new.folder.name
    target.rename(tmp_path / name.replace(".part", ".old"))
    with NewFolder(target):
        assert (target / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
