"""Carry out a plan: skip what is there, carry on after errors, keep a record for each image."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from evodenoise.jobs.cluster import Cluster, ClusterPool
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.pool import Pool, Watch
from evodenoise.jobs.records import Record
from evodenoise.jobs.resources import Resources
from evodenoise.jobs.worker import ProgressMessage


class Audience(Protocol):
    """Who watches a batch."""

    def begins(self, job: Job) -> None:
        """See an image begun."""

    def gets_on(self, job: Job, progress: ProgressMessage) -> None:
        """See how it gets on."""

    def ends(self, job: Job, record: Record) -> None:
        """See what became of it."""


def run_batch(
    jobs: Sequence[Job],
    settings: RunSettings,
    ledger: Ledger,
    audience: Audience,
    resources: Resources,
    *,
    cluster: Cluster | None = None,
    fail_fast: bool = False,
    stop_requested: Callable[[], bool] = lambda: False,
) -> None:
    """Denoise many images; those that fail do not keep the others from being done.

    Parameters
    ----------
    jobs : sequence of Job
        In the order in which they are begun.
    settings : RunSettings
        What holds for all.
    ledger : Ledger
        Gets a record for each.
    audience : Audience
        Is told.
    resources : Resources
        What may be used.
    cluster : Cluster or None
        Where it is done; None: on this machine.
    fail_fast : bool
        Whether nothing more is begun after a failure.
    stop_requested : callable
        Once it returns True, nothing more is begun.

    Raises
    ------
    WriteError
        If the report cannot be written.
    RunError
        If the scheduler of the cluster is lost.
    """

    def is_there(job: Job) -> bool:
        if settings.resume and job.target.exists():
            audience.ends(job, ledger.skipped(job))
            return True
        return False

    def is_over() -> bool:
        return stop_requested() or (fail_fast and ledger.count_failures()[0] > 0)

    watch = Watch(
        on_start=audience.begins,
        on_progress=audience.gets_on,
        on_ready=lambda job, message: ledger.ready(job, message.record, message.views),
        on_finish=lambda job: audience.ends(job, ledger.records[job]),
        on_failure=lambda job, error: audience.ends(job, ledger.failed(job, error)),
    )
    ledger.start()
    # Not before its turn: another run may be at work on the same folder.
    todo = (job for job in jobs if not is_there(job))
    settings = replace(settings, make_folders=True)
    if cluster is None:
        Pool(settings, resources, watch).run(todo, is_over)
    else:
        ClusterPool(settings, resources, watch, cluster).run(todo, is_over)
    for job in jobs:
        if job not in ledger.records and not is_there(job):
            ledger.pending(job)
    ledger.finish(jobs)
