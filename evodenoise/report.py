"""A row for each image of a run, in a file that survives whatever happens to the run."""

import csv
import io
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from evodenoise import __version__
from evodenoise.errors import OutputError, WriteError
from evodenoise.files import write_bytes
from evodenoise.job import Job, JobResult, RunSettings

Row = dict[str, Any]
ENDINGS = (".json", ".jsonl", ".csv")
MEANS = ("psnr_noisy", "psnr", "ssim_noisy", "ssim")
"""What a summary averages, over the rows that have it."""


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
    "noise_std": float,
    "free_energy": float,
    "data_range": float,
    "psnr_noisy": float,
    "psnr": float,
    "ssim_noisy": float,
    "ssim": float,
}
"""What a row tells, in this order: pixels, seconds, bytes, pixel units, nats a patch, dB."""


def bare_row(job: Job, settings: RunSettings, status: Status, error: str | None = None) -> Row:
    """Make a row for an image of which there is no result.

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
        A value for each of `COLUMNS`; None where nothing is known.
    """
    known = {
        "input": str(job.source),
        "output": str(job.target),
        "status": status.value,
        "error": error,
        "preset": settings.preset,
        "seed": settings.seed,
        "version": __version__,
    }
    return {name: known.get(name) for name in COLUMNS}


def result_row(result: JobResult, settings: RunSettings) -> Row:
    """Make a row for a result.

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
    image, denoised = result.prepared.image, result.denoised
    before, after, truth = result.noisy_quality, result.quality, result.prepared.truth
    known = {
        "pages": len(image.pages),
        "width": image.pages.shape[2],
        "height": image.pages.shape[1],
        "channels": image.channels,
        "dtype": image.pixels.dtype.name,
        "device": denoised.device,
        "threads": result.threads,
        "epochs": len(denoised.history),
        "stop_reason": str(denoised.stop_reason.value),
        "cpu_seconds": result.cpu_seconds,
        "wall_seconds": result.wall_seconds,
        "peak_memory": result.peak_memory,
        "noise_std": denoised.noise_std,
        "free_energy": denoised.free_energy,
        "data_range": truth and truth.data_range,
        "psnr_noisy": before and before.psnr,
        "psnr": after and after.psnr,
        "ssim_noisy": before and before.ssim,
        "ssim": after and after.ssim,
    }
    row = bare_row(result.prepared.job, settings, Status.DONE)
    return {**row, **{name: finite_or_none(value) for name, value in known.items()}}


def finite_or_none(value: Any) -> Any:
    """Replace the numbers that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summarise(rows: Iterable[Mapping[str, Any]], *, passed_over: int = 0) -> dict[str, Any]:
    """Count the rows by status and average what was measured.

    Parameters
    ----------
    rows : iterable of mappings
        With a ``status``.
    passed_over : int
        Files that were not for us.

    Returns
    -------
    dict
        Counts, and the means of `MEANS`, None where nothing was measured.
    """
    rows = list(rows)
    counts = Counter(row["status"] for row in rows)
    means = {}
    for name in MEANS:
        values = [row[name] for row in rows if row.get(name) is not None]
        means[name] = statistics.fmean(values) if values else None
    by_status = {status.value: counts[status.value] for status in Status}
    return {"files": len(rows), **by_status, "passed_over": passed_over, **means}


