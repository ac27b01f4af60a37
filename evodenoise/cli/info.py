"""`evodenoise info FILE`: what is read of a file, without denoising it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import make, pick
from evodenoise.cli.output import print_document
from evodenoise.cli.tables import print_record
from evodenoise.errors import ExitCode, plural
from evodenoise.images import ReadOptions
from evodenoise.images.conversion import Conversion, FileSettings

if TYPE_CHECKING:
    from evodenoise.noise.record import NoiseEstimate


def info(given: Given) -> ExitCode:
    """Show what is read of a file, and what of it a result will keep."""
    file: Path = given["file"]
    found = _describe(file, Conversion.read(file, FileSettings(reading=make(ReadOptions, given))))
    if given.get("json"):
        print_document([found], {})
    else:
        print_record(_rows(found))
    return ExitCode.DONE


def _describe(file: Path, conversion: Conversion) -> dict[str, Any]:
    """Collect what there is to say, as it stands in the JSON document."""
    image, (noise, levels, impulses) = conversion.image, _read_noise(file, conversion)
    pages, height, width = image.pages.shape[:3]
    finite = image.pixels[np.isfinite(image.pixels)]
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
        "minimum": finite.min().item(),
        "maximum": finite.max().item(),
        "missing": image.pixels.size - finite.size,
        "noise": list(levels),
        "noise_level": noise.level,
        "noise_is_white": noise.consistent,
        "impulses": impulses,
        "metadata": list(image.metadata.names),
        "warnings": list(image.warnings),
    }


def _read_noise(
    file: Path, conversion: Conversion
) -> "tuple[NoiseEstimate, tuple[float, ...], int]":
    """Refuse what denoising refuses; else read the noise as it does, and that of each channel."""
    from evodenoise.denoising.checks import check_image
    from evodenoise.denoising.noise_level import read_noise

    image, missing = conversion.image, conversion.missing
    for page in image.pages:
        check_image(page, name=str(file))
    pages = image.pages if image.pages.ndim == 4 else image.pages[..., None]
    return read_noise(pages, missing if missing is None or image.is_stack else missing[None])


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Put it into words, a row each."""
    kept = ", ".join(found["metadata"]) or "none"
    size = f"{found['width']} x {found['height']} pixels"
    pages = f"{found['pages']} pages of " if found["pages"] > 1 else ""
    opacity = " and opacity, which is copied" if found["opacity"] else ""
    missing = f", {found['missing']} no numbers" if found["missing"] else ""
    rows = [
        ("file", found["file"]),
        ("format", found["format"]),
        ("size", f"{pages}{size}"),
        ("array", f"axes {found['axes']}, shape {tuple(found['shape'])}"),
        ("channels", f"{found['channels']}{opacity}"),
        ("values", f"{found['dtype']}, {found['minimum']:.6g} to "
                   f"{found['maximum']:.6g}{missing}"),
        ("noise", _noise_words(found)),
        ("metadata", f"{kept}"),
    ]  # fmt: skip
    return rows + [("warning", warning) for warning in found["warnings"]]


def _noise_words(found: dict[str, Any]) -> str:
    levels = ", ".join(f"{level:.4g}" for level in found["noise"])
    channels = f" (channels {levels})" if found["channels"] > 1 else ""
    impulses = f"; {plural(found['impulses'], 'impulse')}" if found["impulses"] else ""
    doubt = "" if found["noise_is_white"] else "; may be correlated or not Gaussian"
    return f"standard deviation {found['noise_level']:.4g}{channels}{doubt}{impulses}"


COMMAND = Command(info, pick("file", "axes", "max_pixels", "json", "traceback", "version", "help"))
