"""Noise that follows the signal, or was clipped: what telling it does for an image."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pictures import Array, add_noise, psnr, wave

from evodenoise.config.settings import Clipped, DenoiseConfig, Refinement
from evodenoise.denoising.checkpoint import read_model
from evodenoise.denoising.denoise import denoise, denoise_stack
from evodenoise.denoising.levelling import Levelling
from evodenoise.denoising.result import DenoiseResult
from evodenoise.errors import ConfigError
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.stabilisation import Stabilisation

CONFIG = DenoiseConfig(
    patch_size=6,
    latents=32,
    hidden=(32,),
    states=8,
    epochs=8,
    batch_size=64,
    refinement=Refinement.GAUSSIAN,
    device="cpu",
)
CLEAN = wave(32, 32)
GAIN, READOUT, OFFSET = 12.0, 3.0, 40.0
PHOTONS = replace(CONFIG, gain=GAIN, readout=READOUT, offset=OFFSET)


def count_photons(clean: Array, *, seed: int = 0) -> Array:
    """Make what a sensor of that gain, read-out noise and black level records."""
    rng = np.random.default_rng(seed)
    counts = GAIN * rng.poisson((clean - OFFSET).clip(min=0) / GAIN)
    return OFFSET + counts + READOUT * rng.standard_normal(clean.shape)


@pytest.fixture(scope="module")
def told_with() -> Callable[[float], DenoiseResult]:
    """Denoise an image of photons, told of them, with a strength."""
    return cache(lambda factor: denoise(count_photons(CLEAN), replace(PHOTONS, strength=factor)))


@pytest.fixture(scope="module")
def told(told_with: Callable[[float], DenoiseResult]) -> DenoiseResult:
    return told_with(1.0)


def test_told_of_photons_the_result_is_better(told: DenoiseResult) -> None:
    noisy = count_photons(CLEAN)
    untold = denoise(noisy, CONFIG)
    assert psnr(CLEAN, told.image) > psnr(CLEAN, untold.image) + 1
    assert psnr(CLEAN, told.image) > psnr(CLEAN, noisy) + 7
    assert told.noise_std == pytest.approx(np.sqrt(GAIN * 88 + 9), rel=0.1)
    assert told.noise_estimate.consistent
    assert abs(float((told.image - CLEAN).mean())) < 2
    assert 0 < float(told.std.mean()) < told.noise_std


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_gain_is_in_the_units_of_the_file(dtype: str) -> None:
    unit = 200 if dtype == "uint16" else 1
    noisy = (unit * count_photons(CLEAN)).round().clip(0, 255 * unit).astype(dtype)
    config = replace(CONFIG, gain=unit * GAIN, readout=unit * READOUT, offset=unit * OFFSET)
    result = denoise(noisy, config)
    assert result.image.dtype == dtype
    assert psnr(CLEAN, result.image / unit) > psnr(CLEAN, noisy / unit) + 7


def test_a_gain_in_other_units_than_the_pixels_is_refused() -> None:
    with pytest.raises(ConfigError, match="far more than it varies in all"):
        denoise(count_photons(CLEAN), replace(CONFIG, gain=1e6))


def test_the_free_energy_is_one_of_pixel_values(told: DenoiseResult) -> None:
    """In other units of pixels, the same model has a density that differs by these units."""
    noisy = count_photons(CLEAN)
    other = replace(PHOTONS, gain=10 * GAIN, readout=10 * READOUT, offset=10 * OFFSET)
    ten = denoise(10 * noisy, other)
    assert ten.free_energy == pytest.approx(told.free_energy - 36 * np.log(10), abs=0.5)
    assert ten.history[-1].noise_std == pytest.approx(10 * told.history[-1].noise_std, rel=0.01)


def test_gaps_stacks_and_colours_take_part() -> None:
    clean = np.stack([wave(24, 24, channels=2)] * 2)  # (T, Y, X, C)
    noisy = count_photons(clean)
    noisy[0, 10:13, 10:13] = np.nan
    result = denoise_stack(noisy, PHOTONS)
    assert np.isfinite(result.image).all()
    assert psnr(clean, result.image) > psnr(clean, np.nan_to_num(noisy, nan=128)) + 6


def test_a_model_takes_its_levels_along(told: DenoiseResult, tmp_path: Path) -> None:
    path, made = tmp_path / "kept.model", told.model
    assert made is not None
    path.write_bytes(made.to_bytes())
    sibling, without = count_photons(CLEAN, seed=1), replace(CONFIG, epochs=0)
    kept = denoise(sibling, without, model=made)
    read = denoise(sibling, without, model=read_model(path))
    np.testing.assert_array_equal(kept.image, read.image)
    assert psnr(CLEAN, kept.image) > psnr(CLEAN, sibling) + 6
    for more in ({"gain": 1.0}, {"clipped": "restore"}, {"noise_std": 20.0}):
        with pytest.raises(ConfigError, match=r"without --load-model"):
            denoise(sibling, replace(without, **more), model=made)


def test_levels_are_the_same_after_json() -> None:
    curves = LevelCurve.of_knots([0, 9, 200], [1, 2, 3]), LevelCurve.of_photons(2, 3, 4)
    bounds = None, (-np.inf, 255.0)
    levelling = Levelling(
        tuple(
            Stabilisation.of(curve, 0, 255, bounds=ends, restore=True)
            for curve, ends in zip(curves, bounds, strict=True)
        )
    )
    read = Levelling.from_json(levelling.to_json())
    pixels = np.random.default_rng(0).uniform(-10, 300, (7, 2))
    np.testing.assert_array_equal(read.apply(pixels), levelling.apply(pixels))
    np.testing.assert_array_equal(read.undo(pixels / 10), levelling.undo(pixels / 10))


# --- clipped values


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_restored_tones_carry_no_bias_of_clipping(dtype: str) -> None:
    std = 50.0
    clean = np.where(np.arange(40) < 20, 8.0, 247.0) * np.ones((40, 1))
    recorded = add_noise(clean, std).clip(0, 255).astype(dtype)
    config = replace(CONFIG, noise_std=std)
    kept = denoise(recorded, config).image - clean
    restored = denoise(recorded, replace(config, clipped=Clipped.RESTORE)).image - clean
    for half, sign in ((np.s_[:, 4:16], 1), (np.s_[:, 24:36], -1)):
        assert sign * kept[half].mean() > 12
        assert abs(restored[half].mean()) < 5


def test_without_clipped_values_there_is_nothing_to_restore() -> None:
    noisy = add_noise(CLEAN)
    config = replace(CONFIG, epochs=2)
    restored = denoise(noisy, replace(config, clipped="restore"))
    np.testing.assert_array_equal(restored.image, denoise(noisy, config).image)


def test_an_image_without_noise_has_nothing_to_restore() -> None:
    drawing = np.where(np.arange(40) < 20, 0.0, 255.0) * np.ones((40, 1))
    restored = denoise(drawing, replace(CONFIG, clipped="restore"))
    np.testing.assert_array_equal(restored.image, drawing)


# --- strength


def test_strength_is_a_factor_of_the_level() -> None:
    noisy = add_noise(CLEAN, 20.0)
    config = replace(CONFIG, epochs=2)
    told = denoise(noisy, replace(config, noise_std=20.0))
    half = denoise(noisy, replace(config, noise_std=40.0, strength=0.5))
    np.testing.assert_array_equal(half.image, told.image)


def test_strength_leaves_less_of_photon_noise(told_with: Callable[[float], DenoiseResult]) -> None:
    rough = [float(np.abs(np.diff(told_with(factor).image)).mean()) for factor in (0.5, 1.0, 2.0)]
    assert rough[0] > rough[1] > rough[2]