def document(rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Put rows and their summary into the one form of our JSON documents."""
    return {"version": __version__, "files": list(rows), "summary": dict(summary)}


class Report:
    """A file with one row for each output, whole after every row.

    Parameters
    ----------
    path : Path
        Its ending decides: ``.json`` is rewritten for each row, ``.jsonl`` and ``.csv`` grow.
    columns : sequence of str
        The names of a row.
    key : callable
        Tells from a row what it is about; a second row about the same replaces the first.
    summary : callable
        Sums up rows for the JSON document.
    """

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, type],
        key: Callable[[Row], Any],
        summary: Callable[[Sequence[Row]], Mapping[str, Any]],
    ) -> None:
        self.path, self.columns, self.key, self.summary = path, columns, key, summary
        self.rows: dict[Any, Row] = {}

    def resume(self, keep: Callable[[Row], bool]) -> None:
        """Go on with the file of an earlier run, if there is one.

        Parameters
        ----------
        keep : callable
            Tells whether a row of it still holds; the others are dropped.

        Raises
        ------
        OutputError
            If the file is not one of our reports.
        """
        if self.path.exists():
            found = _read(self.path, self.columns)
            self.rows = {self.key(row): row for row in found if keep(row)}

    def start(self) -> None:
        """Write the rows that there are so far.

        Raises
        ------
        WriteError
            If that fails.
        """
        self._rewrite()

    def add(self, row: Row) -> None:
        """Add a row; it is in the file when this returns.

        Raises
        ------
        WriteError
            If it could not be written.
        """
        if self.rows.get(self.key(row)) == row:
            return
        known = self.key(row) in self.rows
        self.rows[self.key(row)] = row
        if known or self.path.suffix == ".json":
            self._rewrite()
            return
        try:
            # In one piece: a killed run leaves a whole line or, on a full disk, a torn last one.
            with self.path.open("ab", buffering=0) as stream:
                stream.write(_encode(self._lines([row])))
        except OSError as error:
            raise _write_error(self.path, error) from error

    def finish(self, order: Sequence[Any]) -> None:
        """Bring the rows into an order.

        Parameters
        ----------
        order : sequence
            Keys; rows about anything else come first, as they were.
        """
        places = {key: place for place, key in enumerate(order)}
        keys = sorted(self.rows, key=lambda key: places.get(key, -1))
        if keys != list(self.rows) or self.path.suffix == ".json":
            self.rows = {key: self.rows[key] for key in keys}
            self._rewrite()

    def _rewrite(self) -> None:
        rows = list(self.rows.values())
        if self.path.suffix == ".json":
            text = json.dumps(document(rows, self.summary(rows)), indent=2, allow_nan=False) + "\n"
        elif self.path.suffix == ".csv":
            text = _csv([self.columns]) + self._lines(rows)
        else:
            text = self._lines(rows)
        try:
            write_bytes(self.path, _encode(text))
        except OSError as error:
            raise _write_error(self.path, error) from error

    def _lines(self, rows: Sequence[Row]) -> str:
        if self.path.suffix == ".csv":
            return _csv([row[name] for name in self.columns] for row in rows)
        return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def check_report(path: Path, *, replace_it: bool) -> None:
    """Refuse, before any work, a report that could not be written.

    Parameters
    ----------
    path : Path
        The report.
    replace_it : bool
        Whether one that exists may be replaced or gone on with.

    Raises
    ------
    OutputError
        If the ending is unknown or the folder is not there.
    """
    if path.suffix not in ENDINGS:
        raise OutputError(f"{path}: unknown ending of a report; use one of {', '.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder; create it first")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder")
    if path.exists() and not replace_it:
        raise OutputError(
            f"{path}: exists already; "
            "add --skip-existing to go on where a run stopped, or --overwrite"
        )


def _write_error(path: Path, error: OSError) -> WriteError:
    return WriteError(f"{path}: cannot be written: {error.strerror or error}")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")  # file names may be any bytes


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read(path: Path, columns: Mapping[str, type]) -> list[Row]:
    """Read the rows of a report; a torn last line counts for nothing."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if path.suffix == ".json":
            rows = json.loads(text)["files"] if text.strip() else []
        elif path.suffix == ".csv":
            rows = _read_csv(text, columns)
        else:
            rows = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        if all(set(row) == set(columns) for row in rows):
            return list(rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is not a report to go on with: {error}") from error
    raise OutputError(f"{path}: is a report with other columns; choose another name")


def _read_csv(text: str, columns: Mapping[str, type]) -> list[Row]:
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(whole), strict=True)
    return [
        {name: columns[name](value) if value else None for name, value in row.items()}
        for row in rows
        if None not in row.values()
    ]
