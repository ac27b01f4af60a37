"""The file of a record of noise: a JSON document, for people to read and programs to check.

::

    {"format_version": 1,
     "kind": "white", "photon", "signal-dependent", "coloured" or "none", "level": ...,
     "std": ..., "per_channel": [C], "correlation": [C x C],
     "wavelet_std": ..., "coarse_std": ..., "consistent": true,
     "curves": for each channel, or none at all, {"values": [K], "stds": [K]} and, if the noise is
               that of photons, "gain": ..., "readout": ..., "offset": ...,
     "spectrum": null or [C x 32 x 32],
     "uncertainty": null, or {"level": [C], "gain": [C] or [], "readout": [C] or [],
                    "spectrum": [C] or []}; it may be left out}

All as in `NoiseEstimate`; `kind` and `level` follow from the rest, and the source is this file,
whatever it was before. A file is believed only after
everything in it has been found in range, and to fit the rest.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.errors import NoiseFileError
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate, root_mean_square
from evodenoise.noise.spectrum import FREQUENCIES, LEAST_DENSITY, NoiseSpectrum
from evodenoise.noise.uncertainty import NoiseSource, NoiseUncertainty

FORMAT_VERSION = 1
LARGEST_FILE = 1 << 20
"""Bytes; four channels with a spectrum take a tenth of it."""

MOST_CHANNELS = 4
MOST = 1e150
"""Pixel units; the square of such a number can be computed."""

ROUNDING = 1e-6
"""Relative; figures that say one thing may differ by so much."""

NO_RECORD = "is damaged or not a record of noise; evodenoise info FILE --save-noise PATH writes one"


def to_fields(noise: NoiseEstimate) -> dict[str, Any]:
    """Put a record into the fields of a JSON document.

    Parameters
    ----------
    noise : NoiseEstimate
        The record.

    Returns
    -------
    dict
        Numbers, words and lists, as described above.
    """
    return {
        "format_version": FORMAT_VERSION,
        "kind": noise.kind.value,
        "level": noise.level,
        "std": noise.std,
        "per_channel": list(noise.per_channel),
        "correlation": [list(row) for row in noise.correlation],
        "wavelet_std": noise.wavelet_std,
        "coarse_std": noise.coarse_std,
        "consistent": noise.consistent,
        "curves": [_curve_fields(curve) for curve in noise.curves],
        "spectrum": noise.spectrum and noise.spectrum.density.tolist(),
        "uncertainty": noise.uncertainty and _uncertainty_fields(noise.uncertainty),
    }


def to_json(noise: NoiseEstimate) -> str:
    """Write a record as the text of a file; `read_noise_file` makes the same of it again."""
    return json.dumps(to_fields(noise), allow_nan=False) + "\n"


def read_noise_file(path: str | Path) -> NoiseEstimate:
    """Read a record of noise, as ``evodenoise info --save-noise`` writes it.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    NoiseEstimate
        For `evodenoise.denoise`.

    Raises
    ------
    NoiseFileError
        If the file cannot be read, is damaged, foreign, or of another version.
    """
    path = Path(path)
    try:
        return _parse(_read(path))
    except NoiseFileError as error:
        raise NoiseFileError(f"{path}: {error}") from error
    except OSError as error:
        raise NoiseFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(path: Path) -> str:
    """Read the text, if it is not far too much."""
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise NoiseFileError(NO_RECORD)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise NoiseFileError(NO_RECORD) from None


def _demand(holds: object, what: str) -> None:
    if not holds:
        raise NoiseFileError(f"is damaged: {what}; use another copy, or make it anew")


def _parse(text: str) -> NoiseEstimate:
    """Make a record of a text, with everything in range."""
    try:
        fields = json.loads(text)
        version = fields["format_version"]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError):
        raise NoiseFileError(NO_RECORD) from None
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise NoiseFileError(
            f"version {str(version)[:20]!r} of the format; this evodenoise reads version "
            f"{FORMAT_VERSION}; make it anew or update"
        )
    levels = fields.get("per_channel")
    channels = len(levels) if isinstance(levels, list) else 0
    _demand(1 <= channels <= MOST_CHANNELS, f"not 1 to {MOST_CHANNELS} channels")
    _demand(isinstance(fields.get("consistent"), bool), "consistent is neither true nor false")
    std, wavelet_std, coarse_std = (
        _level(fields, name) for name in ("std", "wavelet_std", "coarse_std")
    )
    noise = NoiseEstimate(
        std=std,
        wavelet_std=wavelet_std,
        coarse_std=coarse_std,
        per_channel=tuple(_array(levels, (channels,), "per_channel", least=0).tolist()),
        correlation=_parse_correlation(fields.get("correlation"), channels),
        consistent=fields["consistent"],
        curves=_parse_curves(fields.get("curves"), channels),
        spectrum=_parse_spectrum(fields.get("spectrum"), channels),
        uncertainty=_parse_uncertainty(fields.get("uncertainty"), channels),
        source=NoiseSource.FILE,
    )
    _check_agreement(noise, fields)
    return noise


def _check_agreement(noise: NoiseEstimate, fields: Mapping[str, Any]) -> None:
    """Refuse figures each of which could be right, but not all."""
    total = root_mean_square(noise.per_channel)
    _demand(math.isclose(noise.std, total, rel_tol=ROUNDING), "std is not that of the channels")
    _demand(noise.spectrum is None or noise.curves, "a spectrum without curves")
    _demand(noise.std or not noise.curves, "curves of no noise")
    _demand(fields.get("kind") == noise.kind.value, "kind is not that of the rest")
    sure = noise.uncertainty
    _demand(sure is None or noise.std, "uncertainty of no noise")
    _demand(sure is None or not sure.gain or noise.photons, "uncertainty of a gain without one")
    _demand(
        sure is None or not sure.spectrum or noise.spectrum, "uncertainty of a spectrum without one"
    )
    level = _level(fields, "level")
    _demand(math.isclose(level, noise.level, rel_tol=ROUNDING), "level is not that of the rest")


def _level(fields: Mapping[str, Any], name: str) -> float:
    return float(_array(fields.get(name), (), name, least=0))


def _parse_correlation(rows: Any, channels: int) -> tuple[tuple[float, ...], ...]:
    matrix = _array(rows, (channels, channels), "correlation", least=-1)
    fits = (matrix <= 1).all() and np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)
    _demand(fits, "correlation is none")
    return tuple(tuple(row) for row in matrix.tolist())


def _parse_curves(rows: Any, channels: int) -> tuple[LevelCurve, ...]:
    _demand(isinstance(rows, list) and len(rows) in (0, channels), "curves of other channels")
    return tuple(_parse_curve(row) for row in rows)


def _curve_fields(curve: LevelCurve) -> dict[str, Any]:
    fields: dict[str, Any] = {"values": list(curve.values), "stds": list(curve.stds)}
    if curve.photon is not None:
        fields |= vars(curve.photon)
    return fields


def _parse_curve(fields: Any) -> LevelCurve:
    _demand(isinstance(fields, Mapping), "a curve is none")
    values, stds = (_knots(fields.get(name), name) for name in ("values", "stds"))
    try:
        if "gain" not in fields:
            return LevelCurve(values, stds)
        photon = [float(_array(fields.get(name), (), name)) for name in _PHOTON]
        curve = LevelCurve.of_photons(*photon)
    except ValueError as error:
        raise NoiseFileError(f"is damaged: {error}; use another copy, or make it anew") from None
    _demand((curve.values, curve.stds) == (values, stds), "a curve is not that of its photons")
    return curve


_PHOTON = ("gain", "readout", "offset")


def _knots(values: Any, name: str) -> tuple[float, ...]:
    count = len(values) if isinstance(values, list) else 0
    _demand(count, f"a curve has no {name}")
    return tuple(_array(values, (count,), name).tolist())


def _parse_spectrum(rows: Any, channels: int) -> NoiseSpectrum | None:
    if rows is None:
        return None
    density = _array(rows, (channels, FREQUENCIES, FREQUENCIES), "spectrum")
    fits = density.min() > LEAST_DENSITY / 2 and math.isclose(density.mean(), 1, rel_tol=ROUNDING)
    _demand(fits, "spectrum out of range")
    return NoiseSpectrum(density)


def _uncertainty_fields(uncertainty: NoiseUncertainty) -> dict[str, Any]:
    return {name: list(part) for name, part in vars(uncertainty).items()}


def _parse_uncertainty(fields: Any, channels: int) -> NoiseUncertainty | None:
    """Make an uncertainty of fields, if there are any: files of before have none."""
    if fields is None:
        return None
    _demand(isinstance(fields, Mapping), "uncertainty is none")
    parts = {}
    for part in _UNCERTAIN:
        values, name = fields.get(part), f"uncertainty of {part}"
        count = 0 if part != "level" and values == [] else channels
        parts[part] = tuple(_array(values, (count,), name, least=0).tolist()) if count else ()
    _demand(len(parts["gain"]) == len(parts["readout"]), "uncertainty of gain without read-out")
    return NoiseUncertainty(**parts)


_UNCERTAIN = ("level", "gain", "readout", "spectrum")


def _array(
    values: Any, shape: Sequence[int], name: str, least: float = -MOST
) -> npt.NDArray[np.float64]:
    """Make an array of numbers in range, of some shape."""
    try:
        array = np.array(values)
        fits = array.dtype.kind in "if" and array.shape == tuple(shape)
        fits = fits and bool(((array >= least) & (array <= MOST)).all())
    except (ValueError, OverflowError):
        fits = False
    _demand(fits, f"{name} out of range or of another shape")
    return array.astype(np.float64)
