"""Arrays in, arrays out: what denoising does for an image, and what it leaves alone."""

import doctest
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pictures import Array, add_noise, as_dtype, psnr, wave

from evodenoise.config.presets import preset_config
from evodenoise.config.settings import (
    Covariance,
    DenoiseConfig,
    EvolutionConfig,
    LearningRateConfig,
    Mutation,
    Refinement,
)
from evodenoise.denoising import denoise as pipeline
from evodenoise.denoising.checks import check_image
from evodenoise.denoising.denoise import denoise, denoise_stack
from evodenoise.denoising.pages import denoise_pages
from evodenoise.errors import ConfigError, DeviceError, ImageError, InvalidInputError, TrainingError
from evodenoise.tvae.training import EpochReport

QUICK = DenoiseConfig(
    patch_size=5,
    rebuilt_every=1,
    latents=16,
    hidden=(16,),
    states=4,
    epochs=2,
    batch_size=128,
    device="cpu",
    refinement=Refinement.NONE,
)
GOOD = DenoiseConfig(
    patch_size=6, latents=32, hidden=(32,), states=8, epochs=6, batch_size=32, device="cpu"
)
NOISE_STD = 25.0
SMALL = add_noise(wave(16, 16), NOISE_STD)


# --- it removes noise


@pytest.mark.parametrize(
    ("dtype", "channels", "unit"),
    [
        ("uint8", None, 1.0),
        ("uint8", 3, 1.0),
        ("uint16", 3, 256.0),
        ("float32", 3, -1 / 255),
        # Far from any range that one might clip or rescale to.
        ("float32", None, 1e6),
        ("float64", None, 1e-6),
    ],
)
def test_noise_is_removed(dtype: str, channels: int | None, unit: float) -> None:
    """By 8 dB or more on a smooth source; and the noise level is found, in pixel units."""
    clean = wave(32, 32, channels=channels)
    noisy = as_dtype(add_noise(clean, NOISE_STD) * unit, dtype)
    result = denoise(noisy, GOOD)
    peak = 255 * abs(unit)
    gain = psnr(clean * unit, result.image, peak=peak) - psnr(clean * unit, noisy, peak=peak)
    assert gain > 8
    assert result.noise_std == pytest.approx(NOISE_STD * abs(unit), rel=0.15, abs=0)


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_white_stays_white_in_64_bits(dtype: str) -> None:
    """It used to be rounded up, beyond the range, and come back as black."""
    white = np.iinfo(dtype).max
    assert (denoise(np.full((12, 10), white, dtype), QUICK).image == white).all()


@pytest.mark.parametrize("shape", [(4, 4), (4, 30), (30, 5), (9, 8, 1), (8, 9, 2), (8, 8, 4)])
def test_unusual_shapes(shape: tuple[int, ...]) -> None:
    noisy = np.random.default_rng(0).normal(100.0, 5.0, shape)
    result = denoise(noisy, DenoiseConfig(latents=16, hidden=(16,), states=4, epochs=1))
    assert result.image.shape == shape
    assert np.isfinite(result.image).all()
    assert result.patch_size == min(8, *shape[:2])


@pytest.mark.parametrize(
    "dtype",
    [
        *("uint8", "uint16", "float32", "float64"),
        *("int16", "int32", "int64", "uint64", "float16", ">f4", ">u2"),
    ],
)
@pytest.mark.parametrize("channels", [None, 3])
def test_type_and_shape_are_kept_and_the_input_too(dtype: str, channels: int | None) -> None:
    noisy = as_dtype(add_noise(wave(12, 10, channels=channels)), dtype)
    before = noisy.copy()
    result = denoise(noisy, QUICK)
    assert (result.image.dtype, result.image.shape) == (noisy.dtype, noisy.shape)
    np.testing.assert_array_equal(noisy, before)
    assert not np.shares_memory(result.image, noisy)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_integers_are_rounded_and_clipped_and_nothing_else(dtype: str) -> None:
    """A learning rate that is far too high makes estimates that need clipping."""
    limits = np.iinfo(dtype)
    noisy = as_dtype(np.where(wave(24, 24) > 128, limits.max, limits.min), dtype)
    rate = LearningRateConfig(minimum=0.2, maximum=0.2)
    config = replace(QUICK, learning_rate=rate, noise_std=20.0)
    exact = denoise(noisy.astype(np.float64), config).image
    assert exact.max() > limits.max or exact.min() < limits.min
    expected = exact.round().clip(limits.min, limits.max)
    np.testing.assert_array_equal(denoise(noisy, config).image, expected)


