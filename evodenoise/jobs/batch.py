"""Carry out a plan: skip what is there, carry on after errors, keep a row for each image."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from evodenoise.errors import EvodenoiseError
from evodenoise.evaluation.figures import Thumbnail, make_thumbnail
from evodenoise.images import read_image
from evodenoise.images.conversion import Conversion
from evodenoise.jobs.job import Job, JobResult, RunSettings, configure
from evodenoise.jobs.pool import Pool, Resources, Watch, available_cores
from evodenoise.jobs.records import COLUMNS, Record, Status, bare_record, result_record, summarise
from evodenoise.jobs.report import Report
from evodenoise.jobs.sidecars import middle_page, write_sheets
from evodenoise.jobs.worker import Progress, Ready

NOMINAL_SHAPE = (256, 256)
"""Of an image by which settings are judged before there is one."""

EVIDENT_SEEDS, EVIDENT_DEVICES = range(2**31), ("cpu",)
"""What is in order on any machine."""


class Ledger:
    """A row for each image of a run, in memory and in the report.

    Parameters
    ----------
    settings : RunSettings
        The run.
    report : Path, optional
        Where the rows go as well.
    resume : bool
        Whether to go on with the report of an earlier run.
    """

    def __init__(
        self, settings: RunSettings, report: Path | None = None, *, resume: bool = False
    ) -> None:
        self.settings = settings
        self.rows: dict[Job, Record] = {}
        self.report = Report(report, COLUMNS, _output, summarise) if report else None
        if self.report and resume:
            self.report.resume(_is_there)

    def start(self) -> None:
        """Begin the report."""
        if self.report:
            self.report.start()

    def ready(self, job: Job, row: Record) -> None:
        """Take down a result whose file is about to appear."""
        self._note(job, row)

    def failed(self, job: Job, error: str) -> Record:
        """Take down that there will be no result."""
        return self._note(job, bare_record(job, self.settings, Status.FAILED, error))

    def planned(self, job: Job, *, done: bool) -> Record:
        """Take down what would become of an image, but not in the report."""
        self.rows[job] = bare_record(job, self.settings, Status.SKIPPED if done else Status.PENDING)
        return self.rows[job]

    def pending(self, job: Job) -> Record:
        """Take down that the run ended before the image was begun."""
        return self._note(job, bare_record(job, self.settings, Status.PENDING))

    def skipped(self, job: Job) -> Record:
        """Take down that the result was there already; an earlier report knows more about it."""
        row = bare_record(job, self.settings, Status.SKIPPED)
        if self.report:
            earlier = self.report.rows.get(_output(row))
            if earlier:
                self.rows[job] = {**earlier, "status": Status.SKIPPED.value}
                return self.rows[job]
        return self._note(job, row)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Bring the rows of the report into the order of the plan."""
        self.rows = {job: self.rows[job] for job in jobs if job in self.rows}
        if self.report:
            self.report.finish([_output(row) for row in self.rows.values()])

    def count_failures(self) -> tuple[int, int]:
        """Count the images that failed, and all of them."""
        failed = sum(row["status"] == Status.FAILED for row in self.rows.values())
        return failed, len(self.rows)

    def _note(self, job: Job, row: Record) -> Record:
        if self.report:
            self.report.add(row)
        self.rows[job] = row
        return row


def _output(row: Record) -> str:
    return os.path.abspath(str(row["output"]))  # noqa: PTH100 - links are names of their own


def _is_there(row: Record) -> bool:
    """Tell whether a row of an earlier run still holds."""
    return row["status"] in (Status.DONE, Status.SKIPPED) and os.path.exists(row["output"])  # noqa: PTH110


class Audience(Protocol):
    """Who watches a batch."""

    def begins(self, job: Job) -> None:
        """See an image begun."""

    def gets_on(self, job: Job, progress: Progress) -> None:
        """See how it gets on."""

    def ends(self, job: Job, row: Record, warnings: Sequence[str]) -> None:
        """See what became of it."""


