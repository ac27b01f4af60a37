"""What a caller may hand over, and what is said of all else."""

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage

import evodenoise
from evodenoise import DenoiseConfig, denoise, denoise_stack, train_model
from evodenoise.config.presets import preset_config
from evodenoise.config.settings import Refinement
from evodenoise.denoising import noise_level
from evodenoise.denoising.checks import as_config, make_generator, same_device
from evodenoise.denoising.noise_level import estimate_noise
from evodenoise.errors import ConfigError, ImageError

QUICK = DenoiseConfig(
    epochs=1, latents=16, hidden=(16,), states=4, device="cpu", refinement=Refinement.NONE
)
NOISY = as_dtype(add_noise(wave(16, 18)), "uint8")
GAPS = np.random.default_rng(1).random(NOISY.shape) < 0.1


# --- images


@pytest.mark.parametrize(
    "make",
    [np.ndarray.tolist, PillowImage.fromarray, torch.from_numpy, memoryview],
    ids=["list", "Pillow", "torch", "memoryview"],
)
def test_whatever_numpy_makes_an_array_of(make: Any) -> None:
    expected = denoise(NOISY, QUICK).image
    result = denoise(make(NOISY.copy()), QUICK)
    assert isinstance(result.image, np.ndarray)
    np.testing.assert_array_equal(result.image, expected)
    assert estimate_noise(make(NOISY.copy())) == estimate_noise(NOISY)


def palette() -> PillowImage.Image:
    return PillowImage.fromarray(NOISY).convert("P")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (None, "image is None; give an array"),
        ("noisy.png", "image is 'noisy.png'; give the pixels"),
        (Path("noisy.png"), "noisy.png'.; give the pixels of that file"),
        ([[1, 2], [3]], "image is a list that is no array of numbers"),
        ([["a", "b"]] * 8, "image: .*type <U1"),
        (object(), "image: shape .."),
        ({"image": 3}, "image: shape .."),
        (torch.zeros(8, 8, requires_grad=True), "image is a Tensor that is no array"),
        (torch.zeros(8, 8, device="meta"), "image is a Tensor that is no array"),
        (np.ma.masked_less(NOISY, 100), "masked array; give its data, and its mask as `missing`"),
        (palette(), "image has a palette"),
        (PillowImage.fromarray(NOISY > 128), "image: values of type bool"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refuses_what_is_no_array_of_numbers(image: Any, reason: str) -> None:
    for work in (denoise, estimate_noise):
        with pytest.raises(ImageError, match=reason) as refusal:
            work(image)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("stack", [None, "noisy.tif", [[[1, 2], [3]]], 3, NOISY])
def test_refuses_what_is_no_stack(stack: Any) -> None:
    for work in (denoise_stack, train_model):
        with pytest.raises(ImageError, match="stack"):
            work(stack, QUICK)


def test_the_bad_page_of_a_stack_is_named() -> None:
    pages = np.stack([NOISY, NOISY]).astype(np.float32)
    pages[1, 3, 4] = np.inf
    with pytest.raises(ImageError, match=r"^page 2: 1 infinite value;"):
        denoise_stack(pages, QUICK)


# --- masks


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "list"])
@pytest.mark.parametrize("value", [1, 200])
def test_what_is_not_zero_is_missing(dtype: str, value: int) -> None:
    mask = GAPS.tolist() if dtype == "list" else (GAPS * value).astype(dtype)
    expected = denoise(np.where(GAPS, np.nan, NOISY), QUICK).image
    noisy = NOISY.astype(float)
    np.testing.assert_array_equal(denoise(noisy, QUICK, missing=mask).image, expected)
    stack = noisy[None].tolist()
    np.testing.assert_array_equal(denoise_stack(stack, QUICK, missing=[mask]).image[0], expected)


def test_a_mask_of_nan_marks_what_is_missing() -> None:
    mask = np.where(GAPS, np.nan, 0.0)
    result = denoise(NOISY, QUICK, missing=mask).image
    np.testing.assert_array_equal(result, denoise(NOISY, QUICK, missing=GAPS).image)