@pytest.mark.parametrize("view", ["transposed", "cut out", "read-only", "Fortran"])
def test_memory_layout_does_not_matter(view: str) -> None:
    larger = add_noise(wave(32, 32), NOISE_STD)
    noisy = {
        "transposed": larger[:16, :16].T,
        "cut out": larger[::2, 1::2],
        "read-only": larger[:16, :16].copy(),
        "Fortran": np.asfortranarray(larger[:16, :16]),
    }[view]
    noisy.flags.writeable = view != "read-only"
    plain = denoise(np.ascontiguousarray(noisy), QUICK).image
    np.testing.assert_allclose(denoise(noisy, QUICK).image, plain, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("value", [0, 0.1, 200])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_constant_image_comes_back(dtype: str, value: float, channels: tuple[int, ...]) -> None:
    image = np.full((31, 17, *channels), value).astype(dtype)
    result = denoise(image, QUICK)
    np.testing.assert_array_equal(result.image, image)
    assert result.image.dtype == image.dtype
    assert not np.shares_memory(result.image, image)
    assert result.noise_std == 0
    assert result.history == ()
    assert math.isnan(result.free_energy)


# --- units


@pytest.mark.parametrize("exponent", [20, -20])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_scales_with_the_image(dtype: str, exponent: int) -> None:
    """To the last bit for a power of two, which changes no mantissa."""
    noisy, unit = SMALL.astype(dtype), 2.0**exponent
    result, scaled = denoise(noisy, QUICK), denoise((noisy * unit).astype(dtype), QUICK)
    np.testing.assert_array_equal(scaled.image, result.image * unit)
    assert scaled.noise_std == result.noise_std * unit
    pixels = result.patch_size**2
    for report, other in zip(result.history, scaled.history, strict=True):
        assert other.noise_std == report.noise_std * unit
        # A density per unit becomes one per 2^k units.
        expected = report.free_energy - pixels * math.log(unit)
        assert other.free_energy == pytest.approx(expected, rel=1e-9)


def test_the_result_tells_what_the_last_epoch_did() -> None:
    result = denoise(SMALL, QUICK)
    assert [report.epoch for report in result.history] == [1, 2]
    assert [report.progress for report in result.history] == [0.5, 1.0]
    assert result.noise_std == pytest.approx(result.history[-1].noise_std)
    assert result.noise_std == result.noise_estimate.std
    assert (result.patch_size, result.device) == (5, "cpu")
    assert result.stop_reason == result.history[-1].stop_reason == "epochs"
    assert result.training_seconds > sum(report.seconds for report in result.history) > 0
    assert result.reconstruction_seconds > 0
    assert result.refinement_seconds > 0


def test_free_energy_rises() -> None:
    history = denoise(add_noise(wave(32, 32), NOISE_STD), GOOD).history
    assert history[-1].free_energy > history[0].free_energy
    assert history[-1].noise_std < history[0].noise_std


# --- randomness


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: seed,
        lambda seed: torch.Generator().manual_seed(seed),
        lambda seed: np.random.default_rng(seed),
    ],
    ids=["int", "torch", "numpy"],
)
def test_same_seed_same_bits_other_seed_other_result(make: Any) -> None:
    first, second, third = (denoise(SMALL, QUICK, rng=make(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.image, second.image)
    assert first.noise_std == second.noise_std
    assert (first.image != third.image).any()


def test_without_a_seed_results_repeat() -> None:
    np.testing.assert_array_equal(denoise(SMALL, QUICK).image, denoise(SMALL, QUICK, rng=0).image)


def test_a_generator_moves_on() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (denoise(SMALL, QUICK, rng=generator).image for _ in range(2))
    assert (first != second).any()


def test_global_randomness_is_left_alone() -> None:
    before = torch.get_rng_state()
    denoise(SMALL, QUICK)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_randomness_has_no_influence() -> None:
    images = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        images.append(denoise(SMALL, QUICK).image)
    np.testing.assert_array_equal(*images)


# --- following and stopping


def test_every_epoch_is_reported() -> None:
    reports: list[EpochReport] = []
    result = denoise(SMALL, QUICK, on_epoch=reports.append)
    assert tuple(reports) == result.history


def test_training_stops_when_asked() -> None:
    seen: list[int] = []

    def stop_after_two(report: EpochReport) -> bool:
        seen.append(report.epoch)
        return report.epoch == 2

    config = DenoiseConfig(latents=16, hidden=(16,), states=4, epochs=1000, device="cpu")
    result = denoise(SMALL, config, on_epoch=stop_after_two)
    assert seen == [1, 2]
    assert len(result.history) == 2
    assert result.stop_reason == "stopped"
    assert np.isfinite(result.image).all()


def test_the_share_of_the_reconstruction_is_told() -> None:
    shares: list[float] = []
    denoise(SMALL, QUICK, on_reconstruction=shares.append)  # 144 patches, batches of 128
    assert shares == [0.0, 128 / 144, 1.0]


def test_a_time_limit_ends_a_run_that_would_take_days() -> None:
    # Large enough not to converge before.
    noisy = add_noise(wave(48, 48), NOISE_STD)
    result = denoise(noisy, replace(QUICK, latents=64, epochs=10**6, time_limit=1.0))
    assert result.stop_reason == "time limit"
    assert 1 <= len(result.history) < 10**6
    assert result.history[-1].progress == 1.0
    assert result.image.shape == noisy.shape
    assert np.isfinite(result.image).all()


def test_a_time_limit_that_is_not_needed_changes_nothing() -> None:
    expected = denoise(SMALL, QUICK)
    result = denoise(SMALL, replace(QUICK, time_limit=1e6))
    # The clock moves the learning rate forward by a few millionths.
    np.testing.assert_allclose(result.image, expected.image, rtol=1e-5)
    assert result.stop_reason == "epochs"


def test_a_time_limit_that_has_passed_still_gives_a_picture() -> None:
    result = denoise(SMALL, replace(QUICK, epochs=10**6, time_limit=1e-9))
    assert result.stop_reason == "time limit"
    assert len(result.history) == 1
    assert np.isfinite(result.image).all()


def test_training_stops_when_there_is_nothing_left_to_learn() -> None:
    """One latent for black and white: all codes are kept, and the weights soon stand still."""
    bright = np.arange(32) // 8 % 2 * 200.0
    noisy = add_noise(np.tile(bright, (8, 1)), 1.0)
    config = DenoiseConfig(
        latents=2,
        hidden=(4,),
        states=4,
        patch_size=4,
        epochs=2000,
        batch_size=1024,
        gradient_batch_size=4096,
        learning_rate=LearningRateConfig(minimum=1e-7, maximum=1e-6),
        device="cpu",
    )
    result = denoise(noisy, config)
    assert result.stop_reason == "converged"
    assert len(result.history) < 2000


# --- parts of the patches


def test_training_on_a_few_sub_lattices_is_enough() -> None:
    """An epoch visits a quarter of the patches; all of them are reconstructed."""
    clean = wave(40, 40)
    noisy = add_noise(clean, NOISE_STD)
    result = denoise(noisy, replace(GOOD, epochs=20, lattice_patches=320, lattices=3))
    assert {report.patches for report in result.history} <= {17 * 17, 17 * 18, 18 * 18}
    assert psnr(clean, result.image) > psnr(clean, noisy) + 8


@pytest.mark.parametrize("lattice_patches", [1, 10, None])
@pytest.mark.parametrize("lattices", [1, 3, 1000])
def test_any_number_of_sub_lattices(lattice_patches: int | None, lattices: int) -> None:
    config = replace(QUICK, lattice_patches=lattice_patches, lattices=lattices, epochs=2)
    result = denoise(SMALL, config)
    assert np.isfinite(result.image).all()
    limit = lattice_patches or 144
    assert all(1 <= report.patches <= limit for report in result.history)


def test_without_a_config_the_balanced_preset_is_fitted_to_the_image() -> None:
    seen: list[EpochReport] = []

    def stop(report: EpochReport) -> bool:
        seen.append(report)
        return True

    default, explicit = (
        denoise(SMALL, config, on_epoch=stop)
        for config in (None, preset_config("balanced", SMALL.shape))
    )
    np.testing.assert_array_equal(default.image, explicit.image)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("mutation", list(Mutation))
def test_on_a_gpu(mutation: Mutation) -> None:
    clean = wave(40, 40)
    noisy = add_noise(clean, NOISE_STD)
    evolution = EvolutionConfig(mutation=mutation, crossover=mutation is Mutation.SPARSE)
    result = denoise(noisy, replace(GOOD, device="cuda", epochs=20, evolution=evolution))
    assert result.device == "cuda:0"
    assert psnr(clean, result.image) > psnr(clean, noisy) + 8


def test_an_exception_of_the_caller_comes_through() -> None:
    def stop(_: EpochReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoise(SMALL, QUICK, on_epoch=stop)


# --- refusals


def with_value(value: float) -> Array:
    image = SMALL.copy()
    image[3, 4] = value
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (with_value(np.inf), "1 infinite value;"),
        (with_value(-np.inf), "1 infinite value;"),
        (SMALL[:3], "16 x 3 pixels; at least 4 x 4"),
        (SMALL[:, :3], "3 x 16 pixels"),
        (np.zeros((0, 0)), "0 x 0 pixels"),
        (np.float64(3.0), "shape ()"),
        (SMALL[0], "shape (16,)"),
        (np.zeros((8, 8, 0)), "shape (8, 8, 0)"),
        (np.zeros((8, 8, 5)), "shape (8, 8, 5)"),
        (np.zeros((2, 8, 8, 3)), "shape (2, 8, 8, 3)"),
        (SMALL > 128, "type bool"),
        (SMALL * 1j, "type complex128"),
        (SMALL.astype("U8"), "type <U8"),
        (SMALL.astype(object), "type object"),
    ],
)
def test_refuses_what_is_no_image(image: Array, reason: str) -> None:
    with pytest.raises(ImageError) as refusal:
        denoise(image, QUICK)
    assert reason in str(refusal.value)
    assert str(refusal.value).startswith("image: ")


def test_refuses_a_patch_that_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="patch size 17 does not fit into 16 x 16 pixels"):
        denoise(SMALL, DenoiseConfig(patch_size=17))
    with pytest.raises(ConfigError, match="use at most 10"):
        denoise(SMALL[:10], DenoiseConfig(patch_size=11))


