"""`evodenoise info FILE`: what is read of a file, without denoising it."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import make, pick
from evodenoise.cli.output import print_document
from evodenoise.cli.tables import print_record
from evodenoise.errors import ExitCode, ImageError
from evodenoise.images import Image, ReadOptions, read_image

MOST_NOISE_PAGES = 8
"""Evenly spaced; the noise of a stack is hardly estimated better from more."""


def info(given: Given) -> ExitCode:
    """Show what is read of a file, and what of it a result will keep."""
    file: Path = given["file"]
    found = _describe(file, read_image(file, make(ReadOptions, given)))
    if given.get("json"):
        print_document([found], {})
    else:
        print_record(_rows(found))
    return ExitCode.DONE


def _describe(file: Path, image: Image) -> dict[str, Any]:
    """Collect what there is to say, as it stands in the JSON document."""
    pages, height, width = image.pages.shape[:3]
    finite = image.pixels[np.isfinite(image.pixels)]
    levels, consistent = _noise(image)
    return {
        "file": str(file),
        "format": image.format,
        "dtype": image.pixels.dtype.name,
        "shape": list(image.layout.shape),
        "axes": image.layout.axes,
        "pages": pages,
        "height": height,
        "width": width,
        "channels": image.channels,
        "opacity": image.alpha is not None,
        "minimum": finite.min().item() if finite.size else None,
        "maximum": finite.max().item() if finite.size else None,
        "missing": image.pixels.size - finite.size,
        "noise": levels,
        "noise_is_white": consistent,
        "metadata": list(image.metadata.names),
        "warnings": list(image.warnings),
    }


def _noise(image: Image) -> tuple[list[float] | None, bool | None]:
    """Estimate the noise of each channel, root mean square over pages, and whether it is white."""
    from evodenoise.noise.estimation import estimate_noise

    step = math.ceil(len(image.pages) / MOST_NOISE_PAGES)
    pages = [page.reshape(*page.shape[:2], -1) for page in image.pages[::step]]
    try:
        estimates = [
            estimate_noise(np.nan_to_num(page), missing=np.isnan(page).any(-1)) for page in pages
        ]
    except ImageError:  # too few pixels
        return None, None
    squares = np.array([estimate.per_channel for estimate in estimates]) ** 2
    levels = [float(level) for level in np.sqrt(squares.mean(axis=0))]
    return levels, all(estimate.consistent for estimate in estimates)


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Put it into words, a row each."""
    kept = ", ".join(found["metadata"]) or "none"
    size = f"{found['width']} x {found['height']} pixels"
    pages = f"{found['pages']} pages of " if found["pages"] > 1 else ""
    opacity = " and opacity, which is copied" if found["opacity"] else ""
    missing = f", {found['missing']} not finite" if found["missing"] else ""
    rows = [
        ("file", found["file"]),
        ("format", found["format"]),
        ("size", f"{pages}{size}"),
        ("array", f"axes {found['axes']}, shape {tuple(found['shape'])}"),
        ("channels", f"{found['channels']}{opacity}"),
        ("values", f"{found['dtype']}, {_number(found['minimum'])} to "
                   f"{_number(found['maximum'])}{missing}"),
        ("noise", _noise_words(found)),
        ("metadata", f"{kept}"),
    ]  # fmt: skip
    return rows + [("warning", warning) for warning in found["warnings"]]


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"


def _noise_words(found: dict[str, Any]) -> str:
    if found["noise"] is None:
        return "cannot be estimated"
    levels = ", ".join(f"{level:.4g}" for level in found["noise"])
    doubt = "" if found["noise_is_white"] else "; may be correlated or not Gaussian"
    return f"standard deviation {levels}{doubt}"


COMMAND = Command(info, pick("file", "axes", "max_pixels", "json", "traceback", "version", "help"))
