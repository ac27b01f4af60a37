"""`evodenoise FILE`: one image in, one image out."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evodenoise.cli import options
from evodenoise.cli.interrupts import INTERRUPTED, Interrupts
from evodenoise.config import DenoiseConfig
from evodenoise.errors import ConfigError, ImageError
from evodenoise.presets import DEFAULT_PRESET, preset_config

if TYPE_CHECKING:
    from evodenoise.images import Array, Image
    from evodenoise.noise import NoiseEstimate
    from evodenoise.pipeline import DenoiseResult
    from evodenoise.tvae.training import EpochReport

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
    overrides = {
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
    }
    with Interrupts() as interrupts:
        image, config, target = _prepare(file, output, preset, overrides, overwrite=overwrite)
        truth = _Truth.read(reference, image, data_range)
        result = _train(
            image, _from(started, config), interrupts, seed, threads, quiet=quiet, verbose=verbose
        )
        _write(target, image, result)
    if truth:
        truth.print_quality(image.pixels, result.image)
    if not quiet:
        _warn_of_noise(result.noise_estimate)
        _print_summary(image, result, time.perf_counter() - started, target)
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


def configure(preset: str, image: "Array", overrides: dict[str, Any]) -> DenoiseConfig:
    """Fit a preset to an image and apply the options that were given."""
    given = {name: value for name, value in overrides.items() if value is not None}
    return replace(preset_config(preset, image.shape), **given)


def _prepare(
    file: Path, output: str | None, preset: str, overrides: dict[str, Any], *, overwrite: bool
) -> tuple["Image", DenoiseConfig, Path]:
    """Read the image and refuse, before any training, what could not end well."""
    from evodenoise.images import check_output, read_image

    target = _target(file, output)
    image = read_image(file)

    from evodenoise.device import resolve_device
    from evodenoise.pipeline import check_image

    check_image(image.pixels, name=str(file))
    config = configure(preset, image.pixels, overrides)
    check_image(image.pixels, config, name=str(file))
    check_output(target, image.pixels, source=file, overwrite=overwrite)
    resolve_device(config.device)
    return image, config, target


def _target(file: Path, output: str | None) -> Path:
    """Work out where the result of `file` goes."""
    if not file.name or file.is_dir():
        raise ImageError(f"{file}: is a folder; name an image file")
    if output is None:
        return file.with_name(f"{file.stem}_denoised{file.suffix}")
    path = Path(output)
    is_folder = output.endswith(("/", os.sep)) or os.path.isdir(path)  # noqa: PTH112 - never raises
    return path / file.name if is_folder else path


def _from(started: float, config: DenoiseConfig) -> DenoiseConfig:
    """Take off the time limit what starting up has used already."""
    if config.time_limit is None:
        return config
    # Writing the file takes a little, too.
    left = config.time_limit * 0.98 - (time.perf_counter() - started)
    return replace(config, time_limit=max(left, 0.01))


class _Truth:
    """The reference image of a run."""

    def __init__(self, pixels: "Array", data_range: float) -> None:
        self.pixels = pixels
        self.data_range = data_range

    @classmethod
    def read(cls, path: Path | None, image: "Image", data_range: float | None) -> "_Truth | None":
        """Read the reference, if there is one, and check that it can be compared."""
        if path is None:
            if data_range is not None:
                raise ConfigError("--data-range says how to measure; it needs --reference")
            return None
        from evodenoise.images import read_image
        from evodenoise.metrics import check_reference

        pixels = read_image(path).pixels
        return cls(pixels, check_reference(pixels, image.pixels, data_range, name=str(path)))

    def print_quality(self, noisy: "Array", denoised: "Array") -> None:
        """Print PSNR and SSIM before and after, on stdout."""
        from evodenoise.metrics import measure

        typer.echo(f"data range {self.data_range:g}")
        for name, pixels in (("noisy", noisy), ("denoised", denoised)):
            quality = measure(self.pixels, pixels, data_range=self.data_range)
            typer.echo(f"{name:<9} PSNR {quality.psnr:6.2f} dB   SSIM {quality.ssim:.4f}")


def _train(
    image: "Image",
    config: DenoiseConfig,
    interrupts: Interrupts,
    seed: int,
    threads: int | None,
    *,
    quiet: bool,
    verbose: bool,
) -> "DenoiseResult":
    """Denoise the pixels, showing progress on stderr."""
    import torch

    from evodenoise import pipeline
    from evodenoise.cli.progress import show_progress
    from evodenoise.device import describe_device, resolve_device

    pipeline.check_seed(seed)
    if threads:
        torch.set_num_threads(threads)
    if config.device == "auto" and not quiet:
        typer.echo(f"device: {describe_device(resolve_device('auto'))}", err=True)
    with show_progress(quiet=quiet, verbose=verbose) as progress, interrupts.gentle():

        def on_epoch(report: "EpochReport") -> bool:
            progress.on_epoch(report)
            return interrupts.stop_requested

        return pipeline.denoise(
            image.pixels,
            config,
            rng=seed,
            on_epoch=on_epoch,
            on_reconstruction=progress.on_reconstruction,
        )


def _write(target: Path, image: "Image", result: "DenoiseResult") -> None:
    from evodenoise.images import write_image

    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(target, replace(image, pixels=result.image))


def _warn_of_noise(noise: "NoiseEstimate") -> None:
    """Say so if the noise does not look white and Gaussian."""
    if not noise.consistent:
        typer.echo(
            f"warning: the noise may be correlated or not Gaussian (level {noise.std:.3g} in fine, "
            f"{noise.coarse_std:.3g} in coarser detail); --sigma sets its level",
            err=True,
        )


def _print_summary(image: "Image", result: "DenoiseResult", seconds: float, target: Path) -> None:
    height, width = image.pixels.shape[:2]
    typer.echo(
        f"{width} x {height} pixels, noise level {result.noise_std:.4g}, {seconds:.1f} s: {target}",
        err=True,
    )
