"""One image, denoised in this process."""

import time
from typing import TYPE_CHECKING

from evodenoise.cli.interrupts import Interrupts
from evodenoise.cli.output import Voice, end_line, list_notes, print_records, print_refusal
from evodenoise.errors import EvodenoiseError, ExitCode
from evodenoise.jobs.job import Job, PreparedJob, RunSettings
from evodenoise.jobs.job_result import JobResult
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.pictures import draw_result
from evodenoise.jobs.process import prepare, run
from evodenoise.jobs.progress import ImageProgress
from evodenoise.jobs.records import result_record

if TYPE_CHECKING:
    from evodenoise.tvae.training import EpochReport

SELF_EVIDENT = ("YX", "YXC", "YXS")
"""Axes that need no word, but where an array was taken for colours by its shape."""

STOPPING = (
    "stopping: the picture is finished with what has been learned "
    "(Ctrl-C again: quit, write nothing)"
)


def denoise_one(
    job: Job, settings: RunSettings, ledger: Ledger, voice: Voice, *, started: float
) -> ExitCode:
    """Denoise one image and print what came of it.

    Parameters
    ----------
    job : Job
        Its files.
    settings : RunSettings
        How.
    ledger : Ledger
        Gets its record.
    voice : Voice
        What to print.
    started : float
        When the command began, by `time.perf_counter`.

    Returns
    -------
    ExitCode
        Whether it was done, or ended early.

    Raises
    ------
    EvodenoiseError
        If it fails, unless the JSON document tells.
    """
    if settings.resume and job.target.exists():
        ledger.start()
        voice.say(end_line(ledger.skipped(job)))
        for line in list_notes(ledger):
            voice.say(line)
        print_records(ledger, voice)
        return ExitCode.DONE
    try:
        with Interrupts() as interrupts:
            prepared = prepare(job, settings, started=started)
            _say_how_it_is_read(prepared, voice)
            ledger.start()
            result = _run(prepared, settings, ledger, interrupts, voice)
    except EvodenoiseError as error:
        ledger.failed(job, " ".join(str(error).split()))
        return print_refusal(error, ledger, voice)
    if voice.as_json:
        print_records(ledger, voice)
    else:
        _print_quality(result, voice)
    for warning in result.findings():
        voice.say(f"warning: {warning}")
    for line in list_notes(ledger):
        voice.say(line)
    seconds = time.perf_counter() - started
    target = "stdout" if voice.stdout_is_taken else job.target
    voice.say(f"{result.describe()}, {seconds:.1f} s: {target}")
    return ExitCode.INTERRUPTED if interrupts.stop_requested else ExitCode.DONE


def _say_how_it_is_read(prepared: PreparedJob, voice: Voice) -> None:
    """Say what the axes are taken for, and what the user should know about the files."""
    image = prepared.image
    axes = image.layout.axes
    if axes not in SELF_EVIDENT or (image.format == "NPY" and image.channels > 1):
        voice.say(f"axes {axes}: {prepared.describe()}; --axes says otherwise")
    if gaps := prepared.describe_gaps():
        voice.say(gaps)
    for warning in prepared.warnings:
        voice.say(f"warning: {prepared.job.source}: {warning}")


def _run(
    prepared: PreparedJob,
    settings: RunSettings,
    ledger: Ledger,
    interrupts: Interrupts,
    voice: Voice,
) -> JobResult:
    """Do the job, showing progress on stderr."""
    from evodenoise.cli.progress import show_progress
    from evodenoise.jobs.resources import available_cores, choose_threads
    from evodenoise.system.device import describe_device, prepare_process, resolve_device

    height, width = prepared.image.pages.shape[1:3]
    prepare_process(
        choose_threads(height * width, available_cores(), jobs=None, threads=settings.threads)
    )
    if prepared.config.device == "auto":
        voice.say(f"device: {describe_device(resolve_device('auto'))}")
    course = ImageProgress.of_job(prepared, settings)
    with (
        show_progress(course, quiet=voice.quiet, verbose=voice.verbose) as progress,
        interrupts.gentle(STOPPING),
    ):

        def on_epoch(report: "EpochReport") -> bool:
            progress.on_epoch(report)
            return interrupts.stop_requested

        return run(
            prepared,
            settings,
            on_page=progress.on_page,
            on_epoch=on_epoch,
            on_reconstruction=progress.on_reconstruction,
            on_refinement=progress.on_refinement,
            on_ready=lambda result: ledger.ready(
                prepared.job,
                result_record(result, settings),
                draw_result(result) if settings.pictures else None,
            ),
        )


def _print_quality(result: JobResult, voice: Voice) -> None:
    """Print PSNR and SSIM before and after, if there is a reference."""
    if result.prepared.reference is None:
        return
    voice.result(f"data range {result.prepared.reference.data_range:g}")
    for name, quality in (("noisy", result.noisy_quality), ("denoised", result.quality)):
        if quality is not None:
            voice.result(f"{name:<9} PSNR {quality.psnr:6.2f} dB   SSIM {quality.ssim:.4f}")
