"""What denoising says: results on stdout, all else on stderr."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from evodenoise.cli.tables import print_table
from evodenoise.jobs.batch import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.records import Record, Status, document, summarise


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
    voice.say(f"{len(plan.jobs)} images, {plan.passed_over} files passed over; nothing was done")


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
