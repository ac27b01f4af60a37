"""`evodenoise benchmark CLEAN...`: add noise, denoise, print a table."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evodenoise.cli.interrupts import InterruptedRunError, Interrupts
from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import pick
from evodenoise.cli.output import Voice, print_document
from evodenoise.cli.request import check_renewal
from evodenoise.cli.tables import print_markdown, print_table
from evodenoise.cli.typed import make, make_run_settings
from evodenoise.config.presets import DEFAULT_PRESET
from evodenoise.errors import ConfigError, EvodenoiseError, ExitCode
from evodenoise.evaluation.summary import JUDGEMENTS, MEASURED, SPEEDS, Group, group_records
from evodenoise.jobs.forecast import forecast_stages
from evodenoise.jobs.job import RunSettings, configure
from evodenoise.jobs.progress import ImageProgress
from evodenoise.jobs.records import Record, finite_or_none
from evodenoise.jobs.report import Report, check_report

if TYPE_CHECKING:
    from evodenoise.cli.progress import RunProgress
    from evodenoise.config.settings import DenoiseConfig
    from evodenoise.evaluation.benchmark import Case
    from evodenoise.images import Array

LEFT = "the table holds what had been finished"
HEADER = ["image", "preset", "sigma", "noisy dB", "PSNR dB", "SSIM", "noise found", "CPU s", "s"]
SPEED_HEADER = ["Mpx/s of", "preset", "sigma", "training", "rebuilding", "refining"]
COLUMNS: Mapping[str, type] = {
    "image": str,
    "sigma": float,
    "preset": str,
    "seed": int,
    "error": str,
    **dict.fromkeys((*MEASURED, *JUDGEMENTS), float),
}


def benchmark(given: Given) -> ExitCode:
    """Measure PSNR and SSIM on clean images: add noise, denoise, compare.

    The noise is Gaussian, seeded, neither clipped nor rounded; the denoiser is
    not told its level; results are clipped before they are compared. Ctrl-C
    prints what has been measured; --skip-existing goes on with a report. A second
    table tells how many megapixels a second each stage does.
    """
    settings, voice = make_run_settings(given), make(Voice, given)
    markdown = bool(given.get("markdown"))
    if voice.as_json and markdown:
        raise ConfigError("--json and --markdown are two forms of one table; choose one")
    levels, seeds = _parse_sigmas(given.get("sigmas", "25")), _parse_seeds(given.get("seeds", "0"))
    book = _open_report(given.get("table"), settings)
    images = _read(given["clean"])
    names = given.get("presets", DEFAULT_PRESET).split(",")
    tasks = _plan(images, levels, names, seeds, settings.overrides)
    records: list[Record] = []
    try:
        with Interrupts(LEFT):
            for record in _measure_all(tasks, images, settings, voice, book):
                records.append(record)
    except InterruptedRunError as error:
        if not records:
            raise
        _print(records, as_json=voice.as_json, markdown=markdown)
        typer.echo(f"evodenoise: error: {error}", err=True)
        return error.exit_code
    _print(records, as_json=voice.as_json, markdown=markdown)
    return ExitCode.of_many(sum(record["error"] is not None for record in records), len(records))


def _measure_all(
    tasks: Sequence[tuple["Case", "DenoiseConfig"]],
    images: Mapping[str, "Array"],
    settings: RunSettings,
    voice: Voice,
    book: Report | None,
) -> Iterator[Record]:
    """Measure what is in no report yet; yield all records, and add them to the report."""
    from evodenoise.cli.progress import show_progress

    if book:
        book.start()
    for case, config in tasks:
        record = book.records.get(_key(asdict(case))) if book else None
        if record is None:
            course = ImageProgress(forecast_stages(config, _shape(images[case.image])))
            with show_progress(course, quiet=voice.quiet, verbose=voice.verbose) as progress:
                record = _measure(images[case.image], case, config, settings.threads, progress)
            _warn_of_failure(record)
        if book:
            book.add(record)
        yield record


def _shape(pixels: "Array") -> tuple[int, int, int, int]:
    """Return the shape (T, Y, X, C) of an image (Y, X) or (Y, X, C)."""
    return 1, pixels.shape[0], pixels.shape[1], pixels.shape[2] if pixels.ndim == 3 else 1


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


def _open_report(path: Path | None, settings: RunSettings) -> Report | None:
    """Open the report; when it is gone on with, what failed is measured again."""
    check_renewal(overwrite=settings.overwrite, resume=settings.resume)
    if path is None:
        if settings.overwrite or settings.resume:
            name = "--overwrite" if settings.overwrite else "--skip-existing"
            raise ConfigError(f"{name} is about the report here; it needs --report")
        return None
    check_report(path, replace_it=settings.overwrite or settings.resume)
    report = Report(path, COLUMNS, _key, group_summary)
    if settings.resume:
        report.resume(lambda record: record["error"] is None)
    return report


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("image", "sigma", "preset", "seed"))


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

    resolve_device(str(overrides.get("device", "auto")))
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
    """Measure a case; if it fails, the record says why."""
    from evodenoise.evaluation.benchmark import measure_case
    from evodenoise.system.device import prepare_process

    prepare_process(threads)
    found: dict[str, Any] = {"error": None}
    try:
        measurement = measure_case(
            clean,
            config,
            case,
            on_epoch=progress.on_epoch,
            on_reconstruction=progress.on_reconstruction,
            on_refinement=progress.on_refinement,
        )
        found |= measurement.as_dict()
    except (EvodenoiseError, RuntimeError, MemoryError) as error:
        found |= {**asdict(case), "error": " ".join(f"{type(error).__name__}: {error}".split())}
    return {name: finite_or_none(found.get(name)) for name in COLUMNS}


def group_summary(records: Sequence[Record]) -> dict[str, Any]:
    """Summarise records for a JSON document."""
    known = [record["psnr"] for record in records if record["psnr"] is not None]
    return {
        "cells": len(records),
        "failed": sum(record["error"] is not None for record in records),
        "psnr": sum(known) / len(known) if known else None,
        "groups": [group.as_dict() for group in group_records(records)],
    }


def _warn_of_failure(record: Record) -> None:
    """Tell of a failure at once."""
    if record["error"] is not None:
        typer.echo(
            f"warning: {record['image']}, sigma {record['sigma']:g}, {record['preset']}, "
            f"seed {record['seed']}: {record['error']}",
            err=True,
        )


def _print(records: Sequence[Record], *, as_json: bool, markdown: bool) -> None:
    if as_json:
        print_document(records, group_summary(records))
        return
    groups = group_records(records)
    show = print_markdown if markdown else print_table
    show(HEADER, [_line(group) for group in groups], numbers=len(HEADER) - 2)
    speeds = [_speed_line(group) for group in groups if group.seeds]
    if speeds:
        print()
        show(SPEED_HEADER, speeds, numbers=len(SPEED_HEADER) - 2)


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


def _speed_line(group: Group) -> list[str]:
    """List how many megapixels a second each stage did."""
    values = []
    for name in SPEEDS:
        spread = group.spreads.get(name)
        std = "" if spread is None or spread.std is None else f" ± {spread.std:.1g}"
        values.append("-" if spread is None else f"{spread.mean:.3g}{std}")
    return [group.image, group.preset, f"{group.sigma:g}", *values]


COMMAND = Command(
    benchmark,
    pick(
        *("clean", "sigmas", "presets", "seeds", "time_limit", "epochs"),
        *("covariance", "refine", "patch_size", "device", "threads"),
        *("table", "overwrite", "skip_existing", "markdown"),
        *("json", "quiet", "verbose", "version", "help"),
    ),
)
