"""The bar of one image: one share of all its work, and the time left."""

import re

import pytest

from evodenoise.cli.progress import show_progress
from evodenoise.cli.time_left import describe_left
from evodenoise.jobs.forecast import StageSeconds
from evodenoise.jobs.progress import ImageProgress
from evodenoise.tvae.training import EpochReport


def lines_shown(text: str) -> list[str]:
    """Take what was printed apart into lines, as plain text."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


def test_one_bar_for_all_stages_fits_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    now = 0.0
    image = ImageProgress(StageSeconds(60, 20, 20, visit=0.6), clock=lambda: now)
    with show_progress(image, quiet=False, verbose=False) as progress:
        progress.bar.refresh()
        for epoch in (1, 2):
            now += 30
            report = EpochReport(epoch, epoch / 2, 50, -12345.6, 123.45, 3.0, 0.1, 1e-3, 30.0)
            progress.on_epoch(report)
            progress.bar.refresh()
        for stage in (progress.on_reconstruction, progress.on_refinement):
            stage(0.0)
            now += 20
            stage(1.0)
            progress.bar.refresh()
    lines = lines_shown(capsys.readouterr().err)
    assert all(len(line) <= 80 for line in lines)
    for words in (
        ("starting", "0%", "--:--"),
        ("epoch 1", "30%", "01:10"),
        ("epoch 2", "60%", "00:40"),
        ("rebuilding", "80%", "00:20"),
        ("refining", "100%", "00:00"),
    ):
        assert any(all(word in line for word in words) for line in lines), words


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "00:00"), (59.2, "01:00"), (61, "01:01"), (3723, "1:02:03")]
)
def test_time_left_in_words(seconds: float, said: str) -> None:
    assert describe_left(seconds) == said
