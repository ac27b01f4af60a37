"""`evodenoise benchmark CLEAN...`: add noise, denoise, print a table."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evodenoise.cli import file_options, options
from evodenoise.cli.interrupts import InterruptedRunError, Interrupts
from evodenoise.cli.output import print_document
from evodenoise.cli.tables import print_markdown, print_table
from evodenoise.config.presets import DEFAULT_PRESET
from evodenoise.errors import ConfigError, EvodenoiseError
from evodenoise.evaluation.summary import MEASURED, Group, group_rows
from evodenoise.jobs.job import configure
from evodenoise.jobs.records import Record, finite_or_none
from evodenoise.jobs.report import Report, check_report

if TYPE_CHECKING:
    from evodenoise.cli.progress import RunProgress
    from evodenoise.config.settings import DenoiseConfig
    from evodenoise.evaluation.benchmark import Case
    from evodenoise.images import Array

ALL_FAILED, SOME_FAILED = 1, 3
LEFT = "interrupted; the table holds what had been finished"
HEADER = ["image", "preset", "sigma", "noisy dB", "PSNR dB", "SSIM", "noise found", "CPU s", "s"]
COLUMNS: Mapping[str, type] = {
    "image": str,
    "sigma": float,
    "preset": str,
    "seed": int,
    "error": str,
    **dict.fromkeys((*MEASURED, "calibration"), float),
}

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
Seeds = Annotated[
    str,
    options.option(
        options.RUN,
        "Seeds of noise and denoiser, separated by commas; means and standard deviations "
        "are over them.",
        "--seeds",
        metavar="NUMBERS",
        default=0,
    ),
]
Markdown = Annotated[
    bool, options.flag(options.RESULTS, "Print the table as Markdown.", "--markdown")
]


def benchmark(
    clean: Clean,
    sigma: Sigmas = "25",
    preset: PresetNames = DEFAULT_PRESET,
    seeds: Seeds = "0",
    time_limit: options.TimeLimit = None,
    epochs: options.Epochs = None,
    covariance: options.CovarianceName = None,
    refinement: options.RefinementName = None,
    patch_size: options.PatchSize = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    report: file_options.ReportFile = None,
    overwrite: file_options.Overwrite = False,
    skip_existing: file_options.SkipExisting = False,
    markdown: Markdown = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    version: options.Version = False,  # noqa: ARG001 - handled by its callback
    show_help: options.Help = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Measure PSNR and SSIM on clean images: add noise, denoise, compare.

    The noise is Gaussian, seeded, neither clipped nor rounded; the denoiser is
    not told its level; results are clipped before they are compared. Ctrl-C
    prints what has been measured; --skip-existing goes on with a report.
    """
    from evodenoise.cli.progress import show_progress

    levels, numbers = _parse_sigmas(sigma), _parse_seeds(seeds)
    overrides = {
        "time_limit": time_limit,
        "epochs": epochs,
        "covariance": covariance,
        "refinement": refinement,
        "patch_size": patch_size,
        "device": device,
    }
    book = _open_report(report, overwrite=overwrite, resume=skip_existing)
    images = _read(clean)
    tasks = _plan(images, levels, preset.split(","), numbers, overrides)
    rows: list[Record] = []
    try:
        with Interrupts(LEFT):
            if book:
                book.start()
            for case, config in tasks:
                row = book.rows.get(_key(asdict(case))) if book else None
                if row is None:
                    with show_progress(quiet=quiet, verbose=verbose) as progress:
                        row = _measure(images[case.image], case, config, threads, progress)
                    _warn_of_failure(row)
                if book:
                    book.add(row)
                rows.append(row)
    except InterruptedRunError as error:
        if not rows:
            raise
        _print(rows, as_json=as_json, markdown=markdown)
        typer.echo(f"evodenoise: error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    _print(rows, as_json=as_json, markdown=markdown)
    failures = sum(row["error"] is not None for row in rows)
    if failures:
        raise typer.Exit(ALL_FAILED if failures == len(rows) else SOME_FAILED)


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


def _parse_seeds(text: str) -> list[int]:
    from evodenoise.denoising.checks import check_seed

    try:
        return [check_seed(int(seed)) for seed in text.split(",")]
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError(
            f"--seeds {text!r} is not a list of whole numbers; write for example 0,1,2"
        ) from None


def _open_report(path: Path | None, *, overwrite: bool, resume: bool) -> Report | None:
    """Open the report; when it is gone on with, what failed is measured again."""
    if path is None:
        return None
    check_report(path, replace_it=overwrite or resume)
    report = Report(path, COLUMNS, _key, group_summary)
    if resume:
        report.resume(lambda row: row["error"] is None)
    return report


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("image", "sigma", "preset", "seed"))


