"""`evodenoise compare REFERENCE IMAGE...`: PSNR, SSIM and RMSE of files."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from evodenoise.cli import file_options, options
from evodenoise.cli.output import print_document
from evodenoise.cli.tables import print_table
from evodenoise.errors import ImageError
from evodenoise.evaluation.metrics import check_reference, measure_pages
from evodenoise.images import ReadOptions, read_image
from evodenoise.jobs.records import finite_or_none

MEASURES = ("psnr", "ssim", "rmse")

Reference = Annotated[
    Path, typer.Argument(metavar="REFERENCE", help="Clean image.", show_default=False)
]
Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGE", help="Images to compare with it.", show_default=False),
]


def compare(
    reference: Reference,
    images: Images,
    data_range: file_options.DataRange = None,
    axes: options.Axes = None,
    as_json: options.Json = False,
    verbose: options.Traceback = False,  # noqa: ARG001 - looked up by main
    version: options.Version = False,  # noqa: ARG001 - handled by its callback
    show_help: options.Help = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Measure PSNR in dB, SSIM and RMSE in pixel units between image files.

    Neither image is normalised, shifted or clipped. All need the same shape and
    type. The PSNR of a stack follows from the mean squared error of all pages.
    """
    rows = [_compare(reference, each, data_range, ReadOptions(axes=axes)) for each in images]
    if as_json:
        print_document(rows, _summarise(rows))
        return
    typer.echo(f"data range {rows[0]['data_range']:g}")
    lines = [_cells(row["input"], row) for row in rows]
    if len(rows) > 1:
        lines.append(_cells("mean", _summarise(rows)))
    print_table(["image", "PSNR dB", "SSIM", "RMSE"], lines, numbers=3)


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
