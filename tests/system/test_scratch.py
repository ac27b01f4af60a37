"""Large arrays are kept in files that nobody sees, and leave the memory when they are told."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from files import full_disk

from evodenoise.errors import ScratchError
from evodenoise.system import scratch
from evodenoise.system.scratch import forget, map_file, map_pieces, pieces, scratch_array

LARGE = (64, 2**10, 2**8)  # bytes: 16 MiB


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take every array of a mebibyte for large, and keep them in a folder of the test's own."""
    monkeypatch.setattr(scratch, "MAPPED_FROM", 2**20)
    monkeypatch.setattr(scratch, "PIECE", 2**16)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def resident() -> int:
    """Return how many bytes of this process are in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


@pytest.mark.usefixtures("folder")
def test_a_small_array_is_in_memory() -> None:
    small = scratch_array((3, 4), "uint16")
    assert small.base is None
    assert (small.shape, small.dtype) == ((3, 4), np.uint16)
    forget(small)


def test_values_survive_and_no_file_is_seen(folder: Path) -> None:
    array = scratch_array(LARGE, "uint8")
    assert not array.any()
    values = np.random.default_rng(0).integers(0, 256, LARGE).astype(np.uint8)
    array[:] = values
    view = array[3:, ::2].reshape(61, -1)
    forget(view)
    np.testing.assert_array_equal(array, values)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_forgotten_leaves_the_memory() -> None:
    array = scratch_array(LARGE, "uint8")
    before = resident()
    array[:] = 1
    assert resident() - before > 0.9 * array.nbytes
    forget(array[1:].transpose(2, 0, 1))
    assert resident() - before < 0.1 * array.nbytes
    assert array.min() == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pieces_do_not_stay_in_memory() -> None:
    array = scratch_array(LARGE, "uint8")
    before, most = resident(), 0
    doubled = map_pieces(lambda piece: piece.astype(np.uint16) + 2, "uint16", array)
    for place in pieces(doubled):
        assert (doubled[place] == 2).all()
        most = max(most, resident() - before)
    assert most < 0.2 * doubled.nbytes


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
def test_no_room_is_told_in_one_line(folder: Path) -> None:
    with full_disk(), pytest.raises(ScratchError, match=r"no room for 17 MB .* TMPDIR") as caught:
        scratch_array(LARGE, "uint8")
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("folder")
def test_room_is_taken_where_the_system_has_no_call_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(scratch.os, "posix_fallocate", raising=False)
    array = scratch_array((2**20 + 3,), "uint8")
    array[-1] = 7
    assert array.sum() == 7


def test_a_mapped_file_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(10)))
    with (tmp_path / "a").open("rb") as stream:
        array = np.ndarray((5,), "u1", map_file(stream), offset=5)
    forget(array)
    assert array.tolist() == [5, 6, 7, 8, 9]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_private_mapping_keeps_what_was_written(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(5000))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="c")
    mapped[:] = 3
    forget(mapped)
    assert (mapped == 3).all()


@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 5, 70), (2, 3, 50, 60), (1, 9, 10000)])
def test_pieces_cover_an_array_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(scratch, "PIECE", 1000)
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    found = [array[place].ravel() for place in pieces(array)]
    np.testing.assert_array_equal(np.concatenate([np.empty(0, int), *found]), array.ravel())
    assert all(each.nbytes <= 1000 or each.size <= shape[-1] for each in found)
