"""`evodenoise FILE`: one image in, one image out."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evodenoise.cli import options
from evodenoise.cli.interrupts import INTERRUPTED, Interrupts
from evodenoise.conversion import SAME, FileSettings
from evodenoise.errors import ConfigError, ImageError
from evodenoise.images import MOST_PIXELS, Image, ReadOptions, WriteOptions
from evodenoise.job import Job, JobResult, PreparedJob, RunSettings, prepare, run
from evodenoise.presets import DEFAULT_PRESET

if TYPE_CHECKING:
    from evodenoise.noise import NoiseEstimate
    from evodenoise.tvae.training import EpochReport

SELF_EVIDENT = ("YX", "YXC", "YXS")
"""Axes that need no word."""

EPILOG = (
    "Other commands: [bold]evodenoise presets[/bold] shows the presets, "
    "[bold]evodenoise benchmark[/bold] measures PSNR on clean images; each has its own --help."
)


def denoise(
    file: options.Input,
    output: options.Output = None,
    reference: options.Reference = None,
    data_range: options.DataRange = None,
    overwrite: options.Overwrite = False,
    dtype: options.Dtype = SAME,
    strip: options.Strip = False,
    quality: options.ImageQuality = None,
    axes: options.Axes = None,
    max_pixels: options.MostPixels = MOST_PIXELS,
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
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    version: options.Version = False,  # noqa: ARG001 - handled by its callback
    show_help: options.Help = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Denoise one image, learning from that image alone.

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
        files=FileSettings(
            reading=ReadOptions(axes=axes, most_pixels=max_pixels),
            writing=WriteOptions(quality=quality),
            dtype=dtype,
            strip=strip,
        ),
    )
    with Interrupts() as interrupts:
        job = Job(file, _target(file, output), reference)
        prepared = prepare(job, settings, started=started)
        if not quiet:
            _say_how_it_is_read(prepared)
        result = _run(prepared, settings, interrupts, quiet=quiet, verbose=verbose)
    _print_quality(result)
    if not quiet:
        _warn_of_noise(result.denoised.noise_estimate)
        _print_summary(result, time.perf_counter() - started)
    if interrupts.stop_requested:
        raise typer.Exit(INTERRUPTED)


def parse_widths(text: str | None) -> tuple[int, ...] | None:
    """Read widths separated by commas."""
    try:
        return None if text is None else tuple(int(width) for width in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--hidden {text!r} is not a list of widths; write for example --hidden 128 or 64,64"
        ) from None


def _target(file: Path, output: str | None) -> Path:
    """Work out where the result of `file` goes."""
    if not file.name or file.is_dir():
        raise ImageError(f"{file}: is a folder; name an image file")
    if output is None:
        return file.with_name(f"{file.stem}_denoised{file.suffix}")
    path = Path(output)
    is_folder = output.endswith(("/", os.sep)) or os.path.isdir(path)  # noqa: PTH112 - never raises
    return path / file.name if is_folder else path


def _say_how_it_is_read(prepared: PreparedJob) -> None:
    """Say on stderr what the axes are taken for, and what the user should know about the files."""
    image = prepared.image
    if image.layout.axes not in SELF_EVIDENT:
        typer.echo(f"axes {image.layout.axes}: {_size(image)}; --axes says otherwise", err=True)
    for warning in prepared.warnings:
        typer.echo(f"warning: {prepared.job.source}: {warning}", err=True)


def _size(image: Image) -> str:
    """Tell the size of an image, for people."""
    count, height, width = image.pages.shape[:3]
    pages = f"{count} pages of " if image.is_stack else ""
    channels = f" in {image.channels} channels" if image.channels > 1 else ""
    return f"{pages}{width} x {height} pixels{channels}"


def _run(
    prepared: PreparedJob,
    settings: RunSettings,
    interrupts: Interrupts,
    *,
    quiet: bool,
    verbose: bool,
) -> JobResult:
    """Do the job in this process, showing progress on stderr."""
    from evodenoise.cli.progress import show_progress
    from evodenoise.device import describe_device, resolve_device, use_threads

    use_threads(settings.threads)
    if prepared.config.device == "auto" and not quiet:
        typer.echo(f"device: {describe_device(resolve_device('auto'))}", err=True)
    with show_progress(quiet=quiet, verbose=verbose) as progress, interrupts.gentle():

        def on_epoch(report: "EpochReport") -> bool:
            progress.on_epoch(report)
            return interrupts.stop_requested

        return run(
            prepared,
            settings,
            on_page=progress.on_page,
            on_epoch=on_epoch,
            on_reconstruction=progress.on_reconstruction,
        )


def _print_quality(result: JobResult) -> None:
    """Print PSNR and SSIM before and after, on stdout, if there is a reference."""
    if result.prepared.truth is None:
        return
    typer.echo(f"data range {result.prepared.truth.data_range:g}")
    for name, quality in (("noisy", result.noisy_quality), ("denoised", result.quality)):
        if quality is not None:
            typer.echo(f"{name:<9} PSNR {quality.psnr:6.2f} dB   SSIM {quality.ssim:.4f}")


def _warn_of_noise(noise: "NoiseEstimate") -> None:
    """Say so if the noise does not look white and Gaussian."""
    if not noise.consistent:
        typer.echo(
            f"warning: the noise may be correlated or not Gaussian (level {noise.std:.3g} in fine, "
            f"{noise.coarse_std:.3g} in coarser detail); --sigma sets its level",
            err=True,
        )


def _print_summary(result: JobResult, seconds: float) -> None:
    typer.echo(
        f"{_size(result.prepared.image)}, noise level {result.denoised.noise_std:.4g}, "
        f"{seconds:.1f} s: {result.prepared.job.target}",
        err=True,
    )
