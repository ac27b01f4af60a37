"""Reports are whole after every record, and a run that was killed goes on with them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from evodenoise.errors import OutputError
from evodenoise.jobs.records import finite_or_none, summarise
from evodenoise.jobs.report import Report, check_report

COLUMNS = {"output": str, "status": str, "psnr": float, "seed": int, "warnings": list}


def record(
    name: str, psnr: float | None = 30.5, status: str = "done", *warnings: str
) -> dict[str, Any]:
    return {
        "output": name,
        "status": status,
        "psnr": psnr,
        "seed": 3,
        "warnings": list(warnings),
    }


def open_report(path: Path) -> Report:
    return Report(path, COLUMNS, lambda each: each["output"], summarise)


@pytest.fixture(params=["r.json", "r.jsonl", "r.csv"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def resumed(path: Path) -> list[dict[str, Any]]:
    report = open_report(path)
    report.resume(lambda _: True)
    return list(report.records.values())


def test_records_survive_side_by_side(path: Path) -> None:
    report = open_report(path)
    report.start()
    records = [
        record("a"),
        record('b, "c"\n', None, "failed"),
        record("d", 1 / 3, "done", "a; b, c", 'd "e"'),
    ]
    for count, each in enumerate(records, 1):
        report.add(each)
        assert resumed(path) == records[:count]


def test_a_second_record_replaces_the_first(path: Path) -> None:
    report = open_report(path)
    report.start()
    for each in (record("a"), record("b"), record("a", None, "failed")):
        report.add(each)
    assert resumed(path) == [record("a", None, "failed"), record("b")]


def test_going_on_drops_what_does_not_hold_and_brings_order(path: Path) -> None:
    report = open_report(path)
    report.start()
    for name in "cab":
        report.add(record(name))
    again = open_report(path)
    again.resume(lambda each: each["output"] != "a")
    again.start()
    again.add(record("d"))
    again.finish(["b", "c", "d"])
    assert [each["output"] for each in resumed(path)] == ["b", "c", "d"]


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_torn_last_record_counts_for_nothing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"r.{ending}"
    report = open_report(path)
    report.start()
    report.add(record("a"))
    report.add(record("b"))
    path.write_bytes(path.read_bytes()[:-3])
    assert resumed(path) == [record("a")]


def test_a_file_that_is_no_report_of_ours(path: Path) -> None:
    path.write_text("something,else\n1,2\n")
    with pytest.raises(OutputError, match=r"is not a report|other columns"):
        resumed(path)


def test_the_json_document(tmp_path: Path) -> None:
    report = open_report(tmp_path / "r.json")
    report.start()
    report.add(record("a", 20.0))
    report.add(record("b", 30.0))
    report.add(record("c", None, "failed"))
    found = json.loads((tmp_path / "r.json").read_text())
    assert set(found) == {"version", "files", "summary"}
    assert found["summary"]["psnr"] == 25
    assert (found["summary"]["done"], found["summary"]["failed"]) == (2, 1)


def test_numbers_without_a_name_in_json() -> None:
    assert [finite_or_none(each) for each in (math.inf, math.nan, 1.5, 2)] == [None, None, 1.5, 2]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("r.txt", "unknown ending"), ("no/r.csv", "no such folder"), ("there.csv", "exists already")],
)
def test_refusals(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "there.csv").touch()
    with pytest.raises(OutputError, match=reason):
        check_report(tmp_path / name, replace_it=False)
