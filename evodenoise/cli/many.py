"""Many images, denoised by processes of their own, on this machine or many."""

import time
from contextlib import AbstractContextManager, nullcontext

from evodenoise.cli.interrupts import Interrupts
from evodenoise.cli.models import Sharing
from evodenoise.cli.output import Voice, count_records, list_notes, print_records
from evodenoise.cli.request import Request
from evodenoise.errors import ExitCode
from evodenoise.jobs.batch import run_batch
from evodenoise.jobs.checks import check_settings
from evodenoise.jobs.cluster import Cluster, reach_cluster
from evodenoise.jobs.contact_sheets import draw_contact_sheets
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.resources import find_resources

STOPPING = (
    "stopping: the images that have been begun are finished "
    "(Ctrl-C again: quit now; --skip-existing goes on later)"
)
NO_CONTACT_SHEETS = (
    "note: contact sheets show all images; the same command without --shard and with "
    "--skip-existing draws them once all shards are done"
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
        Gets a record for each.
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
    check_settings(settings, here=request.scheduler is None)
    with Interrupts(LEFT) as interrupts, _reach(request.scheduler, voice) as cluster:
        unpaired = sum(job.reference is None for job in plan.jobs)
        if 0 < unpaired < len(plan.jobs):
            voice.say(f"warning: {unpaired} of {len(plan.jobs)} images have no reference")
        with (
            sharing.settle(plan, settings, voice) as settled,
            show_batch(len(plan.jobs), voice, next(iter(request.reports), None)) as audience,
            interrupts.gentle(STOPPING),
        ):
            run_batch(
                plan.jobs,
                settled,
                ledger,
                audience,
                find_resources(settings, request.jobs, here=cluster is None),
                cluster=cluster,
                fail_fast=request.fail_fast,
                stop_requested=lambda: interrupts.stop_requested,
            )
        if request.figure is not None and request.shard is None:
            draw_contact_sheets(request.figure, ledger)
    print_records(ledger, voice, passed_over=plan.passed_over)
    for line in (*audience.warnings(), *list_notes(ledger)):
        voice.say(line)
    if request.figure is not None and request.shard is not None:
        voice.say(NO_CONTACT_SHEETS)
    voice.say(_summary(ledger, plan, time.perf_counter() - started))
    failed, total = ledger.count_failures()
    return ExitCode.INTERRUPTED if interrupts.stop_requested else ExitCode.of_many(failed, total)


def _reach(address: str | None, voice: Voice) -> AbstractContextManager[Cluster | None]:
    """Reach the cluster that was asked for, if one was."""
    return nullcontext() if address is None else reach_cluster(address, voice.say)


def _summary(ledger: Ledger, plan: Plan, seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{count_records(ledger, plan)}; {f'{minutes} min ' if minutes else ''}{rest} s"
