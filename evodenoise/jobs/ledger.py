"""A record for each image of a run, in memory and in the report."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.records import COLUMNS, Record, Status, bare_record, summarise
from evodenoise.jobs.report import Report


class Ledger:
    """A record for each image of a run, in memory and in the report.

    Parameters
    ----------
    settings : RunSettings
        The run.
    report : Path, optional
        Where the records go as well.
    resume : bool
        Whether to go on with the report of an earlier run.
    parts : iterable of Path
        Reports of parts of that run, to be gathered in this one.
    """

    def __init__(
        self,
        settings: RunSettings,
        report: Path | None = None,
        *,
        resume: bool = False,
        parts: Iterable[Path] = (),
    ) -> None:
        self.settings = settings
        self.records: dict[Job, Record] = {}
        self.report = Report(report, COLUMNS, _output, summarise) if report else None
        if self.report and resume:
            self.report.resume(self._keeps, parts)

    def start(self) -> None:
        """Begin the report."""
        if self.report:
            self.report.start()

    def ready(self, job: Job, record: Record) -> None:
        """Take down a result whose file is about to appear."""
        self._note(job, record)

    def failed(self, job: Job, error: str) -> Record:
        """Take down that there will be no result."""
        return self._note(job, bare_record(job, self.settings, Status.FAILED, error))

    def planned(self, job: Job, record: Record) -> None:
        """Take down what would become of an image, but not in the report."""
        self.records[job] = record

    def pending(self, job: Job) -> Record:
        """Take down that the run ended before the image was begun."""
        return self._note(job, bare_record(job, self.settings, Status.PENDING))

    def skipped(self, job: Job) -> Record:
        """Take down that the result was there already; an earlier report knows more about it."""
        record = bare_record(job, self.settings, Status.SKIPPED)
        if self.report:
            earlier = self.report.records.get(_output(record))
            if earlier:
                self.records[job] = {**earlier, "status": Status.SKIPPED.value}
                return self.records[job]
        return self._note(job, record)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Bring the records into the order of the plan."""
        self.records = {job: self.records[job] for job in jobs if job in self.records}
        if self.report:
            self.report.finish([_output(record) for record in self.records.values()])

    def count_failures(self) -> tuple[int, int]:
        """Count the images that failed, and all of them."""
        failed = sum(record["status"] == Status.FAILED for record in self.records.values())
        return failed, len(self.records)

    def _keeps(self, record: Record) -> bool:
        """Tell whether a record of an earlier run still holds, and nothing better is known."""
        known = self.report.records if self.report else {}
        better = record["status"] == Status.SKIPPED and _output(record) in known
        return _is_there(record) and not better

    def _note(self, job: Job, record: Record) -> Record:
        if self.report:
            self.report.add(record)
        self.records[job] = record
        return record


def _output(record: Record) -> str:
    return os.path.abspath(str(record["output"]))  # noqa: PTH100 - links are names of their own


def _is_there(record: Record) -> bool:
    """Tell whether a record of an earlier run still holds."""
    return record["status"] in (Status.DONE, Status.SKIPPED) and os.path.exists(record["output"])  # noqa: PTH110
