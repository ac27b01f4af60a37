"""What denoising says: results on stdout, all else on stderr."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from evodenoise.cli.tables import print_table
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.records import Record, Status, document, summarise

ALL_FAILED, SOME_FAILED = 1, 3
"""Exit codes of a batch."""


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


def print_document(records: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Print records as one JSON document."""
    typer.echo(json.dumps(document(records, summary), indent=2, allow_nan=False))


def print_records(ledger: Ledger, voice: Voice, *, passed_over: int = 0) -> None:
    """Print the records of a run: all as JSON if wanted, else a table of what was measured."""
    records = list(ledger.records.values())
    summary = summarise(records, passed_over=passed_over)
    if voice.as_json:
        print_document(records, summary)
    elif any(record["psnr"] is not None or record["ssim"] is not None for record in records):
        header = ["image", "noisy dB", "PSNR dB", "noisy SSIM", "SSIM"]
        measured = [record for record in records if record["ssim"] is not None]
        lines = [_cells(record["input"], record) for record in measured]
        means = [_cells("mean", summary)] if len(lines) > 1 else []
        print_table(header, lines + means, numbers=4)


def exit_code(ledger: Ledger) -> int:
    """Tell by number whether images of a batch failed."""
    failures = ledger.failures()
    if not failures:
        return 0
    return ALL_FAILED if failures == len(ledger.records) else SOME_FAILED


def _cells(name: str, record: Mapping[str, Any]) -> list[str]:
    forms = {"psnr_noisy": ".2f", "psnr": ".2f", "ssim_noisy": ".4f", "ssim": ".4f"}
    return [
        name,
        *(
            "inf" if record[key] is None else format(record[key], form)
            for key, form in forms.items()
        ),
    ]


def print_plan(plan: Plan, ledger: Ledger, voice: Voice) -> None:
    """Print what would be done."""
    for job in plan.jobs:
        done = ledger.settings.resume and job.target.exists()
        ledger.planned(job, done=done)
        if not voice.as_json:
            voice.result(f"{job.source} -> {job.target}{'  (is there: skipped)' if done else ''}")
    if voice.as_json:
        records = list(ledger.records.values())
        print_document(records, summarise(records, passed_over=plan.passed_over))
    voice.say(f"{len(plan.jobs)} images, {plan.passed_over} files passed over; nothing was done")


def end_line(record: Record) -> str:
    """Say in a line what became of an image."""
    name = record["input"]
    if record["error"] is not None:
        return f"{name}: failed: {record['error'].removeprefix(f'{name}: ')}"
    if record["status"] == Status.SKIPPED:
        return f"{name}: skipped: {record['output']} is there"
    found = f"noise level {record['noise_std']:.4g}, {record['wall_seconds']:.1f} s"
    return f"{name}: {found}: {record['output']}"
