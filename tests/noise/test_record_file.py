"""A record of noise and its file: nothing is lost on the way, and damage is never believed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import add_noise, wave

from evodenoise import DenoiseConfig, denoise, estimate_noise
from evodenoise.errors import NoiseFileError
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate, NoiseKind
from evodenoise.noise.record_file import LARGEST_FILE, read_noise_file, to_json
from evodenoise.noise.spectrum import NoiseSpectrum
from evodenoise.noise.uncertainty import NoiseSource, NoiseUncertainty

WHITE = NoiseEstimate(5.0, (3.0, np.sqrt(41)), ((1.0, 0.1), (0.1, 1.0)), 5.1, 4.9, consistent=True)
PHOTONS = tuple(LevelCurve.of_photons(gain, 1 / 3, -2.0) for gain in (0.1, 1e-7))
KNOTS = (LevelCurve.of_knots((1, 2, 3.7), (1, 2, 1 / 7)), LevelCurve.constant(3.0))
DENSITY = np.random.default_rng(0).uniform(1e-6, 1, (2, 32, 32))
RECORDS = {
    NoiseKind.NONE: NoiseEstimate.none(3),
    NoiseKind.WHITE: WHITE,
    NoiseKind.PHOTON: replace(WHITE, curves=PHOTONS),
    NoiseKind.SIGNAL: replace(WHITE, curves=KNOTS),
    NoiseKind.COLOURED: replace(WHITE, curves=KNOTS, spectrum=NoiseSpectrum.of(DENSITY)),
}
SURE = NoiseUncertainty((0.01, 1 / 3), spectrum=(0.2, 0.3))
CERTAIN = {
    "of all": replace(WHITE, uncertainty=NoiseUncertainty((0.0, 1 / 3))),
    "of photons": replace(
        WHITE, curves=PHOTONS, uncertainty=NoiseUncertainty((0.1, 0.2), (0.1, 0.3), (2.0, 1 / 7))
    ),
    "of a spectrum": replace(RECORDS[NoiseKind.COLOURED], uncertainty=SURE),
}
DOUBTFUL = replace(WHITE, coarse_std=40.0, consistent=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "some.noise"
    path.write_text(text)
    return path


@pytest.mark.parametrize("noise", [*RECORDS.values(), DOUBTFUL], ids=[*RECORDS, "doubtful"])
def test_what_is_read_is_what_was_written(tmp_path: Path, noise: NoiseEstimate) -> None:
    found = read_noise_file(str(written(tmp_path, to_json(noise))))
    assert replace(found, spectrum=None) == replace(noise, spectrum=None)
    assert (found.kind, found.level) == (noise.kind, noise.level)
    assert (found.spectrum is None) == (noise.spectrum is None)
    if noise.spectrum is not None and found.spectrum is not None:
        np.testing.assert_array_equal(found.spectrum.density, noise.spectrum.density)


def test_all_kinds_are_looked_at() -> None:
    assert {kind: noise.kind for kind, noise in RECORDS.items()} == {
        kind: kind for kind in NoiseKind
    }


@pytest.mark.parametrize("name", CERTAIN)
def test_the_uncertainty_is_kept_but_not_the_source(tmp_path: Path, name: str) -> None:
    found = read_noise_file(written(tmp_path, to_json(CERTAIN[name])))
    assert found.uncertainty == CERTAIN[name].uncertainty
    assert found.level_uncertainty == CERTAIN[name].level_uncertainty
    assert (found.source, CERTAIN[name].source) == (NoiseSource.FILE, NoiseSource.ESTIMATED)


def test_files_without_an_uncertainty_are_read(tmp_path: Path) -> None:
    fields = json.loads(to_json(CERTAIN["of all"]))
    del fields["uncertainty"]
    found = read_noise_file(written(tmp_path, json.dumps(fields)))
    assert found == WHITE
    assert found.uncertainty is None


@pytest.mark.parametrize("size", [4, 5, 9])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_whatever_is_read_off_an_image_can_be_kept(tmp_path: Path, size: int, scale: float) -> None:
    noise = estimate_noise(scale * add_noise(wave(size, size, channels=3)))
    assert read_noise_file(written(tmp_path, to_json(noise))) == noise


@pytest.mark.parametrize("kind", [NoiseKind.PHOTON, NoiseKind.SIGNAL, NoiseKind.COLOURED])
def test_denoising_by_what_is_read_gives_the_same_picture(tmp_path: Path, kind: NoiseKind) -> None:
    noisy = 100 + add_noise(wave(24, 24, channels=2), 8)
    config = DenoiseConfig(epochs=1, latents=8, hidden=(8,), device="cpu", refinement="gaussian")
    noise = RECORDS[kind]
    kept = read_noise_file(written(tmp_path, to_json(noise)))
    first, second = (denoise(noisy, config, noise=each) for each in (noise, kept))
    np.testing.assert_array_equal(first.image, second.image)


# --- damage


def spoil(name: str, value: Any, kind: NoiseKind = NoiseKind.COLOURED) -> str:
    """Write a record with one field that is wrong; a path of names and places, by dots."""
    fields = json.loads(to_json(RECORDS[kind]))
    levels = [0.1] * len(fields["per_channel"])
    fields["uncertainty"] = {"level": levels, "gain": [], "readout": [], "spectrum": []}
    *path, last = [int(part) if part.isdigit() else part for part in name.split(".")]
    place = fields
    for part in path:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(fields)


SURE_OF_PHOTONS = {"gain": [0.1, 0.1], "readout": [1, 1], "spectrum": []}
FIELDS = json.loads(to_json(RECORDS[NoiseKind.COLOURED]))
DAMAGED: dict[str, tuple[str, str]] = {
    "no version": (spoil("format_version", ...), "is damaged or not a record of noise"),
    "another version": (spoil("format_version", 2), "version '2' of the format"),
    "kind": (spoil("kind", "white"), "kind is not that of the rest"),
    "level": (spoil("level", 6.0), "level is not that of the rest"),
    "nan": (spoil("wavelet_std", float("nan")), "wavelet_std out of range"),
    "infinite": (spoil("coarse_std", float("inf")), "coarse_std out of range"),
    "a word": (spoil("coarse_std", "4"), "coarse_std out of range"),
    "negative": (spoil("wavelet_std", -1), "wavelet_std out of range"),
    "std": (spoil("std", 7.0), "std is not that of the channels"),
    "negative channel": (spoil("per_channel.0", -3), "per_channel out of range"),
    "no channels": (spoil("per_channel", []), "not 1 to 4 channels"),
    "many channels": (spoil("per_channel", [1.0] * 5), "not 1 to 4 channels"),
    "no list": (spoil("per_channel", 5.0), "not 1 to 4 channels"),
    "consistent": (spoil("consistent", 1), "consistent is neither true nor false"),
    "lopsided": (spoil("correlation.0.1", 0.5), "correlation is none"),
    "too alike": (spoil("correlation.0.0", 2.0), "correlation is none"),
    "small": (spoil("correlation", [[1.0]]), "correlation out of range or of another shape"),
    "no curves": (spoil("curves", ...), "curves of other channels"),
    "one curve": (spoil("curves.1", ...), "curves of other channels"),
    "empty curve": (spoil("curves.0.values", []), "a curve has no values"),
    "uneven": (spoil("curves.0.stds", [1.0]), "a curve needs knots, each with a value and"),
    "falling": (spoil("curves.0.values.1", 0.5), "the values of a curve must increase"),
    "silent": (spoil("curves.1.stds", [0.0]), "must be above 0"),
    "no curve": (spoil("curves.0", 3), "a curve is none"),
    "only spectrum": (spoil("curves", []), "a spectrum without curves"),
    "gain": (spoil("curves.0.gain", 0, NoiseKind.PHOTON), "gain is 0.0"),
    "readout": (spoil("curves.0.readout", ..., NoiseKind.PHOTON), "readout out of range"),
    "other photons": (spoil("curves.0.readout", 2, NoiseKind.PHOTON), "not that of its photons"),
    "of nothing": (
        spoil("curves", [{"values": [0.0], "stds": [1.0]}] * 3, NoiseKind.NONE),
        "curves of no noise",
    ),
    "thin": (spoil("spectrum.0.3.4", 0.0), "spectrum out of range"),
    "loud": (spoil("spectrum.0.3.4", 1e4), "spectrum out of range"),
    "narrow": (spoil("spectrum.0.3", [1.0]), "spectrum out of range or of another shape"),
    "one channel": (spoil("spectrum.1", ...), "spectrum out of range or of another shape"),
    "sure": (spoil("uncertainty", 0.1), "uncertainty is none"),
    "sure of nothing": (spoil("uncertainty", {}), "uncertainty of level out of range"),
    "sure of one": (spoil("uncertainty.level", [0.1]), "uncertainty of level out of range"),
    "sure of none": (spoil("uncertainty.level", []), "uncertainty of level out of range"),
    "too sure": (spoil("uncertainty.level.1", -0.1), "uncertainty of level out of range"),
    "never sure": (spoil("uncertainty.level.1", float("nan")), "uncertainty of level out of"),
    "sure of a word": (spoil("uncertainty.spectrum", ["a", "b"]), "uncertainty of spectrum out"),
    "half sure": (spoil("uncertainty.gain", [0.1, 0.1]), "of gain without read-out"),
    "sure of no gain": (
        spoil("uncertainty", {**SURE_OF_PHOTONS, "level": [0.1, 0.1]}),
        "uncertainty of a gain without one",
    ),
    "sure of no spectrum": (
        spoil("uncertainty.spectrum", [0.1, 0.1], NoiseKind.WHITE),
        "uncertainty of a spectrum without one",
    ),
    "sure of no noise": (
        spoil("uncertainty.level", [0.1] * 3, NoiseKind.NONE),
        "uncertainty of no noise",
    ),
    "truncated": (json.dumps(FIELDS)[:-40], "is damaged or not a record of noise"),
    "empty": ("", "is damaged or not a record of noise"),
    "a list": ("[1, 2]", "is damaged or not a record of noise"),
    "deep": ("[" * 100_000, "is damaged or not a record of noise"),
    "enormous": (" " * LARGEST_FILE + json.dumps(FIELDS), "is damaged or not a record of noise"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    text, reason = DAMAGED[name]
    path = written(tmp_path, text)
    with pytest.raises(NoiseFileError) as caught:
        read_noise_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "missing": lambda _: None,
    "folder": lambda path: path.mkdir(),
    "binary": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str) -> None:
    UNREADABLE[name](tmp_path / name)
    with pytest.raises(NoiseFileError, match=f"{name}: (cannot be read|is damaged or not)"):
        read_noise_file(tmp_path / name)
