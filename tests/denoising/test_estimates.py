"""Estimates of what will come of it, while an image is denoised: nothing depends on them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pictures import add_noise, as_dtype, psnr, wave
from small_tiles import SIZES

from evodenoise import DenoiseConfig, denoise, denoise_stack, preset_config
from evodenoise.config.settings import Refinement
from evodenoise.denoising import tiles
from evodenoise.denoising.pages import denoise_pages

QUICK = DenoiseConfig(
    epochs=4, latents=32, hidden=(32,), states=4, device="cpu", refinement=Refinement.GAUSSIAN
)
CLEAN = wave(32, 36)
NOISY = as_dtype(add_noise(CLEAN), "uint8")


class Watch:
    """Keep all estimates."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray[Any, Any]] = []

    def __call__(self, look: Callable[[], np.ndarray[Any, Any]]) -> None:
        self.seen.append(look())


def test_the_result_does_not_depend_on_it() -> None:
    watch = Watch()
    watched = denoise(NOISY, QUICK, rng=3, on_estimate=watch)
    alone = denoise(NOISY, QUICK, rng=3)
    assert watch.seen
    np.testing.assert_array_equal(watched.image, alone.image)
    np.testing.assert_array_equal(watched.std, alone.std)
    told = [[replace(report, seconds=0.0) for report in each.history] for each in (watched, alone)]
    assert told[0] == told[1]


def test_estimates_are_like_the_image_and_less_noisy() -> None:
    watch = Watch()
    config = replace(preset_config("fast", NOISY.shape), device="cpu")
    denoise(NOISY, config, rng=3, on_estimate=watch)
    # After each epoch but the last, and after the reconstruction.
    assert len(watch.seen) == config.epochs
    assert {(each.shape, each.dtype) for each in watch.seen} == {(NOISY.shape, NOISY.dtype)}
    assert psnr(CLEAN, watch.seen[-1]) > psnr(CLEAN, NOISY) + 3
    assert psnr(CLEAN, watch.seen[-1]) > psnr(CLEAN, watch.seen[0])


def test_nothing_is_computed_unless_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    from evodenoise.denoising.denoiser import Denoiser

    def forbidden(*_: object) -> None:
        raise AssertionError("computed")

    looks: list[object] = []
    monkeypatch.setattr(Denoiser, "_look", forbidden)
    denoise(NOISY, QUICK, on_estimate=looks.append)
    assert len(looks) == QUICK.epochs


def test_an_exception_ends_the_call() -> None:
    class EnoughError(Exception):
        pass

    def stop(_: object) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        denoise(NOISY, QUICK, on_estimate=stop)


def test_colours_gaps_and_pages() -> None:
    watch, colour = Watch(), add_noise(wave(20, 22, channels=3))
    colour[4:6, 4:6] = np.nan
    denoise(colour, replace(QUICK, epochs=2), on_estimate=watch)
    assert all(each.shape == colour.shape and np.isfinite(each).all() for each in watch.seen)
    stack = np.stack([NOISY, NOISY[::-1]])
    joint, single = Watch(), Watch()
    denoise_stack(stack, replace(QUICK, epochs=2), on_estimate=joint)
    assert {each.shape for each in joint.seen} == {stack.shape}
    denoise_pages(stack, replace(QUICK, epochs=2), on_estimate=single)
    assert [each.shape for each in single.seen] == [NOISY.shape] * 4


def test_of_few_photons_half_the_size_is_shown_first() -> None:
    rng, clean = np.random.default_rng(0), wave(72, 70) / 100
    watch = Watch()
    denoise(rng.poisson(clean), replace(QUICK, epochs=2, gain=1.0), on_estimate=watch)
    assert len(watch.seen) > 2
    assert {each.shape for each in watch.seen} == {clean.shape}


def test_of_large_images_the_tiles_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SIZES.items():
        monkeypatch.setattr(tiles, name, value)
    watch, noisy = Watch(), add_noise(wave(80, 120))
    config = replace(QUICK, epochs=1, settling_rounds=1, refinement=Refinement.NONE)
    result = denoise(noisy, config, on_estimate=watch)
    assert len(watch.seen) == 6
    np.testing.assert_array_equal(watch.seen[-1], result.image)
    changed = [float((each != noisy).mean()) for each in watch.seen]
    assert changed == sorted(changed)
    assert changed[0] < 0.5
