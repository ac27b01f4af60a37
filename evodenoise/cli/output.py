"""What denoising says: results on stdout, all else on stderr."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from evodenoise.cli.streams import STREAM
from evodenoise.cli.tables import print_table
from evodenoise.errors import EvodenoiseError, ExitCode, plural
from evodenoise.jobs.forecast import describe_seconds
from evodenoise.jobs.job_result import describe_findings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.records import Record, Status, document, summarise
from evodenoise.jobs.rehearsal import rehearse_plan
from evodenoise.jobs.shards import Shard

SLACK = 1.1
"""A run that takes longer than so many times its limit is worth a word."""

NOTABLE = 0.1
"""Share of a picture that has lost structure, worth a word; good results have up to 8 %."""

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


def print_refusal(error: EvodenoiseError, ledger: Ledger, voice: Voice) -> ExitCode:
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
    ExitCode
        That of the error.

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


def print_plan(plan: Plan, ledger: Ledger, voice: Voice) -> ExitCode:
    """Print what would be done, what would fail, and how long it would take.

    Parameters
    ----------
    plan : Plan
        What is wanted.
    ledger : Ledger
        Gets a record for each image.
    voice : Voice
        What to print.

    Returns
    -------
    ExitCode
        That of the run.

    Raises
    ------
    InvalidInputError
        If the run would end with it before its first image.
    """
    try:
        seconds = rehearse_plan(plan, ledger, lambda record: _print_prospect(record, voice))
    except EvodenoiseError as error:
        if plan.many:
            raise
        return print_refusal(error, ledger, voice)
    records = list(ledger.records.values())
    summary = summarise(records, passed_over=plan.passed_over)
    if voice.as_json:
        print_document(records, {**summary, "forecast_seconds": seconds})
    counts = count_records(ledger, plan, PROSPECTS)
    voice.say(f"{counts}; about {describe_seconds(seconds)} on one core; nothing was done")
    return ExitCode.of_many(*ledger.count_failures())


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
        parts.append(f"{plural(plan.passed_over, 'file')} passed over")
    return ", ".join(parts)


def describe_shard(shard: Shard, plan: Plan, whole: Plan) -> str:
    """Say how many of the images are of a shard."""
    if not plan.jobs:
        return f"shard {shard} is empty: none of {plural(len(whole.jobs), 'image')}; nothing to do"
    return f"shard {shard}: {len(plan.jobs)} of {plural(len(whole.jobs), 'image')}"


def end_line(record: Record) -> str:
    """Say in a line what became of an image."""
    name = record["input"]
    if record["error"] is not None:
        return f"{name}: failed: {_reason(record)}"
    if record["status"] == Status.SKIPPED:
        return f"{name}: skipped: {record['output']} is there"
    told = ("noise_std", "noise_source", "noise_kind", "impulses", "clipped", "estimated_psnr")
    parts = describe_findings(*(record[name] for name in told))
    if record["missing_share"]:
        parts.append(_gaps(record))
    parts.append(f"{record['wall_seconds']:.1f} s")
    return f"{name}: {', '.join(parts)}: {record['output']}"


def _reason(record: Record) -> str:
    """Say why an image failed, without its name."""
    return str(record["error"]).removeprefix(f"{record['input']}: ")


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
    done = [record for record in ledger.records.values() if record["status"] == Status.DONE]
    if settings.joint and done and all(record["pages"] == 1 for record in done):
        yield "note: --stack joint did nothing: no image has several pages"
    if settings.threads is not None and any(record["device"] != "cpu" for record in done):
        yield "note: --threads did next to nothing: the work was not done by the CPU"
    limit = settings.overrides.get("time_limit")
    late = [
        record for record in done if limit is not None and record["wall_seconds"] > limit * SLACK
    ]
    if late:
        longest = max(record["wall_seconds"] for record in late)
        yield (
            f"note: the time limit of {limit:g} s was too short for start-up, files and the least "
            f"of training; {plural(len(late), 'image')} took up to {longest:.1f} s"
        )
    yield from _list_losses(done)
    yield from _list_gaps(ledger)


def _list_losses(done: Sequence[Record]) -> Iterator[str]:
    """Say of which images more than noise was taken away."""
    lost = [record for record in done if (record["structured"] or 0) > NOTABLE]
    if not lost:
        return
    most = max(lost, key=lambda record: record["structured"])
    picture = "the picture" if len(done) == 1 else most["input"]
    more = f", and {plural(len(lost) - 1, 'image')} more" if len(lost) > 1 else ""
    yield (
        f"note: structure was removed in {100 * most['structured']:.0f} % of {picture}{more}, or "
        "the noise is not what it was taken for; --residual shows what was taken away"
    )


def _list_gaps(ledger: Ledger) -> Iterator[str]:
    """Say what images that were skipped lack."""
    skipped = [job for job, record in ledger.records.items() if record["status"] == Status.SKIPPED]
    beside = [path for job in skipped for path in job.outputs() if path != job.target]
    missing = [path for path in beside if not path.exists()]
    if missing:
        more = f" and {plural(len(missing) - 1, 'file')} more" if len(missing) > 1 else ""
        yield (
            f"note: {missing[0]}{more}: not there, and not made for an image that is skipped; "
            "--overwrite makes all anew"
        )
    unknown = [job for job in skipped if job.reference and ledger.records[job]["ssim"] is None]
    if unknown:
        yield (
            f"note: {plural(len(unknown), 'image')} skipped and not measured; "
            "evodenoise compare does that"
        )
