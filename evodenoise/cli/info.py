"""`evodenoise info FILE`: what is read of a file, without denoising it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import pick
from evodenoise.cli.output import Voice, print_document
from evodenoise.cli.tables import print_record
from evodenoise.cli.typed import make
from evodenoise.errors import ConfigError, ExitCode, OutputError
from evodenoise.evaluation.noise_figures import draw_noise
from evodenoise.images import Array, Image, ReadOptions, write_image
from evodenoise.images.conversion import Conversion, FileSettings
from evodenoise.jobs.sidecars import check_figure, check_new_file, write_new_file
from evodenoise.noise.record import NoiseEstimate, NoiseKind
from evodenoise.noise.record_file import to_json
from evodenoise.noise.words import describe_noise_kind, gain_errors, tones_of, with_error

OF_PHOTONS = ("gain", "readout", "offset")

MOST_PIXELS = 2**21
"""What is bright and what is dark is hardly told better by more."""

WAVES = 8
"""The spectrum in the document is that of the DCT of patches of so many pixels a side."""


@dataclass(frozen=True, eq=False)
class _Noise:
    """The noise that was read of a file.

    Attributes
    ----------
    estimate : NoiseEstimate
        Of the channels that differ.
    levels : tuple of float
        Of all channels.
    impulses : ndarray of bool, shape (T, Y, X)
        Where they are.
    pixels : ndarray, shape (N,)
        Values of evenly spaced pixels that are numbers, and no impulses.
    """

    estimate: NoiseEstimate
    levels: tuple[float, ...]
    impulses: Array
    pixels: Array

    @property
    def impulse_share(self) -> float:
        """How many pixels are impulses, of all."""
        return float(self.impulses.mean())


def info(given: Given) -> ExitCode:
    """Show what is read of a file, and what of it a result will keep.

    [bold]evodenoise info dark.tif --save-noise camera.noise[/bold] keeps what was
    found of its noise, for [bold]evodenoise shots/ --noise-file camera.noise[/bold].
    """
    file: Path = given["file"]
    _check_outputs(file, given)
    conversion = Conversion.read(file, FileSettings(reading=make(ReadOptions, given)))
    noise = _read_noise(file, conversion)
    found = _describe(file, conversion.image, noise)
    _write_outputs(file, given, noise)
    if given.get("json"):
        print_document([found], {})
    else:
        print_record(_rows(found, noise))
    return ExitCode.DONE


def _check_outputs(file: Path, given: Given) -> None:
    """Refuse, before any work, files that could not or must not be written."""
    record, figure = given.get("save_noise"), given.get("noise_figure")
    overwrite = bool(given.get("overwrite"))
    if overwrite and record is None and figure is None:
        raise ConfigError("--overwrite is about files here; it needs --save-noise or --figure")
    if record is not None:
        check_new_file(record, source=file, overwrite=overwrite)
    if figure is not None:
        check_figure(figure, source=file, overwrite=overwrite)
        if record is not None and record.absolute() == figure.absolute():
            raise OutputError(f"{figure}: would be written twice; name record and figure apart")


def _write_outputs(file: Path, given: Given, noise: _Noise) -> None:
    """Write the files that are wanted."""
    record, figure = given.get("save_noise"), given.get("noise_figure")
    if record is not None:
        write_new_file(record, to_json(noise.estimate).encode())
        if noise.estimate.kind is NoiseKind.NONE:
            Voice().say(
                f"warning: {file}: no noise was found; with {record} images come back as they are"
            )
    if figure is not None:
        (_, kind), *others = _noise_rows(noise)
        lines = [kind, *(f"{name}: {text}" for name, text in others)]
        picture = draw_noise(noise.estimate, noise.pixels, title=file.name, lines=lines)
        write_image(figure, Image.plain(picture, "YXC"))


def _describe(file: Path, image: Image, noise: _Noise) -> dict[str, Any]:
    """Collect what there is to say, as it stands in the JSON document."""
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
        **_describe_noise(noise),
        "metadata": list(image.metadata.names),
        "warnings": list(image.warnings),
    }


def _describe_noise(noise: _Noise) -> dict[str, Any]:
    """Collect what there is to say of the noise.

    Curves, spectrum and uncertainties are of distinct channels; uncertainties are in pixel units
    but for that of the spectrum, which is relative.
    """
    estimate = noise.estimate
    photons, spectrum, sure = estimate.photons, estimate.spectrum, estimate.uncertainty
    waves = None if spectrum is None else np.sqrt(spectrum.wave_variances(WAVES)).tolist()
    return {
        "noise": list(noise.levels),
        "noise_uncertainty": sure
        and [
            std * relative for std, relative in zip(estimate.per_channel, sure.level, strict=True)
        ],
        "noise_level": estimate.level,
        "noise_level_uncertainty": estimate.level_uncertainty,
        "noise_source": estimate.source.value,
        "noise_kind": estimate.kind.value,
        "noise_consistent": estimate.consistent,
        "noise_curves": [
            {"values": list(curve.values), "stds": list(curve.stds)} for curve in estimate.curves
        ],
        **{name: photons and [getattr(each, name) for each in photons] for name in OF_PHOTONS},
        "gain_uncertainty": gain_errors(estimate),
        "readout_uncertainty": list(sure.readout) if sure and sure.readout else None,
        "noise_spectrum": waves,
        "noise_spectrum_uncertainty": list(sure.spectrum) if sure and sure.spectrum else None,
        "impulses": int(noise.impulses.sum()),
        "impulse_share": noise.impulse_share,
    }


def _read_noise(file: Path, conversion: Conversion) -> _Noise:
    """Refuse what denoising refuses; else read the noise as it does, and that of each channel."""
    from evodenoise.denoising.checks import check_image
    from evodenoise.denoising.noise_level import read_noise

    image, missing = conversion.image, conversion.missing
    for page in image.pages:
        check_image(page, name=str(file))
    pages = image.pages if image.pages.ndim == 4 else image.pages[..., None]
    gaps = missing if missing is None or image.is_stack else missing[None]
    estimate, levels, impulses = read_noise(pages, gaps)
    chosen = slice(None, None, 1 + impulses.size // MOST_PIXELS)
    some = pages.reshape(impulses.size, -1)[chosen][~impulses.ravel()[chosen]]
    return _Noise(estimate, levels, impulses, some[np.isfinite(some)])


def _rows(found: dict[str, Any], noise: _Noise) -> list[tuple[str, str]]:
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
        *_noise_rows(noise),
        ("metadata", f"{kept}"),
    ]  # fmt: skip
    return rows + [("warning", warning) for warning in found["warnings"]]


def _noise_rows(noise: _Noise) -> list[tuple[str, str]]:
    """Say what the noise is, how strong, and how many impulses there are."""
    estimate = noise.estimate
    kind = describe_noise_kind(estimate, tones_of(noise.pixels))
    listed = ", ".join(f"{level:.4g}" for level in noise.levels)
    channels = f" (channels {listed})" if len(noise.levels) > 1 else ""
    impulses = int(noise.impulses.sum())
    share = f" ({100 * noise.impulse_share:.2g} % of the pixels)"
    level = with_error(estimate.level, estimate.level_uncertainty, digits=4)
    found = f", {estimate.source}" if estimate.std else ""
    return [
        ("noise", kind),
        ("level", f"standard deviation {level}{found}{channels}"),
        ("impulses", f"{impulses}{share}" if impulses else "none found"),
    ]


COMMAND = Command(
    info,
    pick(
        *("file", "axes", "max_pixels", "save_noise", "noise_figure", "overwrite"),
        *("json", "traceback", "version", "help"),
    ),
)
