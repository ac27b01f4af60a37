"""A process that denoises the images it is given, one after the other.

Light to import: torch comes with the first image.
"""

import os
import signal
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from evodenoise.errors import EvodenoiseError
from evodenoise.evaluation.views import Views
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.job_result import JobResult
from evodenoise.jobs.pictures import draw_result
from evodenoise.jobs.process import prepare, run
from evodenoise.jobs.progress import ImageProgress
from evodenoise.jobs.records import Record, result_record
from evodenoise.jobs.tiles import (
    TileAssignment,
    TileDone,
    TileGiven,
    TilesElsewhere,
    TilesWaiting,
)

if TYPE_CHECKING:
    from evodenoise.tvae.training import EpochReport

REPORT_EVERY = 0.2
"""Seconds between two words on how an image gets on."""


@dataclass(frozen=True)
class Assignment:
    """An image to denoise.

    Attributes
    ----------
    job : Job
        Its files.
    device : str
        Where.
    threads : int
        CPU threads.
    tiles_elsewhere : bool
        Whether tiles of a large image are asked for by whoever gave it.
    """

    job: Job
    device: str
    threads: int
    tiles_elsewhere: bool = False


@dataclass(frozen=True)
class ProgressMessage:
    """How an image gets on.

    Attributes
    ----------
    phase : str
        What is done now.
    share : float
        Of all the work on it that is done, from 0 to 1.
    seconds_left : float or None
        How long the rest takes; None: nothing is known of it.
    """

    phase: str
    share: float
    seconds_left: float | None = None


@dataclass(frozen=True)
class Ready:
    """All of an image is done but its output's name; the worker waits for a word to go on.

    Attributes
    ----------
    record : dict
        What is known of it.
    views : Views or None
        Its pictures, if a report shows them.
    """

    record: Record
    views: Views | None = None


@dataclass(frozen=True)
class Finished:
    """The output of an image has appeared."""


@dataclass(frozen=True)
class Failed:
    """An image could not be denoised, and why."""

    error: str


Message = ProgressMessage | Ready | Finished | Failed | TilesWaiting | TileGiven | TileDone


def serve(connection: Connection, settings: RunSettings, folder: Path | None = None) -> None:
    """Denoise each `Assignment` or `TileAssignment` until None comes or the other end is gone.

    Parameters
    ----------
    connection : Connection
        Assignments come in, messages go out.
    settings : RunSettings
        What holds for every image.
    folder : Path, optional
        Where relative paths begin; by default where this process is.
    """
    if folder is not None:
        os.chdir(folder)
    # Ctrl-C reaches all processes of a terminal; what to do about it the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    code = 0
    try:
        while (assignment := connection.recv()) is not None:
            connection.send(_denoise(assignment, settings, connection))
    except (EOFError, BrokenPipeError, ConnectionResetError, SystemExit):
        # Told to leave, or nobody is left to work for: nothing may appear that is in no report.
        code = 1
    # Not by way of the interpreter's end: files are cleaned up, and unloading torch takes seconds.
    os._exit(code)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


def _denoise(
    assignment: Assignment | TileAssignment, settings: RunSettings, connection: Connection
) -> Finished | Failed | TileDone:
    """Do one assignment; what goes wrong with it goes wrong with it alone."""
    try:
        if isinstance(assignment, TileAssignment):
            return assignment.carry_out()
        _run(assignment, settings, connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except EvodenoiseError as error:
        return Failed(" ".join(str(error).split()))
    except Exception as error:
        return Failed(" ".join(f"{type(error).__name__}: {error}".split()))
    return Finished()


def _run(assignment: Assignment, settings: RunSettings, connection: Connection) -> None:
    started = time.perf_counter()
    settings = replace(settings, overrides={**settings.overrides, "device": assignment.device})
    connection.send(ProgressMessage("reading", 0.0))
    prepared = prepare(assignment.job, settings, started=started)
    reporter = _Reporter(connection, ImageProgress.of_job(prepared, settings))

    from evodenoise.system.device import prepare_process

    prepare_process(assignment.threads)

    def on_ready(result: JobResult) -> None:
        views = draw_result(result) if settings.pictures else None
        connection.send(Ready(result_record(result, settings), views))
        connection.recv()

    run(
        prepared,
        settings,
        on_page=reporter.begin_page,
        on_epoch=reporter.on_epoch,
        on_reconstruction=reporter.on_reconstruction,
        on_refinement=reporter.on_refinement,
        on_ready=on_ready,
        elsewhere=TilesElsewhere(connection) if assignment.tiles_elsewhere else None,
    )


class _Reporter:
    """Tells how an image gets on, but not too often."""

    def __init__(self, connection: Connection, image: ImageProgress) -> None:
        self.connection, self.image, self.next, self.page = connection, image, 0.0, ""

    def begin_page(self, number: int) -> None:
        self.image.begin_page(number)
        self.page = f"page {number}, "

    def on_epoch(self, report: "EpochReport") -> None:
        self.image.train(report)
        self.tell(f"epoch {report.epoch}")

    def on_reconstruction(self, share: float) -> None:
        self.image.rebuild(share)
        self.tell("rebuilding")

    def on_refinement(self, share: float) -> None:
        self.image.refine(share)
        self.tell("refining")

    def tell(self, phase: str) -> None:
        now = time.perf_counter()
        if now >= self.next:
            self.next = now + REPORT_EVERY
            image = self.image
            message = ProgressMessage(self.page + phase, image.share, image.seconds_left)
            self.connection.send(message)
