"""`evodenoise compare REFERENCE IMAGE...`: PSNR, SSIM and RMSE of files."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer

from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import pick
from evodenoise.cli.output import print_document
from evodenoise.cli.tables import print_table
from evodenoise.cli.typed import make
from evodenoise.errors import ExitCode, ImageError
from evodenoise.evaluation.metrics import check_reference, measure_pages
from evodenoise.images import ReadOptions, read_image
from evodenoise.jobs.records import finite_or_none

MEASURES = ("psnr", "ssim", "rmse")


def compare(given: Given) -> ExitCode:
    """Measure PSNR in dB, SSIM and RMSE in pixel units between image files.

    Neither image is normalised, shifted or clipped. All need the same shape, but
    not the same type. The PSNR of a stack follows from the mean squared error of
    all pages.
    """
    span, reading = given.get("data_range"), make(ReadOptions, given)
    rows = [_compare(given["truth"], each, span, reading) for each in given["images"]]
    if given.get("json"):
        print_document(rows, _summarise(rows))
        return ExitCode.DONE
    lines = [_cells(row["input"], row) for row in rows]
    if len(rows) > 1:
        lines.append(_cells("mean", _summarise(rows)))
    header = ["image", "PSNR dB", "SSIM", "RMSE"]
    spans = [f"{row['data_range']:g}" for row in rows]
    if len(set(spans)) > 1:  # images of several types
        header.append("data range")
        lines = [[*line, span] for line, span in zip(lines, [*spans, ""], strict=False)]
    else:
        typer.echo(f"data range {spans[0]}")
    print_table(header, lines, numbers=len(header) - 1)
    return ExitCode.DONE


def _compare(
    reference: Path, path: Path, data_range: float | None, reading: ReadOptions
) -> dict[str, Any]:
    clean, image = read_image(reference, reading), read_image(path, reading)
    span = check_reference(clean.pixels, image.pixels, data_range, name=str(reference))
    if not np.isfinite(image.pixels).all():
        raise ImageError(f"{path}: some values are NaN or infinite; replace them first")
    quality = measure_pages(clean.pages, image.pages, data_range=span)
    found = {name: finite_or_none(getattr(quality, name)) for name in MEASURES}
    return {"input": str(path), "reference": str(reference), "data_range": span, **found}


def _summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = {name: [row[name] for row in rows if row[name] is not None] for name in MEASURES}
    means = {name: statistics.fmean(some) if some else None for name, some in values.items()}
    return {"files": len(rows), **means}


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    psnr = "inf" if row["psnr"] is None else f"{row['psnr']:.2f}"
    return [name, psnr, f"{row['ssim']:.4f}", f"{row['rmse']:.4g}"]


COMMAND = Command(
    compare,
    pick("truth", "images", "data_range", "axes", "json", "traceback", "version", "help"),
)
