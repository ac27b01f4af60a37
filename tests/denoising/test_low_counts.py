"""Images of few photons: by way of smaller ones to better ones, and stars left alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from pictures import psnr
from scipy.ndimage import gaussian_filter

from evodenoise.config.settings import DenoiseConfig, Refinement
from evodenoise.denoising import low_counts
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.denoise import denoise, denoise_stack, train_model
from evodenoise.denoising.low_counts import Counting, choose_share, mix, smooth
from evodenoise.denoising.result import DenoiseResult
from evodenoise.errors import ImageError
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate

Array = npt.NDArray[np.float64]
CONFIG = DenoiseConfig(
    patch_size=6,
    latents=32,
    hidden=(32,),
    states=8,
    epochs=8,
    batch_size=64,
    refinement=Refinement.GAUSSIAN,
    device="cpu",
    gain=1.0,
)


def steps(side: int = 64, *, counts: float = 1.0) -> Array:
    """Make a picture of edges with so many counts at most."""
    y, x = np.mgrid[:side, :side]
    return counts * np.where((x // 16 + y // 24) % 2 == 0, 1.0, 0.2)


def stars(side: int = 96) -> Array:
    """Make points of 4 to 12 counts on a dark ground."""
    rng = np.random.default_rng(5)
    points = np.zeros((side, side))
    for y, x in rng.integers(6, side - 6, (40, 2)):
        points[y, x] = rng.uniform(16, 48)
    return 0.2 + gaussian_filter(points, 0.8)


def counted(clean: Array, *, seed: int = 0) -> Array:
    return np.random.default_rng(seed).poisson(clean).astype(float)


def counting(*, gain: float = 1.0, readout: float = 0.0, offset: float = 0.0) -> Counting:
    return Counting(np.full(1, gain), np.full(1, readout), np.full(1, offset))


def share_of(page: Array, **settings: float) -> float | None:
    return choose_share(DistinctChannels.of(page[None, ..., None]), counting(**settings))


@pytest.fixture(scope="module")
def guided_with() -> Callable[[float], DenoiseResult]:
    """Denoise edges of so many counts at most, told of photons."""
    return cache(lambda counts: denoise(counted(steps(counts=counts)), CONFIG))


# --- it helps


@pytest.mark.parametrize("counts", [0.5, 1.0])
def test_few_photons_come_out_better_than_as_they_are(
    counts: float,
    guided_with: Callable[[float], DenoiseResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clean = steps(counts=counts)
    noisy = counted(clean)
    guided = guided_with(counts)
    monkeypatch.setattr(low_counts, "MOST_SHARE", 0.0)
    plain = denoise(noisy, CONFIG)
    neighbours = max(
        psnr(clean, gaussian_filter(noisy, width), peak=counts) for width in (1.0, 2.0, 3.0)
    )
    reached = psnr(clean, guided.image, peak=counts)
    assert reached > psnr(clean, plain.image, peak=counts) + 0.5
    assert reached > neighbours + 0.5
    assert guided.model is not None
    assert guided.model.share < 1
    assert guided.noise_std == pytest.approx(np.sqrt(noisy.mean()), rel=0.1)
    # What the guide got wrong is part of the error: without it the bars were a tenth of that.
    rmse = np.sqrt(np.mean((guided.image - clean) ** 2))
    assert 0.4 * rmse < guided.estimated_rmse < 2.5 * rmse


def test_a_model_of_few_photons_serves_a_sibling() -> None:
    clean = steps(side=128)
    quick = replace(
        CONFIG, lattice_patches=1024, batch_size=512, rebuilt_every=9, settling_rounds=2
    )
    model = train_model(counted(clean)[None], quick, rng=0)
    assert (model.share < 1, model.scales) == (True, 3)
    sibling = counted(clean, seed=1)
    found = denoise(sibling, replace(quick, epochs=0, gain=None), model=model)
    own = denoise(sibling, quick)
    assert psnr(clean, found.image, peak=1) > psnr(clean, own.image, peak=1) - 1
    assert not found.history
    assert found.noise_std == pytest.approx(own.noise_std, rel=0.1)


def test_a_file_of_integers_keeps_its_type_and_units() -> None:
    """Of 100 units a photon, a black level and noise of reading out."""
    clean = 500 + 100 * steps(48)
    noisy = 500 + 100 * counted(steps(48)) + np.random.default_rng(1).normal(0, 30, (48, 48))
    config = replace(CONFIG, gain=100.0, readout=30.0, offset=500.0)
    result = denoise(noisy.round().astype(np.uint16), config)
    assert result.image.dtype == np.uint16
    assert psnr(clean, result.image, peak=100) > psnr(clean, noisy, peak=100) + 10
    assert result.noise_std == pytest.approx(np.sqrt(100 * (noisy.mean() - 500) + 900), rel=0.1)


def test_gaps_stacks_channels_and_odd_sides_take_part() -> None:
    clean = np.stack([np.stack([steps(33), steps(33, counts=2.0)], axis=-1)] * 2)
    noisy = counted(clean)
    noisy[0, 10:14, 10:14] = np.nan
    hidden = np.zeros(clean.shape[:3], bool)
    hidden[1, :3] = True
    result = denoise_stack(noisy, CONFIG, missing=hidden)
    assert result.image.shape == clean.shape
    assert np.isfinite(result.image).all()
    assert psnr(clean, result.image) > psnr(clean, np.nan_to_num(noisy, nan=1.0)) + 8


def test_nothing_seen_is_refused_and_nothing_lit_comes_back() -> None:
    with pytest.raises(ImageError, match="every pixel is missing"):
        denoise(np.full((48, 48), np.nan), CONFIG)
    np.testing.assert_array_equal(denoise(np.zeros((48, 48)), CONFIG).image, 0)


# --- when


def test_the_share_makes_photons_enough() -> None:
    for counts in (0.5, 1.0, 2.0):
        share = share_of(counted(np.full((400, 400), counts)))
        assert share is not None
        assert counts / share**2 == pytest.approx(low_counts.ENOUGH_COUNTS, rel=0.05)


def test_the_share_does_not_depend_on_units_and_black_level() -> None:
    pages = counted(steps(96))
    assert share_of(7 * pages + 90, gain=7.0, offset=90.0) == pytest.approx(share_of(pages))


def test_enough_photons_or_noise_of_reading_out_are_left_as_they_are() -> None:
    assert share_of(counted(steps(counts=20.0))) is None
    read = counted(steps()) + np.random.default_rng(1).normal(0, 4, (64, 64))
    assert share_of(read, readout=4.0) is None


def test_only_noise_of_photons_is_counted() -> None:
    photons = LevelCurve.of_photons(2.0, 1.0, 5.0)
    none = NoiseEstimate.none(1)
    assert Counting.of(none) is None
    assert Counting.of(replace(none, curves=(LevelCurve.constant(1.0),))) is None
    told = Counting.of(replace(none, curves=(photons,)))
    assert told is not None
    np.testing.assert_array_equal(told.counts(np.array([[5.0], [9.0]])), [[0], [2]])


def test_few_photons_are_known_untold(guided_with: Callable[[float], DenoiseResult]) -> None:
    clean = steps(counts=1.0)
    told, untold = guided_with(1.0), denoise(counted(clean), replace(CONFIG, gain=None))
    assert untold.noise_estimate.photons is not None
    assert psnr(clean, untold.image, peak=1) > psnr(clean, told.image, peak=1) - 1


def test_stars_are_not_dimmed() -> None:
    """Faint ones are in the mixture only to a share of a tenth or two."""
    noisy = counted(stars())
    assert share_of(noisy) is None
    blurred = counted(gaussian_filter(stars(), 3))
    assert share_of(blurred) is not None


# --- how


def test_averages_are_as_wide_as_is_best() -> None:
    """By an estimate that does not know the picture, within half a decibel."""
    y, x = np.mgrid[:96, :96]
    for period in (1.5, 4.0, 20.0):
        clean = 3 + 2 * np.sin(x / period) * np.cos(y / period)
        noisy = counted(clean)
        of_all = (gaussian_filter(noisy, width, mode="reflect") for width in low_counts.WIDTHS)
        best = max(psnr(clean, average, peak=5) for average in of_all)
        chosen = smooth(noisy[None, ..., None], counting())[0][0, ..., 0]
        assert psnr(clean, chosen, peak=5) > best - 0.5


def test_the_mixture_is_affine_but_where_something_bright_is_new() -> None:
    guide = np.full((1, 20, 20, 1), 2.0)
    noisy = counted(guide)
    noisy[0, 10, 10], noisy[0, 3, 3] = 40.0, np.nan
    mixed = mix(DistinctChannels.of(noisy), guide, 0.3, counting())
    near = np.zeros((1, 20, 20, 1), bool)
    near[0, 8:13, 8:13] = True
    expected = np.where(np.isnan(noisy), guide, 0.3 * noisy + 0.7 * guide)
    np.testing.assert_allclose(mixed[near], noisy[near])
    np.testing.assert_allclose(mixed[~near], expected[~near])
