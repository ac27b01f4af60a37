"""`evodenoise FILE...`: images in, images out."""

import time
from dataclasses import replace
from pathlib import Path

from evodenoise.cli.many import denoise_many
from evodenoise.cli.models import Sharing
from evodenoise.cli.one import denoise_one
from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import COMMON, OF_DENOISING
from evodenoise.cli.output import Voice, describe_shard, print_plan, print_records
from evodenoise.cli.request import Request, check_names, check_request, list_idle_options
from evodenoise.cli.streams import goes_to_stdout, open_streams
from evodenoise.cli.typed import make, make_run_settings
from evodenoise.errors import ExitCode
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.naming import Naming
from evodenoise.jobs.plan import PAGE, Plan, add_extras, make_plan, refuse_existing
from evodenoise.jobs.report import ENDINGS, HTML, check_report

EPILOG = """
[bold]Examples[/bold]

evodenoise noisy.png -o clean.png --reference gt.png

evodenoise shots/ -o cleaned/ -r --skip-existing --report cleaned.csv

evodenoise 'raw/*.tif' --suffix _clean --figure figures/ -j 2

[bold]evodenoise --help-all[/bold] shows all options: formats, noise, model, clusters, ...

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
    request = replace(request, reports=request.reports_of_shard())
    settings = replace(
        settings,
        noise_uncertainty=voice.as_json or bool(request.reports),
        pictures=any(report.suffix == HTML for report in request.reports),
    )
    for report in request.reports:
        replace_it = settings.overwrite or settings.resume
        check_report(report, replace_it=replace_it, endings=(*ENDINGS, HTML))
    with open_streams(request.files, naming) as (inputs, naming):
        plan = _plan(inputs, naming, request, settings, sharing, voice)
        for line in list_idle_options(request, plan):
            voice.say(line)
        ledger = _open_ledger(request, settings)
        if not plan.jobs:
            return _end_without_work(ledger, voice, dry_run=request.dry_run)
        if request.dry_run:
            return print_plan(plan, ledger, voice)
        try:
            if plan.many or request.scheduler is not None:
                return denoise_many(plan, settings, ledger, voice, request, sharing)
            settings = replace(settings, make_folders=plan.make_folders)
            return denoise_one(plan.jobs[0], settings, ledger, voice, started=started)
        finally:
            ledger.flush()


def _plan(
    inputs: tuple[str, ...],
    naming: Naming,
    request: Request,
    settings: RunSettings,
    sharing: Sharing,
    voice: Voice,
) -> Plan:
    """Find the images, and refuse to write what must not be written."""
    aside = [request.reference, request.figure, request.residual, settings.files.mask]
    if request.uncertainty not in (None, PAGE):
        aside.append(Path(request.uncertainty))
    naming = replace(naming, aside=tuple(path for path in aside if path))
    plan = make_plan(inputs, naming, recursive=request.recursive, reference=request.reference)
    plan = add_extras(
        plan,
        residual=request.residual,
        figure=request.figure,
        uncertainty=request.uncertainty,
    )
    sharing.check(plan, settings)
    if request.scheduler is not None:
        sharing.check_cluster()
    if request.shard is not None:
        sharing.check_shard()
        whole, plan = plan, request.shard.pick(plan)
        voice.say(describe_shard(request.shard, plan, whole))
    if not plan.many and plan.jobs:
        plan = replace(plan, jobs=(replace(plan.jobs[0], model=sharing.save),))
    check_names(plan)
    if plan.many and not settings.overwrite and not settings.resume:
        refuse_existing(plan.jobs)
    return plan


def _open_ledger(request: Request, settings: RunSettings) -> Ledger:
    """Open the records; a run over all images gathers those of shards."""
    gather = request.shard is None
    return Ledger(settings, request.reports, resume=settings.resume, gather=gather)


def _end_without_work(ledger: Ledger, voice: Voice, *, dry_run: bool) -> ExitCode:
    """End the run of a shard without images; whoever looks for its records finds them empty."""
    if not dry_run:
        ledger.start()
    print_records(ledger, voice)
    return ExitCode.DONE


COMMAND = Command(denoise, OF_DENOISING, EPILOG, COMMON)
