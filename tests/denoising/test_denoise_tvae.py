"""The call in scikit-image's conventions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pictures import add_noise, wave
from skimage.util import img_as_float

from evodenoise import denoise, denoise_tvae, preset_config, train_model
from evodenoise.errors import EvodenoiseError, ImageError
from evodenoise.tvae.training import EpochReport

CLEAN = wave(24, 20) / 255
NOISY = add_noise(wave(24, 20), 20) / 255


def test_it_is_the_denoiser_that_we_have() -> None:
    denoised = denoise_tvae(NOISY, preset="fast")
    assert denoised.dtype == np.float64
    np.testing.assert_array_equal(denoised, denoise(NOISY, "fast").image)
    assert np.std(denoised - CLEAN) < np.std(NOISY - CLEAN) / 2


def test_what_is_known_is_used() -> None:
    told = replace(preset_config("fast", NOISY.shape), noise_std=0.02)
    np.testing.assert_array_equal(
        denoise_tvae(NOISY, preset="fast", sigma=0.02, rng=3), denoise(NOISY, told, rng=3).image
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_become_floats_as_in_scikit_image(dtype: str) -> None:
    whole = (NOISY.clip(0, 1) * np.iinfo(dtype).max).round().astype(dtype)
    denoised = denoise_tvae(whole, preset="fast")
    np.testing.assert_array_equal(denoised, denoise_tvae(img_as_float(whole), preset="fast"))
    assert np.abs(denoised - CLEAN).mean() < 0.05


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_single_precision_stays(dtype: str) -> None:
    assert denoise_tvae(NOISY.astype(dtype), preset="fast").dtype == np.float32


def test_channels_may_lie_anywhere() -> None:
    noisy = add_noise(wave(16, 14, channels=3), 20) / 255
    expected = denoise(noisy, "fast").image
    for axis in (0, 1, 2, -1, -3):
        denoised = denoise_tvae(np.moveaxis(noisy, -1, axis), channel_axis=axis, preset="fast")
        np.testing.assert_array_equal(np.moveaxis(denoised, axis, -1), expected)


def test_a_mask_says_what_is_missing() -> None:
    mask = np.zeros(NOISY.shape, bool)
    mask[10:13, 8:12] = True
    spoilt = np.where(mask, 7.0, NOISY)
    denoised = denoise_tvae(spoilt, mask=mask, preset="fast")
    assert np.abs(denoised - CLEAN)[mask].max() < 0.5


def test_a_model_serves_siblings_without_training() -> None:
    model = train_model(NOISY[None], preset_config("fast", NOISY.shape))
    reports: list[EpochReport] = []
    denoised = denoise_tvae(NOISY, model=model, callback=reports.append)
    assert reports == []
    assert np.std(denoised - CLEAN) < np.std(NOISY - CLEAN) / 2


def test_a_callback_may_stop_the_training_or_interrupt_it() -> None:
    reports: list[EpochReport] = []

    def stop(report: EpochReport) -> bool:
        reports.append(report)
        return len(reports) == 2

    def interrupt(_: EpochReport) -> bool:
        raise KeyboardInterrupt

    before = NOISY.copy()
    assert np.isfinite(denoise_tvae(NOISY, preset="fast", callback=stop)).all()
    assert len(reports) == 2
    with pytest.raises(KeyboardInterrupt):
        denoise_tvae(NOISY, preset="fast", callback=interrupt)
    np.testing.assert_array_equal(NOISY, before)


@pytest.mark.parametrize(
    ("image", "options", "said"),
    [
        (np.zeros((8, 8, 3)), {}, "channel_axis"),
        (np.zeros((8, 8)), {"channel_axis": 2}, "channel_axis is 2"),
        (np.zeros((8, 8)), {"channel_axis": -1}, "has 2 axes, not 3"),
        (np.zeros((8, 8), complex), {}, "complex128"),
        (np.zeros((8, 8)), {"preset": "slow"}, "unknown"),
        (np.zeros((8, 8)), {"sigma": -1.0}, "noise"),
    ],
)
def test_what_is_wrong_is_said(image: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(EvodenoiseError, match=said):
        denoise_tvae(image, **options)
    with pytest.raises(ImageError):
        denoise_tvae(np.full((8, 8), np.inf))
