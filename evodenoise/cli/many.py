"""Many images, denoised by processes of their own."""

import time
from pathlib import Path

from evodenoise.cli.interrupts import INTERRUPTED, Interrupts
from evodenoise.cli.models import Sharing
from evodenoise.cli.output import Voice, count_records, exit_code, print_records
from evodenoise.jobs.batch import run_batch
from evodenoise.jobs.checks import check_settings
from evodenoise.jobs.contact_sheets import draw_contact_sheets
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.resources import find_resources

STOPPING = (
    "stopping: the images that have been begun are finished "
    "(Ctrl-C again: quit now; --skip-existing goes on later)"
)
LEFT = "interrupted; whole files are in place, --skip-existing goes on"


def denoise_many(
    plan: Plan,
    settings: RunSettings,
    ledger: Ledger,
    voice: Voice,
    *,
    jobs: int | None,
    fail_fast: bool,
    figures: Path | None,
    sharing: Sharing,
) -> int:
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
    jobs : int or None
        Images at once.
    fail_fast : bool
        Whether nothing is begun after a failure.
    figures : Path or None
        The folder for contact sheets.
    sharing : Sharing
        Whether they share a model.

    Returns
    -------
    int
        The exit code.
    """
    from evodenoise.cli.batch_progress import show_batch

    started = time.perf_counter()
    check_settings(settings)
    unpaired = sum(job.reference is None for job in plan.jobs)
    if 0 < unpaired < len(plan.jobs):
        voice.say(f"warning: {unpaired} of {len(plan.jobs)} images have no reference")
    with (
        Interrupts(LEFT) as interrupts,
        sharing.settle(plan, settings, voice) as settled,
        show_batch(len(plan.jobs), voice) as audience,
        interrupts.gentle(STOPPING),
    ):
        run_batch(
            plan.jobs,
            settled,
            ledger,
            audience,
            find_resources(settings, jobs),
            fail_fast=fail_fast,
            stop_requested=lambda: interrupts.stop_requested,
        )
    if figures is not None:
        draw_contact_sheets(figures, ledger)
    print_records(ledger, voice, passed_over=plan.passed_over)
    for line in audience.warnings():
        voice.say(line)
    voice.say(_summary(ledger, plan, time.perf_counter() - started))
    return INTERRUPTED if interrupts.stop_requested else exit_code(ledger)


def _summary(ledger: Ledger, plan: Plan, seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{count_records(ledger, plan)}; {f'{minutes} min ' if minutes else ''}{rest} s"
