"""What is known of each image of a run: a record, and what records come to."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from evodenoise import __version__
from evodenoise.jobs.job import Job, PreparedJob, RunSettings
from evodenoise.jobs.job_result import PHOTON_COLUMNS, JobResult

Record = dict[str, Any]
MEANS = ("psnr_noisy", "psnr", "ssim_noisy", "ssim")
"""What a summary averages, over the records that have it."""


class Status(StrEnum):
    """What became of an input."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    PENDING = "pending"


COLUMNS: Mapping[str, type] = {
    "input": str,
    "output": str,
    "status": str,
    "error": str,
    "pages": int,
    "width": int,
    "height": int,
    "channels": int,
    "dtype": str,
    "axes": str,
    "device": str,
    "threads": int,
    "preset": str,
    "seed": int,
    "version": str,
    "epochs": int,
    "stop_reason": str,
    "cpu_seconds": float,
    "wall_seconds": float,
    "peak_memory": int,
    "missing_share": float,
    "noise_std": float,
    "noise_uncertainty": float,
    "noise_source": str,
    "noise_kind": str,
    "gain": float,
    "readout": float,
    "clipped": str,
    "impulses": int,
    "free_energy": float,
    "data_range": float,
    "psnr_noisy": float,
    "psnr": float,
    "ssim_noisy": float,
    "ssim": float,
    "estimated_psnr": float,
    "structured": float,
    "warnings": list,
}
"""What a record tells, in this order: pixels, seconds, bytes, pixel units, nats a patch, dB."""


def bare_record(
    job: Job, settings: RunSettings, status: Status, error: str | None = None
) -> Record:
    """Make a record for an image of which there is no result.

    Parameters
    ----------
    job : Job
        Its files.
    settings : RunSettings
        The run.
    status : Status
        What became of it.
    error : str, optional
        Why.

    Returns
    -------
    dict
        A value for each of `COLUMNS`; None where nothing is known, no warnings.
    """
    known: Record = {
        "input": str(job.source),
        "output": str(job.target),
        "status": status.value,
        "error": error,
        "preset": settings.preset,
        "seed": settings.seed,
        "version": __version__,
        "warnings": [],
    }
    return {name: known.get(name) for name in COLUMNS}


def prepared_record(prepared: PreparedJob, settings: RunSettings, status: Status) -> Record:
    """Make a record for an image that has been read and checked.

    Parameters
    ----------
    prepared : PreparedJob
        The image.
    settings : RunSettings
        The run.
    status : Status
        What became of it.

    Returns
    -------
    dict
        A value for each of `COLUMNS`; None where nothing is known.
    """
    image = prepared.image
    known = {
        "pages": len(image.pages),
        "width": image.pages.shape[2],
        "height": image.pages.shape[1],
        "channels": image.channels,
        "dtype": image.pixels.dtype.name,
        "axes": image.layout.axes,
        "missing_share": prepared.missing_share,
        "warnings": _lines(prepared.warnings),
    }
    return {**bare_record(prepared.job, settings, status), **known}


def _lines(warnings: Iterable[str]) -> list[str]:
    """Give each warning a line of its own; those of libraries may have several."""
    return [" ".join(warning.split()) for warning in warnings]


def result_record(result: JobResult, settings: RunSettings) -> Record:
    """Make a record for a result.

    Parameters
    ----------
    result : JobResult
        What came of a job.
    settings : RunSettings
        The run.

    Returns
    -------
    dict
        A value for each of `COLUMNS`; None where there is none, or no finite one.
    """
    denoised, reference = result.denoised, result.prepared.reference
    before, after = result.noisy_quality, result.quality
    known = {
        "device": denoised.device,
        "threads": result.threads,
        "epochs": len(denoised.history),
        "stop_reason": str(denoised.stop_reason.value),
        "cpu_seconds": result.cpu_seconds,
        "wall_seconds": result.wall_seconds,
        "peak_memory": result.peak_memory,
        "noise_std": denoised.noise_std,
        "noise_uncertainty": result.noise_uncertainty,
        "noise_source": result.noise_source.value,
        "noise_kind": result.noise_kind.value,
        **dict(zip(PHOTON_COLUMNS, result.photons or (None, None), strict=True)),
        "clipped": result.clipped and result.clipped.value,
        "impulses": denoised.impulses,
        "free_energy": denoised.free_energy,
        "data_range": reference and reference.data_range,
        "psnr_noisy": before and before.psnr,
        "psnr": after and after.psnr,
        "ssim_noisy": before and before.ssim,
        "ssim": after and after.ssim,
        "estimated_psnr": result.estimated_psnr,
        "structured": denoised.structured,
        "warnings": _lines(result.warnings()),
    }
    record = prepared_record(result.prepared, settings, Status.DONE)
    return {**record, **{name: finite_or_none(value) for name, value in known.items()}}


def finite_or_none(value: Any) -> Any:
    """Replace the numbers that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summarise(records: Iterable[Mapping[str, Any]], *, passed_over: int = 0) -> dict[str, Any]:
    """Count the records by status and average what was measured.

    Parameters
    ----------
    records : iterable of mappings
        With a ``status``.
    passed_over : int
        Files that were not for us.

    Returns
    -------
    dict
        Counts, and the means of `MEANS`, None where nothing was measured.
    """
    records = list(records)
    counts = Counter(record["status"] for record in records)
    means = {}
    for name in MEANS:
        values = [record[name] for record in records if record.get(name) is not None]
        means[name] = statistics.fmean(values) if values else None
    by_status = {status.value: counts[status.value] for status in Status}
    return {"files": len(records), **by_status, "passed_over": passed_over, **means}


def document(records: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Put records and their summary into the one form of our JSON documents."""
    return {"version": __version__, "files": list(records), "summary": dict(summary)}
