"""What denoising says: results on stdout, all else on stderr."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from evodenoise.cli.streams import STREAM
from evodenoise.cli.tables import print_table
from evodenoise.errors import EvodenoiseError
from evodenoise.jobs.forecast import describe_seconds
from evodenoise.jobs.job import describe_noise
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.records import Record, Status, document, summarise
from evodenoise.jobs.rehearsal import rehearse_plan

ALL_FAILED, SOME_FAILED = 1, 3
"""Exit codes of a batch."""

NAMES = {status: str(status) for status in Status}
PROSPECTS = {
    Status.PENDING: "to do",
    Status.FAILED: "would fail",
    Status.SKIPPED: "there already",
}
"""What a status is called after a run, and before it."""


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
    failed, total = ledger.count_failures()
    if not failed:
        return 0
    return ALL_FAILED if failed == total else SOME_FAILED


def print_refusal(error: EvodenoiseError, ledger: Ledger, voice: Voice) -> int:
    """Print why the only image of a run failed, in the JSON document too if one is wanted.

    Parameters
    ----------
    error : EvodenoiseError
        Why.
    ledger : Ledger
        Has the image's record.
    voice : Voice
        What to print.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    EvodenoiseError
        The error itself where there is no document, for `main` to print.
    """
    if not voice.as_json:
        raise error
    print_records(ledger, voice)
    typer.echo(f"evodenoise: error: {error}", err=True)
    return error.exit_code


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
    """Print what would be done, what would fail, and how long it would take.

    Parameters
    ----------
    plan : Plan
        What is wanted.
    ledger : Ledger
        Gets a record for each image.
    voice : Voice
        What to print.

    Raises
    ------
    InvalidInputError
        If the run would end with it before its first image.
    typer.Exit
        With the exit code of the run, if images would fail.
    """
    try:
        seconds = rehearse_plan(plan, ledger, lambda record: _print_prospect(record, voice))
    except EvodenoiseError as error:
        if plan.many:
            raise
        raise typer.Exit(print_refusal(error, ledger, voice)) from error
    records = list(ledger.records.values())
    summary = summarise(records, passed_over=plan.passed_over)
    if voice.as_json:
        print_document(records, {**summary, "forecast_seconds": seconds})
    counts = count_records(ledger, plan, PROSPECTS)
    voice.say(f"{counts}; about {describe_seconds(seconds)} on one core; nothing was done")
    if code := exit_code(ledger):
        raise typer.Exit(code)


def _print_prospect(record: Record, voice: Voice) -> None:
    """Print what would become of an image."""
    stdin = Path(record["input"]).name == STREAM
    source = STREAM if stdin else record["input"]
    target = "stdout" if voice.stdout_is_taken else record["output"]
    line = f"{source} -> {target}"
    if record["error"] is not None:
        line = f"{source}: would fail: {_reason(record)}"
    elif record["status"] == Status.SKIPPED:
        line += "  (is there: skipped)"
    elif record["missing_share"]:
        line += f"  ({_gaps(record)})"
    if not voice.as_json:
        voice.result(line)
    for warning in record["warnings"]:
        voice.say(f"warning: {source}: {warning}")


def _gaps(record: Record) -> str:
    return f"{100 * record['missing_share']:.3g} % missing"


def count_records(ledger: Ledger, plan: Plan, names: Mapping[Status, str] = NAMES) -> str:
    """Count the images of a run by what became of them, and the files passed over.

    Parameters
    ----------
    ledger : Ledger
        Knows the images.
    plan : Plan
        Knows the files.
    names : mapping
        What a status is called, in the order in which they are named.
    """
    counts = Counter(record["status"] for record in ledger.records.values())
    parts = [f"{counts[status]} {name}" for status, name in names.items() if counts[status]]
    if plan.passed_over:
        files = "file" if plan.passed_over == 1 else "files"
        parts.append(f"{plan.passed_over} {files} passed over")
    return ", ".join(parts)


def end_line(record: Record) -> str:
    """Say in a line what became of an image."""
    name = record["input"]
    if record["error"] is not None:
        return f"{name}: failed: {_reason(record)}"
    if record["status"] == Status.SKIPPED:
        return f"{name}: skipped: {record['output']} is there"
    parts = [describe_noise(record["noise_std"], record["noise_source"])]
    if record["missing_share"]:
        parts.append(_gaps(record))
    parts.append(f"{record['wall_seconds']:.1f} s")
    return f"{name}: {', '.join(parts)}: {record['output']}"


def _reason(record: Record) -> str:
    """Say why an image failed, without its name."""
    return str(record["error"]).removeprefix(f"{record['input']}: ")
