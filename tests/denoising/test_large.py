"""Large images, in tiles: without a seam, and in all else as other images are."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pictures import add_noise, psnr, wave

from evodenoise.config.settings import DenoiseConfig, Refinement
from evodenoise.denoising import tiles
from evodenoise.denoising.denoise import denoise, denoise_stack, train_model
from evodenoise.denoising.noise_level import estimate_noise
from evodenoise.denoising.recipe import DenoisedTile
from evodenoise.denoising.tile_queue import TileQueue, threads_of_a_tile
from evodenoise.errors import ConfigError
from evodenoise.system.threads import limited
from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[np.float64]
CONFIG = DenoiseConfig(
    patch_size=6,
    latents=32,
    hidden=(32,),
    states=6,
    epochs=12,
    lattice_patches=1024,
    lattices=2,
    rebuilt_every=9,
    group_step=6,
    settling_rounds=2,
    batch_size=512,
    gradient_batch_size=128,
    refinement=Refinement.GAUSSIAN,
    device="cpu",
)
SIDE, TILE = 150, 60
CLEAN = wave(SIDE, SIDE)
NOISY = add_noise(CLEAN, 20)


@pytest.fixture(autouse=True, scope="module")
def _small_tiles() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "MOST_AT_ONCE", 12_000)
        patch.setattr(tiles, "TILE_SIDE", TILE)
        patch.setattr(tiles, "WINDOW_SIDE", 64)
        patch.setattr(tiles, "WINDOWS", 6)
        yield


class Seen:
    """A result, and what was told on the way to it."""

    def __init__(self) -> None:
        self.epochs, self.rebuilt, self.refined = list[EpochReport](), list[float](), list[float]()
        self.result = denoise(
            NOISY,
            CONFIG,
            on_epoch=self.epochs.append,
            on_reconstruction=self.rebuilt.append,
            on_refinement=self.refined.append,
        )


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Denoise in tiles, with the usual seed, 0."""
    return Seen()


@pytest.fixture(scope="module")
def whole() -> Callable[[int], Array]:
    """Denoise as a whole, with a seed."""

    @cache
    def run(seed: int) -> Array:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiles, "MOST_AT_ONCE", 10**9)
            return denoise(NOISY, CONFIG, rng=seed).image

    return run


def test_it_is_as_good_as_the_whole(seen: Seen, whole: Callable[[int], Array]) -> None:
    result = seen.result
    assert result.image.shape == result.std.shape == NOISY.shape
    assert psnr(CLEAN, result.image) > psnr(CLEAN, whole(0)) - 0.3
    assert result.noise_std == pytest.approx(20, rel=0.05)
    assert result.noise_estimate.level == pytest.approx(20, rel=0.05)
    assert np.isfinite(result.free_energy)
    assert result.model is not None
    assert result.patch_size == 6
    assert 0.3 < result.std.mean() / np.sqrt(np.mean((result.image - CLEAN) ** 2)) < 3


