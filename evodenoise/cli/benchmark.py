"""`evodenoise benchmark CLEAN...`: add noise, denoise, print a table."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evodenoise import __version__
from evodenoise.cli import options
from evodenoise.cli.interrupts import Interrupts
from evodenoise.cli.tables import print_table
from evodenoise.errors import ConfigError
from evodenoise.job import configure
from evodenoise.presets import DEFAULT_PRESET

if TYPE_CHECKING:
    from evodenoise.benchmark import Cell
    from evodenoise.images import Array

HEADER = ["image", "preset", "sigma", "noisy dB", "PSNR dB", "SSIM", "noise found", "CPU s", "s"]

Clean = Annotated[
    list[Path],
    typer.Argument(metavar="CLEAN", help="Clean 8- or 16-bit images.", show_default=False),
]
Sigmas = Annotated[
    str,
    options.option(
        options.RUN,
        "Noise levels to add, in pixel units, separated by commas.",
        "--sigma",
        metavar="VALUES",
        default="25",
    ),
]
PresetNames = Annotated[
    str,
    options.option(
        options.RUN,
        "Presets to measure, separated by commas.",
        "--preset",
        metavar="NAMES",
        default=DEFAULT_PRESET,
    ),
]


def benchmark(
    clean: Clean,
    sigma: Sigmas = "25",
    preset: PresetNames = DEFAULT_PRESET,
    time_limit: options.TimeLimit = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    version: options.Version = False,  # noqa: ARG001 - handled by its callback
    show_help: options.Help = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Measure PSNR and SSIM on clean images: add noise, denoise, compare.

    The noise is Gaussian, seeded, neither clipped nor rounded; the denoiser is not told its
    level; results are clipped before they are compared.
    """
    from evodenoise.pipeline import check_seed

    sigmas = _parse_sigmas(sigma)
    check_seed(seed)
    overrides = {"time_limit": time_limit, "epochs": epochs, "device": device}
    images = _read(clean)
    names = preset.split(",")
    jobs = [
        (image, level, each, configure(each, pixels, overrides), pixels)
        for image, pixels in images.items()
        for level in sigmas
        for each in names
    ]
    with Interrupts():
        cells = [
            _measure(*job, seed=seed, threads=threads, quiet=quiet, verbose=verbose) for job in jobs
        ]
    if as_json:
        typer.echo(json.dumps(_document(cells), indent=2))
    else:
        print_table(HEADER, [_row(cell) for cell in cells], numbers=len(HEADER) - 2)


def _parse_sigmas(text: str) -> list[float]:
    try:
        sigmas = [float(level) for level in text.split(",")]
    except ValueError:
        sigmas = []
    if not sigmas or not all(0 < level < math.inf for level in sigmas):
        raise ConfigError(
            f"--sigma {text!r} is not a list of noise levels; write for example 15,25"
        )
    return sigmas


def _read(files: Sequence[Path]) -> dict[str, "Array"]:
    from evodenoise.benchmark import check_clean
    from evodenoise.images import read_image
    from evodenoise.pipeline import check_image

    images = {}
    for file in files:
        pixels = read_image(file).pixels
        check_image(pixels, name=str(file))
        check_clean(pixels, name=str(file))
        images[str(file)] = pixels
    return images


def _measure(
    image: str,
    sigma: float,
    preset: str,
    config: Any,
    pixels: "Array",
    *,
    seed: int,
    threads: int | None,
    quiet: bool,
    verbose: bool,
) -> "Cell":
    from evodenoise.benchmark import measure_cell
    from evodenoise.cli.progress import show_progress
    from evodenoise.device import use_threads

    use_threads(threads)
    with show_progress(quiet=quiet, verbose=verbose) as progress:
        return measure_cell(
            pixels,
            config,
            name=Path(image).stem,
            sigma=sigma,
            preset=preset,
            seed=seed,
            on_epoch=progress.on_epoch,
            on_reconstruction=progress.on_reconstruction,
        )


def _row(cell: "Cell") -> list[str]:
    return [
        cell.image,
        cell.preset,
        f"{cell.sigma:g}",
        f"{cell.psnr_noisy:.2f}",
        f"{cell.psnr:.2f}",
        f"{cell.ssim:.4f}",
        f"{cell.noise_std:.2f}",
        f"{cell.cpu_seconds:.1f}",
        f"{cell.wall_seconds:.1f}",
    ]


def _document(cells: Sequence["Cell"]) -> dict[str, Any]:
    rows = [
        {name: _finite_or_none(value) for name, value in cell.as_dict().items()} for cell in cells
    ]
    mean = sum(cell.psnr for cell in cells) / len(cells)
    summary = {"cells": len(rows), "psnr": _finite_or_none(mean)}
    return {"version": __version__, "files": rows, "summary": summary}


def _finite_or_none(value: str | float) -> str | float | None:
    """Replace what JSON has no number for."""
    return value if isinstance(value, str) or math.isfinite(value) else None
