"""Damaged files of every kind: read or refused, never anything else."""

import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("alarms and limits are a thing of Unix", allow_module_level=True)

from fuzz_reader import SECONDS_A_FILE, read_all


def test_damaged_files(tmp_path: Path) -> None:
    outcomes = read_all(tmp_path, 300, seed=4, most_seconds=SECONDS_A_FILE)
    assert outcomes["read"] + outcomes["refused"] == 300
    assert min(outcomes["refused"], outcomes["written"]) > 30
