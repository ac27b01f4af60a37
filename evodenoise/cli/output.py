"""What denoising says: results on stdout, all else on stderr."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from evodenoise.cli.tables import print_table
from evodenoise.errors import plural
from evodenoise.jobs.batch import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.records import Record, Status, document, summarise

SLACK = 1.1
"""A run that takes longer than so many times its limit is worth a word."""


@dataclass(frozen=True)
class Voice:
    """How much is said, and in which form.

    Attributes
    ----------
    quiet, verbose : bool
        Less, and more.
    as_json : bool
        Results as one JSON document.
    stdout_is_taken : bool
        The image itself goes to stdout, so that figures have to go to stderr.
    """

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False
    stdout_is_taken: bool = False

    def say(self, line: str) -> None:
        """Print a line on stderr, unless that is unwanted."""
        if not self.quiet:
            typer.echo(line, err=True)

    def result(self, line: str) -> None:
        """Print a line of the results."""
        typer.echo(line, err=self.stdout_is_taken)


def print_document(rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Print rows as one JSON document."""
    typer.echo(json.dumps(document(rows, summary), indent=2, allow_nan=False))


def print_rows(ledger: Ledger, voice: Voice, *, passed_over: int = 0) -> None:
    """Print the rows of a run: all as JSON if wanted, else a table of what was measured."""
    rows = list(ledger.rows.values())
    summary = summarise(rows, passed_over=passed_over)
    if voice.as_json:
        print_document(rows, summary)
    elif any(row["psnr"] is not None or row["ssim"] is not None for row in rows):
        header = ["image", "noisy dB", "PSNR dB", "noisy SSIM", "SSIM"]
        measured = [row for row in rows if row["ssim"] is not None]
        lines = [_cells(row["input"], row) for row in measured]
        means = [_cells("mean", summary)] if len(lines) > 1 else []
        print_table(header, lines + means, numbers=4)


def _cells(name: str, row: Mapping[str, Any]) -> list[str]:
    forms = {"psnr_noisy": ".2f", "psnr": ".2f", "ssim_noisy": ".4f", "ssim": ".4f"}
    return [
        name,
        *("inf" if row[key] is None else format(row[key], form) for key, form in forms.items()),
    ]


def print_plan(plan: Plan, ledger: Ledger, voice: Voice) -> None:
    """Print what would be done."""
    for job in plan.jobs:
        done = ledger.settings.resume and job.target.exists()
        ledger.planned(job, done=done)
        if not voice.as_json:
            voice.result(f"{job.source} -> {job.target}{'  (is there: skipped)' if done else ''}")
    if voice.as_json:
        rows = list(ledger.rows.values())
        print_document(rows, summarise(rows, passed_over=plan.passed_over))
    images, files = plural(len(plan.jobs), "image"), plural(plan.passed_over, "file")
    voice.say(f"{images}, {files} passed over; nothing was done")


def end_line(row: Record) -> str:
    """Say in a line what became of an image."""
    name = row["input"]
    if row["error"] is not None:
        return f"{name}: failed: {row['error'].removeprefix(f'{name}: ')}"
    if row["status"] == Status.SKIPPED:
        return f"{name}: skipped: {row['output']} is there"
    return (
        f"{name}: noise level {row['noise_std']:.4g}, {row['wall_seconds']:.1f} s: {row['output']}"
    )


def list_notes(ledger: Ledger) -> Iterator[str]:
    """Say after a run which wishes came to nothing.

    Parameters
    ----------
    ledger : Ledger
        All that became of the images.

    Yields
    ------
    str
        A line each.
    """
    settings = ledger.settings
    done = [row for row in ledger.rows.values() if row["status"] == Status.DONE]
    if settings.joint and done and all(row["pages"] == 1 for row in done):
        yield "note: --stack joint did nothing: no image has several pages"
    if settings.threads is not None and any(row["device"] != "cpu" for row in done):
        yield "note: --threads did next to nothing: the work was not done by the CPU"
    limit = settings.overrides.get("time_limit")
    late = [row for row in done if limit is not None and row["wall_seconds"] > limit * SLACK]
    if late:
        longest = max(row["wall_seconds"] for row in late)
        yield (
            f"note: the time limit of {limit:g} s was too short for start-up, files and the least "
            f"of training; {plural(len(late), 'image')} took up to {longest:.1f} s"
        )
    yield from _list_gaps(ledger)


def _list_gaps(ledger: Ledger) -> Iterator[str]:
    """Say what images that were skipped lack."""
    skipped = [job for job, row in ledger.rows.items() if row["status"] == Status.SKIPPED]
    beside = [path for job in skipped for path in job.outputs() if path != job.target]
    missing = [path for path in beside if not path.exists()]
    if missing:
        more = f" and {plural(len(missing) - 1, 'file')} more" if len(missing) > 1 else ""
        yield (
            f"note: {missing[0]}{more}: not there, and not made for an image that is skipped; "
            "--overwrite makes all anew"
        )
    unknown = [job for job in skipped if job.reference and ledger.rows[job]["ssim"] is None]
    if unknown:
        yield (
            f"note: {plural(len(unknown), 'image')} skipped and not measured; "
            "evodenoise compare does that"
        )
