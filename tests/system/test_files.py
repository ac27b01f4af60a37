"""Files appear whole or not at all, and what a killed run left behind goes away."""

import sys
from pathlib import Path

import pytest

from evodenoise.system.files import NewFile, write_bytes


def test_it_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_bytes(target, b"old")
    with NewFile(target) as file:
        file.stream.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
        file.put()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_of_what_was_given_up(tmp_path: Path) -> None:
    with NewFile(tmp_path / "a.txt") as file:
        file.stream.write(b"half")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs locks of Unix")
def test_sweeps_what_a_killed_run_left_but_not_what_is_being_written(tmp_path: Path) -> None:
    target, other = tmp_path / "a.txt", tmp_path / "b.txt"
    with NewFile(target) as living, NewFile(other) as unrelated:
        stale = living._partial.with_name(living._partial.name[:-13] + "00000000.part")
        stale.write_bytes(b"half")
        write_bytes(target, b"whole")
        assert not stale.exists()
        assert living._partial.exists()
        assert unrelated._partial.exists()
    assert list(tmp_path.iterdir()) == [target]
