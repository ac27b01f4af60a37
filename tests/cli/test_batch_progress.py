"""What is told of a batch: no warning is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evodenoise.cli.batch_progress import BatchProgress, show_batch
from evodenoise.cli.output import Voice
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.records import Status, bare_record

WARNING = "a PNG file does not keep: tag {}"


@pytest.fixture
def jobs() -> list[Job]:
    return [Job(Path(f"{name}.tif"), Path(f"{name}.png"), Path(name)) for name in "abc"]


def watch(
    jobs: list[Job], report: Path | None = None, voice: Voice | None = None
) -> Iterator[BatchProgress]:
    """Let a batch come to its end, with a warning about each image."""
    known = {"noise_std": 1.0, "wall_seconds": 1.0}
    with show_batch(len(jobs), voice or Voice(), report) as audience:
        for job in jobs:
            row = {**bare_record(job, RunSettings(), Status.DONE), **known}
            audience.ends(job, row, (WARNING.format(job.inside),))
        yield audience


def test_where_images_have_lines_their_warnings_stand_below(
    jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    (audience,) = watch(jobs)
    assert list(audience.warnings()) == []
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines[::2]] == [
        *("[1/3] a.tif", "[2/3] b.tif", "[3/3] c.tif")
    ]
    assert lines[1::2] == [f"warning: {job.source}: {WARNING.format(job.inside)}" for job in jobs]


def test_where_a_bar_moves_warnings_are_summed_up(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    for report, where in ((None, "--report keeps them"), (Path("r.csv"), "all are in r.csv")):
        (audience,) = watch(jobs, report)
        assert "does not keep" not in capsys.readouterr().err
        assert list(audience.warnings()) == [
            f"warning: a.tif and 2 images more: {WARNING.format('a')} ({where})"
        ]