def test_refuses_an_absent_device() -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        denoise(SMALL, DenoiseConfig(device="cuda:99"))


@pytest.mark.parametrize(
    ("shape", "patch_size", "expected"),
    [
        ((40, 30), None, (7, 10)),
        ((40, 6), None, (6, 6)),
        ((4, 4, 3), None, (4, 4)),
        ((20, 30), 12, (12, 12)),
    ],
)
def test_patch_size(
    shape: tuple[int, ...], patch_size: int | None, expected: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).normal(100, 20, shape)
    found = denoise(image, replace(QUICK, patch_size=patch_size)).patch_size
    assert expected[0] <= found <= expected[1]


def test_the_image_is_named_in_a_refusal() -> None:
    with pytest.raises(ImageError, match=r"^shot\.tif: "):
        check_image(with_value(np.inf), QUICK, name="shot.tif")


def test_the_example_of_the_docstring() -> None:
    outcome = doctest.testmod(pipeline)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_reconstruction_goes_on_from_the_states_of_the_training() -> None:
    """With evolution so slow that it could not find them again."""
    slow = EvolutionConfig(uniform_share=1.0, parents=1, offspring=1, migrants=0)
    config = replace(
        QUICK,
        evolution=slow,
        epochs=60,
        settling_rounds=1,
        lattice_patches=36,
        learning_rate=LearningRateConfig(minimum=1e-5),
    )
    result = denoise(SMALL, config)
    last_visits = [report.free_energy for report in result.history[-4:]]
    assert result.free_energy > np.mean(last_visits) - 0.5


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_training_that_diverges_at_its_end_is_an_error(epochs: int) -> None:
    wild = LearningRateConfig(minimum=1e20, maximum=1e30)
    with pytest.raises(TrainingError):
        denoise(SMALL, replace(QUICK, epochs=epochs, learning_rate=wild))


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("unit", [1e200, 1e-200])
def test_values_whose_squares_leave_the_range_of_floats(unit: float) -> None:
    result = denoise(SMALL * unit, QUICK)
    expected = denoise(SMALL, QUICK).noise_std * unit
    assert result.noise_std == pytest.approx(expected, rel=1e-3, abs=0)
    assert np.isfinite(result.image).all()


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_refuses_a_seed_that_torch_cannot_hold(seed: int) -> None:
    with pytest.raises(InvalidInputError, match=str(seed)):
        denoise(SMALL, QUICK, rng=seed)


