"""Coarser scales first: when, with what noise, and what is left."""

from dataclasses import replace

import numpy as np
import pytest
from filtered_noise import filtered_noise
from pictures import Array, psnr, wave

from evodenoise.config.settings import DenoiseConfig, Refinement
from evodenoise.denoising import coarse_scales
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.coarse_scales import Estimate, Finest, remove_coarse
from evodenoise.denoising.denoise import denoise
from evodenoise.denoising.result import DenoiseResult
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.scales import halve
from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.tvae.training import EpochReport

CONFIG = DenoiseConfig(epochs=16, time_limit=40.0)
SIDE = 200


def noise_of(width: float, channels: int = 1) -> NoiseEstimate:
    angles = (np.arange(FREQUENCIES) + 0.5) * np.pi / FREQUENCIES
    along = np.exp(-((width * angles) ** 2))
    spectrum = NoiseSpectrum.of(np.stack([np.outer(along, along)] * channels))
    return replace(NoiseEstimate.none(channels).of_level(2.0), spectrum=spectrum)


class Seen:
    """Returns what is given, smaller, in place of an estimate; notes what it was asked."""

    def __init__(self, clean: Array) -> None:
        self.clean, self.asked = clean, list[tuple[tuple[int, ...], float, float | None]]()

    def __call__(
        self, finest: Finest, config: DenoiseConfig, model: Checkpoint | None
    ) -> tuple[Array, Array, Checkpoint | None]:
        shape = finest.channels.values.shape
        self.asked.append((shape[1:3], finest.noise.level, config.time_limit))
        small = self.clean
        while small.shape != shape:
            small, _ = halve(small, np.zeros(small.shape[:3], bool))
        return small, finest.with_coarser(np.full(shape, 0.3)), model


def channels_of(width: float) -> tuple[DistinctChannels, Array]:
    clean = wave(SIDE, SIDE)[None, ..., None]
    noise = 2 * filtered_noise((width, width), SIDE, SIDE, seed=1)[None, ..., None]
    return DistinctChannels.of(clean + noise), clean


def test_noise_that_reaches_far_is_removed_at_the_coarsest_scale_first() -> None:
    channels, clean = channels_of(2.0)
    seen = Seen(clean)
    finest = remove_coarse(channels, CONFIG, noise_of(2.0), seen)
    assert [shape for shape, _, _ in seen.asked] == [(50, 50), (100, 100)]
    assert [limit for _, _, limit in seen.asked] == [2.5, 10.0]
    before, after = (np.std(each.values - clean) for each in (channels, finest.channels))
    assert after < 0.3 * before
    assert finest.share < 0.5
    assert finest.noise.level == pytest.approx(2.0 * finest.share)
    # Two scales, each of which may be off by 0.3.
    np.testing.assert_allclose(finest.with_coarser(np.full(clean.shape, 0.4)), 0.34**0.5)


@pytest.mark.parametrize("width", [0.2, 0.4])
def test_noise_that_does_not_is_left_to_the_patches(width: float) -> None:
    channels, clean = channels_of(width)
    finest = remove_coarse(channels, CONFIG, noise_of(width), Seen(clean))
    assert finest.channels is channels
    assert (finest.share, finest.noise.level) == (1.0, 2.0)


def test_white_noise_and_small_images_are_left_as_they_are() -> None:
    channels, _ = channels_of(2.0)
    white = NoiseEstimate.none(1).of_level(2.0)

    def never(*_: object) -> tuple[Array, Checkpoint | None]:
        raise AssertionError

    estimate: Estimate = never
    assert remove_coarse(channels, CONFIG, white, estimate).channels is channels
    small = DistinctChannels.of(channels.values[:, :80, :80])
    assert remove_coarse(small, CONFIG, noise_of(2.0), estimate).channels is small
    wide = replace(CONFIG, patch_size=120)
    assert remove_coarse(channels, wide, noise_of(2.0), estimate).channels is channels


def test_the_whole_gains_by_coarser_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    config = DenoiseConfig(
        patch_size=6,
        latents=24,
        hidden=(24,),
        states=6,
        epochs=40,
        batch_size=64,
        refinement=Refinement.GAUSSIAN,
        lattice_patches=512,
        device="cpu",
    )
    y, x = np.mgrid[:96, :96]
    clean = 60 + 120.0 * ((x // 24 + y // 32) % 2)
    noisy = clean + 20 * filtered_noise((2.0, 2.0), 96, 96, seed=3)
    known = replace(noise_of(2.0).of_level(20.0), curves=(LevelCurve.constant(20.0),))
    scales: list[int] = []
    shares: list[float] = []
    with_scales = denoise(
        noisy,
        config,
        noise=known,
        on_epoch=lambda report: scales.append(report.scale),
        on_reconstruction=shares.append,
    )
    # All epochs are told of, the coarser ones first, and one reconstruction only.
    assert set(scales) == {0, 1}
    assert scales == sorted(scales, reverse=True)
    assert shares == sorted(shares)
    _check_sibling(with_scales, clean, known, config)
    monkeypatch.setattr(coarse_scales, "MOST_SCALES", 1)
    without = denoise(noisy, config, noise=known)
    assert psnr(clean, with_scales.image) > psnr(clean, without.image) + 0.5
    assert with_scales.noise_std == pytest.approx(20)
    assert without.noise_std == pytest.approx(20)


def _check_sibling(
    first: DenoiseResult, clean: Array, known: NoiseEstimate, config: DenoiseConfig
) -> None:
    """A model of noise that reaches far brings those of coarser scales along."""
    assert first.model is not None
    kept = first.model
    assert kept.scales == 2
    sibling = clean + 20 * filtered_noise((2.0, 2.0), *clean.shape, seed=4)
    without = replace(config, epochs=0)
    trained: list[EpochReport] = []
    by_model = denoise(sibling, without, noise=known, model=kept, on_epoch=trained.append)
    assert not trained
    own = denoise(sibling, config, noise=known)
    assert psnr(clean, by_model.image) > psnr(clean, own.image) - 0.3
    alone = replace(kept, coarser=None)
    finest_only = denoise(sibling, without, noise=known, model=alone)
    assert psnr(clean, by_model.image) > psnr(clean, finest_only.image) + 0.5
