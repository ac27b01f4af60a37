"""`evodenoise FILE...`: images in, images out."""

import time
from dataclasses import replace

import typer

from evodenoise.cli import file_options, options
from evodenoise.cli.many import denoise_many
from evodenoise.cli.models import Sharing
from evodenoise.cli.one import denoise_one
from evodenoise.cli.output import Voice, print_plan
from evodenoise.cli.streams import goes_to_stdout, open_streams
from evodenoise.config.presets import DEFAULT_PRESET
from evodenoise.errors import ConfigError
from evodenoise.images import MOST_PIXELS, ReadOptions, WriteOptions
from evodenoise.images.conversion import SAME, FileSettings
from evodenoise.jobs.batch import Ledger
from evodenoise.jobs.job import RunSettings
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
a file, evodenoise presets shows the presets.
"""


def denoise(
    files: file_options.Inputs,
    output: file_options.Output = None,
    suffix: file_options.Suffix = None,
    ending: file_options.Format = None,
    overwrite: file_options.Overwrite = False,
    skip_existing: file_options.SkipExisting = False,
    dtype: options.Dtype = SAME,
    strip: options.Strip = False,
    quality: options.ImageQuality = None,
    axes: options.Axes = None,
    mask: options.Mask = None,
    max_pixels: options.MostPixels = MOST_PIXELS,
    recursive: file_options.Recursive = False,
    jobs: file_options.Jobs = None,
    fail_fast: file_options.FailFast = False,
    dry_run: file_options.DryRun = False,
    reference: file_options.Reference = None,
    data_range: file_options.DataRange = None,
    report: file_options.ReportFile = None,
    figure: file_options.Figure = None,
    residual: file_options.Residual = None,
    preset: options.PresetName = DEFAULT_PRESET,
    time_limit: options.TimeLimit = None,
    epochs: options.Epochs = None,
    sigma: options.Sigma = None,
    covariance: options.CovarianceName = None,
    refinement: options.RefinementName = None,
    patch_size: options.PatchSize = None,
    latents: options.Latents = None,
    hidden: options.Hidden = None,
    states: options.States = None,
    stack: options.Stack = "pages",
    save_model: options.SaveModel = None,
    load_model: options.LoadModel = None,
    share_model: options.ShareModel = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    version: options.Version = False,  # noqa: ARG001 - handled by its callback
    show_help: options.Help = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Denoise images, each learning from itself alone.

    [bold]evodenoise noisy.png -o clean.png[/bold]
    """
    started = time.perf_counter()
    settings = RunSettings(
        preset=preset,
        overrides={
            "time_limit": time_limit,
            "epochs": epochs,
            "noise_std": sigma,
            "covariance": covariance,
            "refinement": refinement,
            "patch_size": patch_size,
            "latents": latents,
            "hidden": parse_widths(hidden),
            "states": states,
            "device": device,
        },
        seed=seed,
        threads=threads,
        data_range=data_range,
        overwrite=overwrite,
        resume=skip_existing,
        files=FileSettings(
            reading=ReadOptions(axes=axes, most_pixels=max_pixels),
            writing=WriteOptions(quality=quality),
            dtype=dtype,
            strip=strip,
            mask=mask,
        ),
        joint=parse_stack(stack),
        model=load_model,
    )
    if data_range is not None and reference is None:
        raise ConfigError("--data-range says how to measure; it needs --reference")
    if report is not None:
        check_report(report, replace_it=overwrite or skip_existing)
    to_stdout = goes_to_stdout(files, output)
    if as_json and to_stdout:
        raise ConfigError("--json and the image both want stdout; name a file with -o")
    voice = Voice(quiet=quiet, verbose=verbose, as_json=as_json, stdout_is_taken=to_stdout)
    aside = tuple(path for path in (reference, figure, residual, mask) if path)
    with open_streams(files, output, ending) as (inputs, target, target_ending):
        naming = Naming(target, suffix, target_ending, aside)
        plan = make_plan(inputs, naming, recursive=recursive, reference=reference)
        plan = add_extras(plan, residual=residual, figure=figure)
        sharing = Sharing(share_model, save_model)
        sharing.check(plan, settings)
        _check_outputs(plan, settings)
        code = 0
        ledger = Ledger(settings, report, resume=skip_existing)
        if dry_run:
            print_plan(plan, ledger, voice)
        elif plan.many:
            code = denoise_many(
                plan,
                settings,
                ledger,
                voice,
                jobs=jobs,
                fail_fast=fail_fast,
                figures=figure,
                sharing=sharing,
            )
        else:
            settings = replace(settings, make_folders=naming.is_folder())
            job = replace(plan.jobs[0], model=save_model)
            code = denoise_one(job, settings, ledger, voice, started=started)
    if code:
        raise typer.Exit(code)


def parse_widths(text: str | None) -> tuple[int, ...] | None:
    """Read widths separated by commas."""
    try:
        return None if text is None else tuple(int(width) for width in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--hidden {text!r} is not a list of widths; write for example --hidden 128 or 64,64"
        ) from None


def parse_stack(name: str) -> bool:
    """Tell whether one model serves all pages of a stack."""
    if name not in ("pages", "joint"):
        raise ConfigError(f"--stack {name!r} is unknown; use pages or joint")
    return name == "joint"


def _check_outputs(plan: Plan, settings: RunSettings) -> None:
    if settings.overwrite and settings.resume:
        raise ConfigError("--overwrite and --skip-existing exclude each other; choose one")
    if plan.many and not settings.overwrite and not settings.resume:
        refuse_existing(plan.jobs)
