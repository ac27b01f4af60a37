"""What the user sees of a batch on stderr: bars on a terminal, else a line for each image."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Column

from evodenoise.cli.output import Voice, end_line
from evodenoise.cli.time_left import TimeLeftColumn
from evodenoise.errors import plural
from evodenoise.jobs.job import Job
from evodenoise.jobs.records import Record, Status
from evodenoise.jobs.worker import ProgressMessage

NAME_WIDTH, PHASE_WIDTH = 26, 19
"""Columns that do not change with what stands in them, lest the bars jump."""


class BatchProgress:
    """Show the course of a batch.

    Parameters
    ----------
    bars : Progress
        Started by the caller.
    total : int
        How many images there are.
    voice : Voice
        How much to say.
    report : Path or None
        Where all warnings can be read.
    """

    def __init__(self, bars: Progress, total: int, voice: Voice, report: Path | None) -> None:
        self.bars, self.total, self.voice, self.report = bars, total, voice, report
        self.ended = self.failed = 0
        self.warned: list[tuple[str, str]] = []
        self.current: dict[Job, TaskID] = {}
        self.whole = bars.add_task(self._counts(), total=total, phase="")

    def begins(self, job: Job) -> None:
        """See an image begun: a bar of its own."""
        self.current[job] = self.bars.add_task(
            _short(job.source.name), total=1.0, phase="", left=_counted_down(None)
        )

    def gets_on(self, job: Job, progress: ProgressMessage) -> None:
        """See how it gets on."""
        self.bars.update(
            self.current[job],
            completed=progress.share,
            phase=progress.phase,
            left=_counted_down(progress.seconds_left),
        )

    def ends(self, job: Job, record: Record) -> None:
        """See what became of it: a line, and a step of the whole bar."""
        if job in self.current:
            self.bars.remove_task(self.current.pop(job))
        self.ended += 1
        self.failed += record["status"] == Status.FAILED
        self.bars.update(self.whole, completed=self.ended, description=self._counts())
        # Those of an image that was skipped were told when it was denoised.
        warnings = record["warnings"] if record["status"] == Status.DONE else ()
        if not self._is_told(record):
            self.warned += [(str(job.source), warning) for warning in warnings]
            return
        self._print(f"[{self.ended:>{len(str(self.total))}}/{self.total}] {end_line(record)}")
        for warning in warnings:
            self._print(f"warning: {job.source}: {warning}")

    def warnings(self) -> Iterator[str]:
        """Sum up the warnings of images that had no line: each kind once, with an example."""
        kinds: dict[str, list[tuple[str, str]]] = {}
        for name, warning in self.warned:
            kinds.setdefault(warning.split("(")[0].split(":")[0], []).append((name, warning))
        where = "--report keeps them" if self.report is None else f"all are in {self.report}"
        for found in kinds.values():
            name, warning = found[0]
            more = f" and {plural(len(found) - 1, 'image')} more" if len(found) > 1 else ""
            yield f"warning: {name}{more}: {warning}{f' ({where})' if more else ''}"

    def _print(self, line: str) -> None:
        self.bars.console.print(escape(line), soft_wrap=True, highlight=False)

    def _is_told(self, record: Record) -> bool:
        """Tell of failures always, of others where no bar moves, of skipped ones on request."""
        if record["status"] == Status.FAILED:
            return True
        wanted = not self.voice.quiet and (self.voice.verbose or self.bars.disable)
        return wanted and (self.voice.verbose or record["status"] != Status.SKIPPED)

    def _counts(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.ended}/{plural(self.total, 'image')}{failed}"


@contextmanager
def show_batch(total: int, voice: Voice, report: Path | None) -> Iterator[BatchProgress]:
    """Show the course of a batch on stderr.

    Parameters
    ----------
    total : int
        How many images there are.
    voice : Voice
        How much to say.
    report : Path or None
        Where all warnings can be read.

    Yields
    ------
    BatchProgress
        To be told what happens.
    """
    console = Console(stderr=True)
    bars = Progress(
        _text("{task.description}", NAME_WIDTH),
        _text("{task.fields[phase]}", PHASE_WIDTH),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeLeftColumn(),
        console=console,
        transient=True,
        disable=voice.quiet or not console.is_terminal,
    )
    with bars:
        yield BatchProgress(bars, total, voice, report)


def _counted_down(seconds: float | None) -> Callable[[], float | None]:
    """Return what is left of so many seconds, whenever it is asked for."""
    end = math.inf if seconds is None else time.monotonic() + seconds
    return lambda: None if math.isinf(end) else max(end - time.monotonic(), 0.0)


def _text(form: str, width: int) -> TextColumn:
    return TextColumn(form, markup=False, table_column=Column(width=width, no_wrap=True))


def _short(name: str) -> str:
    """Leave out the middle of a long name: what tells images apart is mostly at its end."""
    if len(name) <= NAME_WIDTH:
        return name
    half = (NAME_WIDTH - 3) // 2
    return f"{name[: NAME_WIDTH - 3 - half]}...{name[-half:]}"