@pytest.mark.parametrize("mask", [GAPS[:-1], GAPS[None], GAPS[..., None], np.True_])
def test_a_mask_of_another_shape(mask: Any) -> None:
    for work in (denoise, estimate_noise):
        with pytest.raises(ImageError, match="missing: shape") as refusal:
            work(NOISY, missing=mask)
        assert str(np.shape(mask)) in str(refusal.value)
        assert str(NOISY.shape) in str(refusal.value)
    with pytest.raises(ImageError, match=r"missing: shape .* that of the pixels is \(1, 16, 18\)"):
        denoise_stack(NOISY[None], QUICK, missing=np.ones((2, 16, 18), bool))


@pytest.mark.parametrize("mask", [GAPS * 1j, "mask.png", np.full(NOISY.shape, "x")])
def test_what_is_no_mask(mask: Any) -> None:
    with pytest.raises(ImageError, match=r"^missing"):
        denoise(NOISY, QUICK, missing=mask)


# --- settings


def test_settings_may_be_the_name_of_a_preset() -> None:
    assert as_config("fast", NOISY.shape) == preset_config("fast", NOISY.shape)
    assert as_config(None, NOISY.shape) == preset_config("balanced", NOISY.shape)
    assert as_config(QUICK, NOISY.shape) is QUICK


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("quick", "preset 'quick' is unknown; use one of fast, "),
        ("", "preset '' is unknown"),
        ({"epochs": 3}, "config is a dict; give a DenoiseConfig or the name of a preset"),
        (3, "config is a int"),
    ],
)
def test_refuses_what_are_no_settings(config: Any, reason: str) -> None:
    for work, pixels in ((denoise, NOISY), (denoise_stack, NOISY[None])):
        with pytest.raises(ConfigError, match=reason):
            work(pixels, config)


# --- randomness


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("cpu", "cpu", True),
        ("cpu", "cuda", False),
        ("cuda:0", "cuda:1", False),
        ("cuda:1", "cuda:1", True),
        ("cuda", "cuda:1", True),  # the current one, here
        ("cuda", "cuda:0", False),
        ("mps", "mps:0", True),
    ],
)
def test_devices_are_told_apart_by_number(
    monkeypatch: pytest.MonkeyPatch, one: str, other: str, same: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert same_device(torch.device(one), torch.device(other)) == same
    assert same_device(torch.device(other), torch.device(one)) == same


class Generator(torch.Generator):
    """One that says to be on a GPU."""

    def __new__(cls, device: torch.device | str) -> "Generator":
        made = super().__new__(cls, "cpu")
        made.claimed = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.claimed


def test_a_generator_on_another_gpu_only_gives_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor(7))
    there = Generator("cuda:0")
    assert make_generator(there, torch.device("cuda:0")) is there
    made = make_generator(there, torch.device("cuda:1"))
    assert made.device == torch.device("cuda:1")
    assert made.initial_seed() == 7


@pytest.mark.parametrize("rng", [0.0, "", [], "seed", 1.5])
def test_refuses_what_is_no_seed(rng: Any) -> None:
    with pytest.raises(ConfigError, match="it must be a whole number"):
        denoise(NOISY, QUICK, rng=rng)


# --- the package


def test_the_example_of_the_docstring() -> None:
    outcome = doctest.testmod(noise_level)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_package_shows_its_names_and_nothing_else() -> None:
    names = {
        *("DenoiseConfig", "DenoiseResult", "__version__", "denoise", "denoise_stack"),
        "denoise_tvae",
        *("estimate_noise", "preset_config", "read_model", "read_noise_file", "train_model"),
    }
    assert set(dir(evodenoise)) == set(evodenoise.__all__) == names
    assert all(hasattr(evodenoise, name) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'denoiser'"):
        _ = evodenoise.denoiser
