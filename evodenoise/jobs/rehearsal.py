"""What a run would check before its first step, with nothing written and no folder made."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from evodenoise.errors import EvodenoiseError, OutputError
from evodenoise.jobs.checks import check_settings
from evodenoise.jobs.forecast import START_SECONDS, forecast_seconds
from evodenoise.jobs.job import Job, PreparedJob, RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.process import prepare
from evodenoise.jobs.records import Record, Status, bare_record, prepared_record
from evodenoise.system.files import NewFile


def rehearse_plan(plan: Plan, ledger: Ledger, on_record: Callable[[Record], object]) -> float:
    """Find out for each image what would become of it.

    Parameters
    ----------
    plan : Plan
        The images.
    ledger : Ledger
        Gets a record for each; its report gets none.
    on_record : callable
        Called with each record at once.

    Returns
    -------
    float
        Seconds that the run would take on one core, roughly.

    Raises
    ------
    InvalidInputError
        If the run would end with it: because of its settings, or of its only image.
    """
    settings = replace(ledger.settings, make_folders=plan.make_folders)
    if plan.many:
        check_settings(settings)
    seconds = START_SECONDS
    for job in plan.jobs:
        try:
            if settings.resume and job.target.exists():
                record = bare_record(job, settings, Status.SKIPPED)
            else:
                prepared = rehearse(job, settings)
                record = prepared_record(prepared, settings, Status.PENDING)
                seconds += forecast_seconds(prepared, joint=settings.joint)
        except EvodenoiseError as error:
            record = bare_record(job, settings, Status.FAILED, " ".join(str(error).split()))
            if not plan.many:
                ledger.planned(job, record)
                raise
        ledger.planned(job, record)
        on_record(record)
    return seconds


def rehearse(job: Job, settings: RunSettings) -> PreparedJob:
    """Check a job as `prepare` does; folders that it would make are only checked.

    Parameters
    ----------
    job : Job
        The files.
    settings : RunSettings
        What holds for the whole run.

    Returns
    -------
    PreparedJob
        As of `prepare`.

    Raises
    ------
    InvalidInputError
        What the run would end with.
    """
    with tempfile.TemporaryDirectory(prefix="evodenoise-") as scratch:
        stand_ins: dict[Path, Path] = {}
        if settings.make_folders:
            stand_ins = _stand_in(job, Path(scratch))
        try:
            prepared = prepare(_moved(job, stand_ins), replace(settings, make_folders=False))
        except EvodenoiseError as error:
            # The user knows nothing of our folders.
            message = str(error)
            for folder, stand_in in stand_ins.items():
                message = message.replace(str(stand_in), str(folder))
            error.args = (message,)
            raise
    return replace(prepared, job=job)


def _stand_in(job: Job, scratch: Path) -> dict[Path, Path]:
    """Make a folder in the place of each one that is not there, but could be made."""
    stand_ins: dict[Path, Path] = {}
    for folder in dict.fromkeys(path.parent for path in job.outputs()):
        try:
            missing = not folder.is_dir()
            if missing:
                _check_creatable(folder)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be created: {error.strerror}") from error
        if missing:
            stand_ins[folder] = scratch / str(len(stand_ins))
            stand_ins[folder].mkdir()
    return stand_ins


def _check_creatable(folder: Path) -> None:
    """Refuse a folder if the one that it would be made in is none, or may not be written to."""
    above = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not above.is_dir():
        raise OutputError(f"{folder}: cannot be created: {above} is not a folder")
    with NewFile(above / "probe"):
        pass


def _moved(job: Job, folders: Mapping[Path, Path]) -> Job:
    """Let outputs go to other folders."""

    def move(path: Path) -> Path:
        return folders.get(path.parent, path.parent) / path.name

    return replace(
        job,
        target=move(job.target),
        residual=job.residual and move(job.residual),
        figure=job.figure and move(job.figure),
        uncertainty=job.uncertainty and move(job.uncertainty),
        model=job.model and move(job.model),
    )