def test_a_seed_may_be_a_numpy_integer() -> None:
    expected = denoise(SMALL, QUICK, rng=3).image
    np.testing.assert_array_equal(denoise(SMALL, QUICK, rng=np.int64(3)).image, expected)


def test_all_pixels_missing() -> None:
    with pytest.raises(ImageError, match="every pixel is missing"):
        denoise(np.full((16, 16), np.nan), QUICK)
    with pytest.raises(ImageError, match="every pixel is missing"):
        denoise(SMALL, QUICK, missing=np.ones(SMALL.shape, bool))


@pytest.mark.parametrize("covariance", Covariance)
@pytest.mark.parametrize("channels", [None, 3])
def test_missing_pixels_are_filled(covariance: Covariance, channels: int | None) -> None:
    clean = wave(28, 28, channels=channels)
    noisy = add_noise(clean, 15)
    missing = np.random.default_rng(1).random(clean.shape[:2]) < 0.3
    noisy[missing] = np.nan
    config = replace(QUICK, epochs=12, latents=32, covariance=covariance)
    result = denoise(noisy, config)
    assert np.isfinite(result.image).all()
    assert psnr(clean[missing], result.image[missing]) > 22  # a constant: 14
    assert psnr(clean[~missing], result.image[~missing]) > psnr(clean[~missing], noisy[~missing])


