"""Stacks are denoised page by page."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pictures import add_noise, wave

from evodenoise import DenoiseConfig
from evodenoise.config.settings import Refinement
from evodenoise.denoising import denoise as pipeline
from evodenoise.denoising.pages import denoise_pages
from evodenoise.errors import ImageError

QUICK = DenoiseConfig(
    epochs=1, latents=16, hidden=(16,), states=4, device="cpu", refinement=Refinement.NONE
)
PAGES = np.stack([add_noise(wave(16, 18), seed=seed) for seed in range(3)])


def test_each_page_as_if_alone() -> None:
    seen: list[int] = []
    result = denoise_pages(PAGES, QUICK, rng=1, on_page=seen.append)
    assert seen == [1, 2, 3]
    assert len(result.history) == 3
    for page, noisy in zip(result.image, PAGES, strict=True):
        np.testing.assert_array_equal(page, pipeline.denoise(noisy, QUICK, rng=1).image)
    assert result.std.shape == PAGES.shape


def test_each_page_has_gaps_of_its_own() -> None:
    missing = np.zeros(PAGES.shape, bool)
    missing[1, 4:6, 4:6] = True
    result = denoise_pages(np.where(missing, 1e6, PAGES), QUICK, missing=missing, rng=1)
    assert np.abs(result.image).max() < 1e3
    alone = pipeline.denoise(PAGES[0], QUICK, rng=1)
    np.testing.assert_array_equal(result.image[0], alone.image)


def test_the_time_limit_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    constant = pipeline.denoise(np.zeros((8, 8)), QUICK)

    def denoise(page: np.ndarray, config: DenoiseConfig, **_: Any) -> pipeline.DenoiseResult:
        assert config.time_limit is not None
        limits.append(config.time_limit)
        return replace(constant, image=page, std=page)

    monkeypatch.setattr(pipeline, "denoise", denoise)
    denoise_pages(PAGES, replace(QUICK, time_limit=900.0))
    # The pages take no time here, so the later ones may take more of what is left.
    assert limits[0] == pytest.approx(300, rel=0.01)
    assert limits[2] == pytest.approx(900, rel=0.01)


def test_a_page_without_noise_among_others() -> None:
    pages = PAGES.copy()
    pages[2] = 7.0
    result = denoise_pages(pages, QUICK, rng=1)
    alone = [pipeline.denoise(page, QUICK, rng=1) for page in pages]
    assert result.free_energy == pytest.approx((alone[0].free_energy + alone[1].free_energy) / 2)
    assert result.patch_size == alone[0].patch_size == alone[1].patch_size
    assert result.model is None
    np.testing.assert_array_equal(result.image[2], pages[2])
    squares = alone[0].noise_std ** 2 + alone[1].noise_std ** 2
    assert result.noise_std == pytest.approx(np.sqrt(squares / 3))
    assert denoise_pages(pages[2:], QUICK).patch_size is None
    assert np.isnan(denoise_pages(pages[2:], QUICK).free_energy)


def test_pages_whose_patches_differ_in_size_have_none_in_common() -> None:
    pages = np.stack([add_noise(wave(32, 32), std) for std in (5, 150)])
    alone = {pipeline.denoise(page, QUICK).patch_size for page in pages}
    assert len(alone) == 2
    assert denoise_pages(pages, QUICK).patch_size is None


def test_masks_are_those_of_the_library() -> None:
    missing = np.zeros(PAGES.shape, bool)
    missing[1, 4:6, 4:6] = True
    expected = denoise_pages(PAGES, QUICK, missing=missing)
    numbers = denoise_pages(PAGES, QUICK, missing=missing.astype(np.uint8) * 255)
    np.testing.assert_array_equal(numbers.image, expected.image)
    with pytest.raises(ImageError, match=r"missing: shape \(3, 4\).* \(3, 16, 18\)"):
        denoise_pages(PAGES, QUICK, missing=np.zeros((3, 4)))