def _read(files: Sequence[Path]) -> dict[str, "Array"]:
    """Read the clean images; each goes by its bare name if no other one has it."""
    from evodenoise.denoising.checks import check_image
    from evodenoise.evaluation.benchmark import check_clean
    from evodenoise.images import read_image

    stems = Counter(file.stem for file in files)
    images = {}
    for file in files:
        pixels = read_image(file).pixels
        check_image(pixels, name=str(file))
        check_clean(pixels, name=str(file))
        images[file.stem if stems[file.stem] == 1 else str(file)] = pixels
    return images


def _plan(
    images: Mapping[str, "Array"],
    sigmas: Sequence[float],
    presets: Sequence[str],
    seeds: Sequence[int],
    overrides: Mapping[str, Any],
) -> list[tuple["Case", "DenoiseConfig"]]:
    """List what is to be measured, and refuse settings before anything is."""
    from evodenoise.evaluation.benchmark import Case
    from evodenoise.system.device import resolve_device

    resolve_device(str(overrides["device"]))
    return [
        (Case(name, sigma, preset, seed), configure(preset, pixels, overrides))
        for name, pixels in images.items()
        for sigma in sigmas
        for preset in presets
        for seed in seeds
    ]


def _measure(
    clean: "Array",
    case: "Case",
    config: "DenoiseConfig",
    threads: int | None,
    progress: "RunProgress",
) -> Record:
    """Measure a cell; if it fails, the row says why."""
    from evodenoise.evaluation.benchmark import measure_cell
    from evodenoise.system.device import prepare_process

    prepare_process(threads)
    found: dict[str, Any] = {"error": None}
    try:
        cell = measure_cell(
            clean,
            config,
            case,
            on_epoch=progress.on_epoch,
            on_reconstruction=progress.on_reconstruction,
        )
        found |= cell.as_dict()
    except (EvodenoiseError, RuntimeError, MemoryError) as error:
        found |= {**asdict(case), "error": " ".join(f"{type(error).__name__}: {error}".split())}
    return {name: finite_or_none(found.get(name)) for name in COLUMNS}


def group_summary(rows: Sequence[Record]) -> dict[str, Any]:
    """Summarise rows for a JSON document."""
    known = [row["psnr"] for row in rows if row["psnr"] is not None]
    return {
        "cells": len(rows),
        "failed": sum(row["error"] is not None for row in rows),
        "psnr": sum(known) / len(known) if known else None,
        "groups": [group.as_dict() for group in group_rows(rows)],
    }


def _warn_of_failure(row: Record) -> None:
    """Tell of a failure at once."""
    if row["error"] is not None:
        typer.echo(
            f"warning: {row['image']}, sigma {row['sigma']:g}, {row['preset']}, "
            f"seed {row['seed']}: {row['error']}",
            err=True,
        )


def _print(rows: Sequence[Record], *, as_json: bool, markdown: bool) -> None:
    if as_json:
        print_document(rows, group_summary(rows))
        return
    lines = [_line(group) for group in group_rows(rows)]
    if markdown:
        print_markdown(HEADER, lines, numbers=len(HEADER) - 2)
    else:
        print_table(HEADER, lines, numbers=len(HEADER) - 2)


def _line(group: Group) -> list[str]:
    forms = {
        "psnr_noisy": ".2f",
        "psnr": ".2f",
        "ssim": ".4f",
        "noise_std": ".2f",
        "cpu_seconds": ".1f",
        "wall_seconds": ".1f",
    }
    values = []
    for name, form in forms.items():
        spread = group.spreads.get(name)
        if spread is None:
            values.append("failed" if not group.seeds else "inf")
        else:
            std = "" if spread.std is None else f" ± {spread.std:{form}}"
            values.append(f"{spread.mean:{form}}{std}")
    return [group.image, group.preset, f"{group.sigma:g}", *values]