def test_what_stands_in_missing_pixels_does_not_matter() -> None:
    missing = np.random.default_rng(1).random(SMALL.shape) < 0.2
    results = []
    for value in (np.nan, 0.0, 1e6):
        noisy = SMALL.copy()
        noisy[missing] = value
        results.append(denoise(noisy, QUICK, missing=missing).image)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_nothing_missing_changes_nothing() -> None:
    without = denoise(SMALL, QUICK)
    with_mask = denoise(SMALL, QUICK, missing=np.zeros(SMALL.shape, bool))
    np.testing.assert_array_equal(without.image, with_mask.image)


def test_a_hole_larger_than_a_patch_is_filled_with_something_finite() -> None:
    noisy = add_noise(wave(40, 40), 15)
    noisy[10:30, 5:30] = np.nan
    assert np.isfinite(denoise(noisy, QUICK).image).all()


def test_gray_in_three_channels_is_denoised_as_gray() -> None:
    noisy = add_noise(wave(32, 32), 15)
    gray = denoise(noisy, QUICK).image
    colour = denoise(np.repeat(noisy[..., None], 3, axis=2), QUICK).image
    for channel in range(3):
        np.testing.assert_array_equal(colour[..., channel], gray)


def test_a_constant_channel_comes_back() -> None:
    noisy = add_noise(wave(32, 32, channels=3), 15)
    noisy[..., 2] = 7.25
    noisy[3, 4] = np.nan
    image = denoise(noisy, QUICK).image
    assert (image[..., 2] == 7.25).all()
    assert (image[..., 0] != image[..., 1]).any()


def test_a_stack_shares_one_model() -> None:
    clean = np.stack([wave(32, 32), wave(32, 32).T, 255 - wave(32, 32)])
    noisy = add_noise(clean, 20)
    config = replace(QUICK, epochs=12, latents=32)
    result = denoise_stack(noisy, config)
    assert result.image.shape == noisy.shape == result.std.shape
    assert len(result.history) <= config.epochs
    for page, before, after in zip(clean, noisy, result.image, strict=True):
        assert psnr(page, after) > psnr(page, before) + 3


@pytest.mark.parametrize("shape", [(16, 16), (0, 16, 16)])
def test_refuses_what_is_no_stack(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="not a stack"):
        denoise_stack(np.zeros(shape), QUICK)


# --- noise levels that cannot be, and none at all


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("unit", [1.0, 1e200, 1e-3])
def test_refuses_a_level_beyond_the_spread_of_the_image(channels: int | None, unit: float) -> None:
    noisy = add_noise(wave(16, 16, channels=channels)) * unit
    std = np.sqrt((noisy / unit).var(axis=(0, 1)).mean()) * unit
    with pytest.raises(ConfigError, match="is more than the image varies in all") as refusal:
        denoise(noisy, replace(QUICK, noise_std=1.5 * std))
    assert f"by a standard deviation of {std:.4g}" in str(refusal.value)