def test_there_is_no_seam(seen: Seen, whole: Callable[[int], Array]) -> None:
    """Where tiles meet, it is as near to the whole as elsewhere, and as the whole to itself."""
    edges = [SIDE * part // 3 for part in (1, 2)]
    near = np.zeros((SIDE, SIDE), bool)
    for edge in edges:
        near[edge - 2 : edge + 2] = near[:, edge - 2 : edge + 2] = True
    tiled, one, other = seen.result.image, whole(0), whole(1)
    difference = np.abs(tiled - one)
    assert difference[near].mean() < 1.15 * difference[~near].mean()
    assert difference[near].mean() < 1.5 * np.abs(one - other)[near].mean()
    for edge in edges:  # no step that the whole does not have
        steps = [np.abs(np.diff(each - CLEAN, axis=0))[edge - 1].mean() for each in (tiled, one)]
        assert steps[0] < 1.5 * steps[1]


def test_a_seed_repeats_and_another_does_not(seen: Seen) -> None:
    again, other = (denoise(NOISY, CONFIG, rng=seed).image for seed in (0, 1))
    np.testing.assert_array_equal(seen.result.image, again)
    assert (again != other).any()


def test_tiles_side_by_side_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is not: its mini-batches see another decoder."""
    monkeypatch.setattr(tiles, "MOST_AT_ONCE", 5_000)
    noisy = NOISY[:110, :120]
    model = train_model(noisy[None, :64, :64], CONFIG, rng=0)
    shares: list[float] = []
    results = []
    for count in (1, 3):
        with limited(count):
            results.append(
                denoise(
                    noisy, replace(CONFIG, epochs=0), model=model, on_reconstruction=shares.append
                )
            )
    np.testing.assert_array_equal(results[0].image, results[1].image)
    assert shares[-1] == pytest.approx(1)


def test_the_input_stays_and_its_type_is_kept() -> None:
    noisy = NOISY.clip(0, 255).round().astype(np.uint8)
    before = noisy.copy()
    result = denoise(noisy, CONFIG)
    assert result.image.dtype == np.uint8
    np.testing.assert_array_equal(noisy, before)


def test_progress_is_that_of_all_tiles(seen: Seen) -> None:
    for shares in (seen.rebuilt, seen.refined):
        assert shares == sorted(shares)
        assert shares[0] == 0
        assert min(share for share in shares if share) <= 0.12
        assert shares[-1] == pytest.approx(1)
    assert len(seen.epochs) == CONFIG.epochs


def test_tiles_may_be_done_anywhere_and_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "MOST_AT_ONCE", 5_000)
    numbers = []

    def backwards(queue: TileQueue) -> Iterator[tuple[int, DenoisedTile]]:
        sent = [pickle.dumps((queue.take(), queue.recipe)) for _ in queue.tiles]
        assert queue.take() is None
        for call, recipe in map(pickle.loads, reversed(sent)):
            numbers.append(call.number)
            with limited(threads_of_a_tile(torch.get_num_threads())):
                done = call.carry_out(recipe)
            yield call.number, done

    noisy = NOISY[:100, :80].copy()
    noisy[20:30, 20:30] = np.nan
    here, there = denoise(noisy, CONFIG), denoise(noisy, CONFIG, map_tiles=backwards)
    assert numbers == [3, 2, 1, 0]
    np.testing.assert_array_equal(there.image, here.image)
    np.testing.assert_array_equal(there.std, here.std)
    assert (there.free_energy, there.noise_std) == (here.free_energy, here.noise_std)
    assert there.reconstruction_seconds > 0


def test_colour_with_a_constant_channel_and_two_equal_ones() -> None:
    clean = wave(120, 110, channels=2)
    noisy = add_noise(clean, 15)
    padded = np.stack([noisy[..., 0], noisy[..., 1], noisy[..., 0], np.full((120, 110), 7.0)], -1)
    found = denoise(padded, CONFIG).image
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    assert (found[..., 3] == 7).all()
    assert psnr(clean, found[..., :2]) > psnr(clean, noisy) + 5


def test_gaps_are_filled_even_where_a_tile_is_nothing_but_gaps() -> None:
    noisy = NOISY.copy()
    noisy[:TILE, :TILE] = np.nan
    missing = np.random.default_rng(0).random(noisy.shape) < 0.1
    result = denoise(noisy, CONFIG, missing=missing)
    assert np.isfinite(result.image).all()
    assert psnr(CLEAN[TILE:], result.image[TILE:]) > psnr(CLEAN, NOISY) + 3.5


def test_an_image_without_noise_comes_back() -> None:
    blocks = np.kron(np.arange(100.0).reshape(10, 10) ** 2, np.ones((20, 20)))
    result = denoise(blocks, CONFIG)
    np.testing.assert_array_equal(result.image, blocks)
    assert result.noise_std == 0
    assert (denoise(np.full((200, 150), 3.0), CONFIG).image == 3).all()


def test_impulses_are_found_in_every_tile() -> None:
    noisy = CLEAN + np.random.default_rng(0).normal(0, 3, CLEAN.shape)
    places = np.random.default_rng(1).integers(4, SIDE - 4, (2, 40))
    noisy[tuple(places)] = 600.0
    result = denoise(noisy, CONFIG)
    assert result.impulses == pytest.approx(40, abs=4)
    assert np.abs(result.image - CLEAN)[tuple(places)].mean() < 10


def test_a_level_that_is_given_counts_in_every_tile() -> None:
    gentle, strong = (denoise(NOISY, replace(CONFIG, noise_std=level)) for level in (2.0, 20.0))
    assert gentle.noise_std == 2
    assert psnr(NOISY, gentle.image) > psnr(NOISY, strong.image) + 5
    with pytest.raises(ConfigError, match="more than the image varies in all"):
        denoise(NOISY, replace(CONFIG, noise_std=900.0))


def test_a_model_that_is_brought_is_not_trained() -> None:
    model = train_model(add_noise(CLEAN, 20, seed=5)[None, :100, :100], CONFIG, rng=0)
    trained: list[EpochReport] = []
    result = denoise(NOISY, replace(CONFIG, epochs=0), model=model, on_epoch=trained.append)
    assert not trained
    assert psnr(CLEAN, result.image) > psnr(CLEAN, NOISY) + 5
    further = denoise(NOISY, replace(CONFIG, epochs=2), model=model, on_epoch=trained.append)
    assert len(trained) == 2
    assert further.model is not model
    with pytest.raises(ConfigError, match="brings along what noise"):
        denoise(NOISY, replace(CONFIG, epochs=0, gain=1.0), model=model)


def test_a_stack_of_many_pages() -> None:
    clean = np.stack([wave(60, 80)] * 8)
    noisy = add_noise(clean, 20)
    result = denoise_stack(noisy, CONFIG)
    assert result.image.shape == noisy.shape
    for page in range(8):
        assert psnr(clean[page], result.image[page]) > psnr(clean[page], noisy[page]) + 5


def test_a_time_limit_still_gives_a_picture() -> None:
    result = denoise(NOISY, replace(CONFIG, epochs=1000, time_limit=1.5))
    assert len(result.history) < 1000
    assert psnr(CLEAN, result.image) > psnr(CLEAN, NOISY) + 3


def test_what_is_read_of_the_noise_is_what_denoising_takes(seen: Seen) -> None:
    read, used = estimate_noise(NOISY), seen.result.noise_estimate
    assert read == used
    assert read.level == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("counts", [0.5, 30.0])
def test_photons(counts: float) -> None:
    clean = counts * (CLEAN / 255 + 0.1)
    noisy = np.random.default_rng(0).poisson(clean).astype(float)
    config = replace(CONFIG, gain=1.0)
    result = denoise(noisy, config)
    assert psnr(clean, result.image, peak=counts) > psnr(clean, noisy, peak=counts) + 3
    assert result.model is not None
    assert (result.model.share < 1) == (counts < 1)
