"""Many images, denoised by processes of their own."""

import time
from collections import Counter

from evodenoise.cli.interrupts import Interrupts
from evodenoise.cli.models import Sharing
from evodenoise.cli.output import Voice, list_notes, print_rows
from evodenoise.cli.request import Request
from evodenoise.errors import ExitCode, plural
from evodenoise.jobs.batch import (
    Ledger,
    check_settings,
    draw_contact_sheets,
    find_resources,
    run_batch,
)
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.records import Status

STOPPING = (
    "stopping: the images that have been begun are finished "
    "(Ctrl-C again: quit now; --skip-existing goes on later)"
)
LEFT = "whole files are in place, --skip-existing goes on"


def denoise_many(
    plan: Plan,
    settings: RunSettings,
    ledger: Ledger,
    voice: Voice,
    request: Request,
    sharing: Sharing,
) -> ExitCode:
    """Denoise many images and print what came of them.

    Parameters
    ----------
    plan : Plan
        Which.
    settings : RunSettings
        How.
    ledger : Ledger
        Gets a row for each.
    voice : Voice
        What to print.
    request : Request
        How many at once, and what else is wanted.
    sharing : Sharing
        Whether they share a model.

    Returns
    -------
    ExitCode
        Whether some or all failed.
    """
    from evodenoise.cli.batch_progress import show_batch

    started = time.perf_counter()
    with Interrupts(LEFT) as interrupts:
        check_settings(settings)
        unpaired = sum(job.reference is None for job in plan.jobs)
        if 0 < unpaired < len(plan.jobs):
            voice.say(f"warning: {unpaired} of {len(plan.jobs)} images have no reference")
        with (
            sharing.settle(plan, settings, voice) as settled,
            show_batch(len(plan.jobs), voice, request.report) as audience,
            interrupts.gentle(STOPPING),
        ):
            run_batch(
                plan.jobs,
                settled,
                ledger,
                audience,
                find_resources(settings, request.jobs),
                fail_fast=request.fail_fast,
                stop_requested=lambda: interrupts.stop_requested,
            )
        if request.figure is not None:
            draw_contact_sheets(request.figure, ledger)
    print_rows(ledger, voice, passed_over=plan.passed_over)
    for line in (*audience.warnings(), *list_notes(ledger)):
        voice.say(line)
    voice.say(_summary(ledger, plan, time.perf_counter() - started))
    failed, total = ledger.count_failures()
    return ExitCode.INTERRUPTED if interrupts.stop_requested else ExitCode.of_many(failed, total)


def _summary(ledger: Ledger, plan: Plan, seconds: float) -> str:
    counts = Counter(row["status"] for row in ledger.rows.values())
    parts = [f"{counts[status]} {status}" for status in Status if counts[status]]
    if plan.passed_over:
        parts.append(f"{plural(plan.passed_over, 'file')} passed over")
    minutes, rest = divmod(round(seconds), 60)
    return f"{', '.join(parts)}; {f'{minutes} min ' if minutes else ''}{rest} s"
