"""A record for each image of a run, in memory and in the reports."""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from evodenoise.evaluation.views import Views
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.picture_report import PictureReport
from evodenoise.jobs.pictures import draw_files
from evodenoise.jobs.records import COLUMNS, Record, Status, bare_record, summarise
from evodenoise.jobs.report import HTML, Report
from evodenoise.jobs.shards import list_shard_reports


class Ledger:
    """A record for each image of a run, in memory and in the reports.

    Parameters
    ----------
    settings : RunSettings
        The run.
    reports : iterable of Path
        Where the records go as well.
    resume : bool
        Whether to go on with the reports of an earlier run.
    gather : bool
        Whether those of shards of that run are gathered in them.
    """

    def __init__(
        self,
        settings: RunSettings,
        reports: Iterable[Path] = (),
        *,
        resume: bool = False,
        gather: bool = False,
    ) -> None:
        self.settings = settings
        self.records: dict[Job, Record] = {}
        self.reports = [_open(path) for path in reports]
        for report in self.reports if resume else ():
            parts = list_shard_reports(report.path) if gather else ()
            report.resume(partial(_keeps, report), parts)
        self._share()

    def start(self) -> None:
        """Begin the reports."""
        for report in self.reports:
            report.start()

    def ready(self, job: Job, record: Record, views: Views | None = None) -> None:
        """Take down a result whose file is about to appear, and its pictures if they are wanted."""
        self._note(job, record, views)

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
        key = _output(record)
        known = (report.records[key] for report in self.reports if key in report.records)
        earlier = next(known, record)
        for report in self.reports:
            if isinstance(report, PictureReport) and _views(report, key) is None:
                report.add(earlier, draw_files(job, self.settings.files))
            elif key not in report.records:
                report.add(earlier)
        self.records[job] = {**earlier, "status": Status.SKIPPED.value}
        return self.records[job]

    def finish(self, jobs: Sequence[Job]) -> None:
        """Bring the records into the order of the plan."""
        self.records = {job: self.records[job] for job in jobs if job in self.records}
        for report in self.reports:
            report.finish([_output(record) for record in self.records.values()])

    def flush(self) -> None:
        """See that all that has been taken down is in the reports."""
        for report in self.reports:
            report.flush()

    def count_failures(self) -> tuple[int, int]:
        """Count the images that failed, and all of them."""
        failed = sum(record["status"] == Status.FAILED for record in self.records.values())
        return failed, len(self.records)

    def _share(self) -> None:
        """Let each report know what another one knows better."""
        for report in self.reports:
            for other in self.reports:
                for key, record in other.records.items():
                    own = report.records.get(key)
                    if own is None or _is_better(record, own):
                        report.take(record, _views(report, key))

    def _note(self, job: Job, record: Record, views: Views | None = None) -> Record:
        for report in self.reports:
            report.add(record, views)
        self.records[job] = record
        return record


def _open(path: Path) -> Report:
    kind = PictureReport if path.suffix == HTML else Report
    return kind(path, COLUMNS, _output, summarise)


def _views(report: Report, key: str) -> Views | None:
    return report.views.get(key) if isinstance(report, PictureReport) else None


def _keeps(report: Report, record: Record) -> bool:
    """Tell whether a record of an earlier run still holds, and nothing better is known."""
    known = report.records.get(_output(record))
    return _is_there(record) and (known is None or record["status"] != Status.SKIPPED)


def _is_better(record: Record, other: Record) -> bool:
    """Tell whether a record says more than another one: that of a skipped image says nothing."""
    return bool(other["status"] == Status.SKIPPED and record["status"] != Status.SKIPPED)


def _output(record: Record) -> str:
    return os.path.abspath(str(record["output"]))  # noqa: PTH100 - links are names of their own


def _is_there(record: Record) -> bool:
    """Tell whether a record of an earlier run still holds."""
    return record["status"] in (Status.DONE, Status.SKIPPED) and os.path.exists(record["output"])  # noqa: PTH110