def run_batch(
    jobs: Sequence[Job],
    settings: RunSettings,
    ledger: Ledger,
    audience: Audience,
    resources: Resources,
    *,
    fail_fast: bool = False,
    stop_requested: Callable[[], bool] = lambda: False,
) -> None:
    """Denoise many images; those that fail do not keep the others from being done.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are begun.
    settings : RunSettings
        What holds for all.
    ledger : Ledger
        Gets a row for each.
    audience : Audience
        Is told.
    resources : Resources
        What may be used.
    fail_fast : bool
        Whether nothing more is begun after a failure.
    stop_requested : callable
        Once it returns True, nothing more is begun.

    Raises
    ------
    WriteError
        If the report cannot be written.
    """
    warnings: dict[Job, tuple[str, ...]] = {}

    def is_there(job: Job) -> bool:
        if settings.resume and job.target.exists():
            audience.ends(job, ledger.skipped(job), ())
            return True
        return False

    def on_ready(job: Job, message: Ready) -> None:
        warnings[job] = message.warnings
        ledger.ready(job, dict(message.row))

    def is_over() -> bool:
        return stop_requested() or (fail_fast and ledger.count_failures()[0] > 0)

    watch = Watch(
        on_start=audience.begins,
        on_progress=audience.gets_on,
        on_ready=on_ready,
        on_finish=lambda job: audience.ends(job, ledger.rows[job], warnings.pop(job)),
        on_failure=lambda job, error: audience.ends(job, ledger.failed(job, error), ()),
    )
    ledger.start()
    # Not before its turn: another run may be at work on the same folder.
    todo = (job for job in jobs if not is_there(job))
    Pool(replace(settings, make_folders=True), resources, watch).run(todo, is_over)
    for job in jobs:
        if job not in ledger.rows and not is_there(job):
            ledger.pending(job)
    ledger.finish(jobs)


def check_settings(settings: RunSettings) -> None:
    """Refuse, before any work, settings that no image could be denoised with.

    Raises
    ------
    InvalidInputError
        If one is out of range, or the device is not there.
    """
    config = configure(settings.preset, np.empty(NOMINAL_SHAPE), settings.overrides)
    # Here and below: torch takes seconds to load, so only what could be refused waits for it.
    if settings.seed not in EVIDENT_SEEDS:
        from evodenoise.denoising.checks import check_seed

        check_seed(settings.seed)
    if config.device not in EVIDENT_DEVICES:
        from evodenoise.system.device import resolve_device

        resolve_device(config.device)


def find_resources(settings: RunSettings, jobs: int | None) -> Resources:
    """Find out what a batch may use: cores, and GPUs if there are and the settings let us."""
    device = settings.overrides.get("device") or "auto"
    devices: tuple[str, ...] = (device,)
    if device not in EVIDENT_DEVICES:
        from evodenoise.system.device import list_devices

        devices = list_devices(device)
    return Resources(available_cores(), devices, jobs, settings.threads)


def draw_contact_sheets(folder: Path, ledger: Ledger) -> None:
    """Draw contact sheets of all images that have been denoised, now or in earlier runs.

    Parameters
    ----------
    folder : Path
        Where they go.
    ledger : Ledger
        Knows the images.

    Raises
    ------
    WriteError
        If that fails.
    """
    write_sheets(folder, _thumbnails(ledger))


def _thumbnails(ledger: Ledger) -> Iterator[Thumbnail]:
    for job, row in ledger.rows.items():
        if row["status"] in (Status.DONE, Status.SKIPPED):
            with suppress(EvodenoiseError):  # an earlier run's file that has gone since
                conversion = Conversion.read(job.source, ledger.settings.files)
                noisy, denoised = conversion.image, read_image(job.target)
                yield make_thumbnail(
                    middle_page(noisy, noisy.pixels),
                    middle_page(denoised, conversion.in_units_of_input(denoised.pixels)),
                    (str(job.inside), _figures(row)),
                )


def _figures(row: Record) -> str:
    parts = []
    if row["noise_std"] is not None:
        parts.append(f"noise {row['noise_std']:.3g}")
    if row["psnr"] is not None and row["psnr_noisy"] is not None:
        parts.append(f"{row['psnr_noisy']:.2f} to {row['psnr']:.2f} dB")
    return ", ".join(parts)


def note_result(ledger: Ledger, result: JobResult) -> None:
    """Take down the result of a job that was done without a pool."""
    ledger.ready(result.prepared.job, result_record(result, ledger.settings))