def test_the_level_of_pure_noise_is_taken() -> None:
    """Though it may happen to vary less than its level says."""
    quiet = min((add_noise(np.zeros((16, 16)), 5.0, seed=seed) for seed in range(9)), key=np.std)
    assert quiet.std() < 4.9
    result = denoise(quiet, replace(QUICK, noise_std=5.0))
    # What is used is less than all of the variance, and is reported.
    assert result.noise_std == pytest.approx(np.sqrt(0.99) * quiet.std())
    assert denoise(SMALL, replace(QUICK, noise_std=20.0)).noise_std == 20.0


NOISELESS = {
    "texture": np.tile(as_dtype(add_noise(wave(8, 8)), "uint8"), (9, 9)),
    "checkerboard": as_dtype(np.indices((40, 41)).sum(0) // 3 % 2 * 255, "uint8"),
    "drawing": as_dtype(np.where(wave(40, 41) > 150, 255, 0), "uint8"),
    "gradient": np.indices((40, 41), float).sum(0) // 8,
}


@pytest.mark.parametrize("name", NOISELESS)
@pytest.mark.parametrize("covariance", Covariance)
def test_an_image_without_noise_comes_back(name: str, covariance: Covariance) -> None:
    image = NOISELESS[name]
    result = denoise(image, replace(QUICK, covariance=covariance))
    np.testing.assert_array_equal(result.image, image)
    assert result.image.dtype == image.dtype
    assert not np.shares_memory(result.image, image)
    assert (result.noise_std, result.history, result.model) == (0.0, (), None)
    assert not result.std.any()


def test_gaps_in_an_image_without_noise_are_filled_and_nothing_else() -> None:
    image = NOISELESS["texture"].astype(float)
    missing = np.zeros(image.shape, bool)
    missing[20:23, 30:50] = missing[50:60, 41] = True
    result = denoise(np.where(missing, np.nan, image), replace(QUICK, epochs=5))
    np.testing.assert_array_equal(result.image[~missing], image[~missing])
    assert np.isfinite(result.image).all()
    assert not result.std[~missing].any()
    assert result.noise_std == 0


# --- impulses


def with_hot_pixels(clean: Array, std: float) -> tuple[Array, Array]:
    """Add noise and set a fiftieth of the pixels to a value that no other has."""
    hit = np.random.default_rng(1).random(clean.shape) < 0.02
    return np.where(hit, 400.0, add_noise(clean, std)), hit


def test_impulses_are_filled_as_missing_pixels_are() -> None:
    clean = wave(40, 40)
    noisy, hit = with_hot_pixels(clean, 10)
    config = replace(QUICK, epochs=5)
    result = denoise(noisy, config)
    assert result.impulses == hit.sum()
    assert psnr(clean[hit], result.image[hit]) > 22
    expected = denoise(noisy, replace(config, impulses="off"), missing=hit)
    np.testing.assert_array_equal(result.image, expected.image)
    assert result.noise_std == expected.noise_std
    assert expected.impulses == 0
    spoilt = denoise(noisy, replace(config, impulses="off"))
    assert psnr(clean, spoilt.image) < psnr(clean, result.image) - 5


def test_impulses_of_an_image_without_noise_are_filled_and_nothing_else() -> None:
    image = as_dtype(wave(64, 64), "uint8")
    chance = np.random.default_rng(1).random(image.shape)
    hit = np.abs(chance - 0.5) > 0.47
    noisy = np.where(chance < 0.5, 0, 255).astype(np.uint8)
    noisy[~hit] = image[~hit]
    result = denoise(noisy, QUICK)
    assert result.impulses == hit.sum()
    np.testing.assert_array_equal(result.image[~hit], image[~hit])
    assert psnr(image[hit], result.image[hit]) > 20


def test_impulses_are_found_page_by_page() -> None:
    pages = np.stack([with_hot_pixels(wave(28, 28), 5)[0], add_noise(wave(28, 28), 5)])
    alone = [denoise(page, QUICK).impulses for page in pages]
    assert alone[0] > 0 == alone[1]
    assert denoise_stack(pages, QUICK).impulses == denoise_pages(pages, QUICK).impulses == alone[0]


def test_a_page_of_which_nothing_is_known_says_nothing_of_the_noise() -> None:
    pages = np.stack([SMALL, np.full_like(SMALL, np.nan), SMALL])
    result = denoise_stack(pages, QUICK)
    assert result.noise_std == pytest.approx(denoise(SMALL, QUICK).noise_std, rel=0.02)
    assert np.isfinite(result.image).all()
