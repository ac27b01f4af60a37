"""The benchmark follows the protocol of the literature."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pictures import as_dtype, psnr, wave
from skimage.metrics import structural_similarity

from evodenoise.config.settings import Covariance, DenoiseConfig, Refinement
from evodenoise.denoising.denoise import denoise
from evodenoise.errors import ImageError
from evodenoise.evaluation import benchmark
from evodenoise.evaluation.benchmark import Case, add_noise, check_clean, measure_case
from evodenoise.evaluation.summary import JUDGEMENTS

QUICK = DenoiseConfig(
    latents=16, hidden=(16,), states=4, epochs=2, device="cpu", refinement=Refinement.NONE
)
CLEAN = as_dtype(wave(24, 20), "uint8")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [None, 3])
def test_noise_is_added_as_published(dtype: str, channels: int | None) -> None:
    """clean + sigma * N(0, 1) of numpy's default generator, neither clipped nor rounded."""
    clean = as_dtype(wave(24, 20, channels=channels), dtype)
    clean[:5], clean[5:10] = 0, np.iinfo(dtype).max
    noisy = add_noise(clean, 30.0, seed=5)
    expected = clean + 30.0 * np.random.default_rng(5).standard_normal(clean.shape)
    np.testing.assert_array_equal(noisy, expected.astype(np.float32))
    assert noisy.min() < 0
    assert noisy.max() > np.iinfo(dtype).max


def measured(clean: np.ndarray, **settings: Any) -> benchmark.Measurement:
    case = Case(**{"image": "wave", "sigma": 25.0, "preset": "mine", "seed": 3, **settings})
    return measure_case(clean, QUICK, case)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_cell_is_what_one_gets_by_hand(dtype: str) -> None:
    peak = int(np.iinfo(dtype).max)
    clean = as_dtype(wave(24, 20) * (peak / 255), dtype)
    sigma = 0.1 * peak
    cell = measured(clean, sigma=sigma)
    noisy = (clean + sigma * np.random.default_rng(3).standard_normal(clean.shape)).astype("f4")
    result = denoise(noisy, QUICK, rng=3)
    errors = (result.image - clean.astype(float)) / result.std
    assert cell.calibration == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert cell.coverage_68 == pytest.approx(np.mean(np.abs(errors) < 1))
    assert cell.coverage_90 == pytest.approx(np.mean(np.abs(errors) < 1.645))
    assert 0 < cell.coverage_68 < cell.coverage_90 <= 1
    assert cell.estimated_psnr == pytest.approx(result.estimated_psnr(peak))
    image = result.image.clip(0, peak).astype(float)
    assert cell.psnr == pytest.approx(psnr(clean, image, peak=peak))
    assert cell.psnr_noisy == pytest.approx(psnr(clean, noisy, peak=peak))
    assert cell.ssim == pytest.approx(
        structural_similarity(clean.astype(float), image, data_range=peak)
    )
    assert cell.ssim_noisy == pytest.approx(
        structural_similarity(clean.astype(float), noisy.astype(float), data_range=peak)
    )
    assert cell.noise_std == result.noise_std
    assert cell.case == Case("wave", sigma, "mine", 3)
    stages = [24 * 20 / 1e6 / speed for speed in (cell.training_speed, cell.reconstruction_speed)]
    assert 0 < min(stages) < sum(stages) <= cell.wall_seconds
    assert math.isnan(cell.refinement_speed)  # nothing is refined
    assert cell.wall_seconds > 0
    assert cell.cpu_seconds > 0


def test_nothing_is_said_of_errors_that_are_not_predicted() -> None:
    case = Case("wave", 25.0, "mine", 3)
    cell = measure_case(CLEAN, replace(QUICK, covariance=Covariance.NONE), case)
    assert all(math.isnan(getattr(cell, name)) for name in JUDGEMENTS)
    assert math.isfinite(cell.psnr)


def test_the_result_is_clipped_before_it_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is brighter than white counts as white."""
    white = np.full((16, 16), 255, np.uint8)
    white[:8] = 0

    def overshoot(noisy: np.ndarray, *_: object, **__: object) -> Any:
        result = denoise(np.zeros_like(noisy), QUICK)
        object.__setattr__(result, "image", white + np.where(white > 0, 50.0, -50.0))
        return result

    monkeypatch.setattr(benchmark, "denoise", overshoot)
    assert measured(white).psnr == np.inf


def test_the_denoiser_is_not_told_the_clean_image(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(*arguments: object, **_: object) -> Any:
        seen.append(arguments)
        return denoise(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(benchmark, "denoise", look)
    measured(CLEAN)
    ((noisy, config),) = seen
    assert config == QUICK
    assert noisy.dtype == np.float32
    assert np.std(noisy - CLEAN) == pytest.approx(25, rel=0.1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
def test_refuses_images_whose_range_is_unknown(dtype: str) -> None:
    with pytest.raises(ImageError, match=f"wave.png: {dtype} values"):
        check_clean(CLEAN.astype(dtype), name="wave.png")


def test_a_cell_as_a_row() -> None:
    cell = measured(CLEAN)
    row = cell.as_dict()
    assert row["psnr"] == cell.psnr
    assert set(row) == {
        *("image", "sigma", "preset", "seed", "psnr", "ssim", "psnr_noisy", "ssim_noisy"),
        *("noise_std", "calibration", "coverage_68", "coverage_90", "estimated_psnr"),
        *("cpu_seconds", "wall_seconds"),
        *("training_speed", "reconstruction_speed", "refinement_speed"),
    }
