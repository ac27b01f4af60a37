"""`evodenoise FILE...`: images in, images out."""

import time
from dataclasses import replace

from evodenoise.cli.many import denoise_many
from evodenoise.cli.models import Sharing
from evodenoise.cli.one import denoise_one
from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import OF_DENOISING, make, make_run_settings
from evodenoise.cli.output import Voice, print_plan
from evodenoise.cli.request import Request, check_names, check_request, list_idle_options
from evodenoise.cli.streams import goes_to_stdout, open_streams
from evodenoise.errors import ExitCode
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.naming import Naming
from evodenoise.jobs.plan import Plan, add_extras, make_plan, refuse_existing
from evodenoise.jobs.report import check_report

EPILOG = """
[bold]Examples[/bold]

evodenoise noisy.png -o clean.png --reference gt.png

evodenoise shots/ -o cleaned/ -r --skip-existing --report cleaned.csv

evodenoise 'raw/*.tif' --suffix _clean --figure figures/ -j 2

[bold]Other commands[/bold], each with its own --help

evodenoise compare measures PSNR and SSIM of files, evodenoise benchmark adds
noise to clean images and denoises them, evodenoise info shows what is read of
a file and what its noise is, evodenoise presets shows the presets.
"""


def denoise(given: Given) -> ExitCode:
    """Denoise images, each learning from itself alone.

    [bold]evodenoise noisy.png -o clean.png[/bold]
    """
    started = time.perf_counter()
    request, settings = make(Request, given), make_run_settings(given)
    naming, sharing = make(Naming, given), make(Sharing, given)
    to_stdout = goes_to_stdout(request.files, naming.output)
    voice = replace(make(Voice, given), stdout_is_taken=to_stdout)
    check_request(request, settings, naming, voice)
    if request.report is not None:
        check_report(request.report, replace_it=settings.overwrite or settings.resume)
    with open_streams(request.files, naming) as (inputs, naming):
        plan = _plan(inputs, naming, request, settings, sharing)
        for line in list_idle_options(request, plan):
            voice.say(line)
        ledger = Ledger(settings, request.report, resume=settings.resume)
        if request.dry_run:
            return print_plan(plan, ledger, voice)
        if plan.many:
            return denoise_many(plan, settings, ledger, voice, request, sharing)
        settings = replace(settings, make_folders=plan.make_folders)
        return denoise_one(plan.jobs[0], settings, ledger, voice, started=started)


def _plan(
    inputs: tuple[str, ...],
    naming: Naming,
    request: Request,
    settings: RunSettings,
    sharing: Sharing,
) -> Plan:
    """Find the images, and refuse to write what must not be written."""
    aside = (request.reference, request.figure, request.residual, settings.files.mask)
    naming = replace(naming, aside=tuple(path for path in aside if path))
    plan = make_plan(inputs, naming, recursive=request.recursive, reference=request.reference)
    plan = add_extras(plan, residual=request.residual, figure=request.figure)
    sharing.check(plan, settings)
    if not plan.many:
        plan = replace(plan, jobs=(replace(plan.jobs[0], model=sharing.save),))
    check_names(plan)
    if plan.many and not settings.overwrite and not settings.resume:
        refuse_existing(plan.jobs)
    return plan


COMMAND = Command(denoise, OF_DENOISING, EPILOG)
