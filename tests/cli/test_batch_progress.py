"""What is told of a batch: no warning is lost, and a terminal of 80 columns stands still."""

import re
from pathlib import Path

import pytest

from evodenoise.cli.batch_progress import BatchProgress, show_batch
from evodenoise.cli.output import Voice
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.records import Record, Status, bare_record
from evodenoise.jobs.worker import ProgressMessage

WARNING = "a PNG file does not keep: tag ImageDescription"
NAMES = [f"a_rather_long_name_of_a_microscope_{number}.png" for number in range(2)]
JOBS = [Job(Path("shots", name), Path("out", name), Path(name)) for name in NAMES]


def record(job: Job, *warnings: str, status: Status = Status.DONE) -> Record:
    noise = {"noise_std": 25.0, "noise_source": "estimated", "noise_kind": "white"}
    known = {**noise, "wall_seconds": 1.0}
    return {**bare_record(job, RunSettings(), status), **known, "warnings": list(warnings)}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def lines_shown(text: str) -> list[str]:
    """Take what was printed apart into lines, as plain text."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


@pytest.mark.usefixtures("terminal")
def test_bars_stand_still_and_long_names_can_be_told_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with show_batch(2, Voice(), None) as audience:
        for job in JOBS:
            audience.begins(job)
        for phase, share in (("reading", 0.0), ("page 12, rebuilding", 0.5), ("", 1.0)):
            for job in JOBS:
                audience.gets_on(job, ProgressMessage(phase, share))
            audience.bars.refresh()
    lines = [line for line in lines_shown(capsys.readouterr().err) if "━" in line]
    assert {re.search("[━╸╺]", line).start() for line in lines} == {47}
    assert any("page 12, rebuilding ━" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)
    shown = {line.split()[0] for line in lines} - {"0/2"}
    assert len(shown) == 2
    assert {name[-5:] for name in shown} == {"0.png", "1.png"}


@pytest.mark.usefixtures("terminal")
def test_each_image_tells_the_time_left_as_its_worker_sees_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with show_batch(2, Voice(), None) as audience:
        for job, left in zip(JOBS, (None, 3723.5), strict=True):
            audience.begins(job)
            audience.gets_on(job, ProgressMessage("epoch 3", 0.5, left))
        audience.bars.refresh()
    lines = lines_shown(capsys.readouterr().err)
    for number, left in enumerate(("--:--", "1:02:0")):
        assert any(f"{number}.png" in line and left in line for line in lines)


def tell(audience: BatchProgress) -> None:
    for job in JOBS:
        audience.begins(job)
        audience.ends(job, record(job, "the noise may be correlated (level 1)"))


def watch(report: Path | None = None) -> BatchProgress:
    """Let a batch come to its end, with a warning about each image."""
    with show_batch(len(JOBS), Voice(), report) as audience:
        for job in JOBS:
            audience.begins(job)
            audience.ends(job, record(job, WARNING))
    return audience


def test_in_a_pipe_each_warning_stands_below_its_image(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(watch().warnings()) == []
    assert capsys.readouterr().err.splitlines() == [
        line
        for number, name in enumerate(NAMES, 1)
        for line in (
            f"[{number}/2] shots/{name}: noise level 25 (estimated), 1.0 s: out/{name}",
            f"warning: shots/{name}: {WARNING}",
        )
    ]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("report", "where"), [(None, "--report keeps them"), ("r.csv", "all are in r.csv")]
)
def test_where_a_bar_moves_warnings_are_summed_up(
    capsys: pytest.CaptureFixture[str], report: str | None, where: str
) -> None:
    audience = watch(Path(report) if report else None)
    err = capsys.readouterr().err
    assert "noise level" not in err
    assert "does not keep" not in err
    assert list(audience.warnings()) == [
        f"warning: shots/{NAMES[0]} and 1 image more: {WARNING} ({where})"
    ]


def test_what_was_told_when_an_image_was_denoised_is_not_told_when_it_is_skipped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with show_batch(1, Voice(verbose=True), None) as audience:
        audience.ends(JOBS[0], record(JOBS[0], "an old story", status=Status.SKIPPED))
    assert list(audience.warnings()) == []
    assert "old story" not in capsys.readouterr().err
