"""Models that are kept: the same after a file, refused when damaged, of use for a sibling."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import add_noise, psnr, wave

from evodenoise.config.settings import Covariance, DenoiseConfig
from evodenoise.denoising.checkpoint import Checkpoint, read_model
from evodenoise.denoising.denoise import denoise, denoise_stack, train_model
from evodenoise.errors import ConfigError, ImageError, ModelError
from evodenoise.tvae.schedule import StopReason

CONFIG = DenoiseConfig(
    patch_size=6, latents=32, hidden=(32,), states=4, epochs=12, batch_size=256, device="cpu"
)
CLEAN = wave(40, 40)


@pytest.fixture(scope="module")
def model_of() -> Callable[[Covariance], Checkpoint]:
    """Train with a covariance."""

    @cache
    def train(covariance: Covariance) -> Checkpoint:
        made = denoise(add_noise(CLEAN, 20), replace(CONFIG, covariance=covariance)).model
        assert made is not None
        return made

    return train


@pytest.fixture(scope="module")
def model(model_of: Callable[[Covariance], Checkpoint]) -> Checkpoint:
    return model_of(CONFIG.covariance)


def write(path: Path, model: Checkpoint) -> Path:
    path.write_bytes(model.to_bytes())
    return path


def test_a_file_holds_the_same_model(model: Checkpoint, tmp_path: Path) -> None:
    read = read_model(write(tmp_path / "model", model))
    sibling = add_noise(CLEAN, 20, seed=1)
    without = replace(CONFIG, epochs=0)
    np.testing.assert_array_equal(
        denoise(sibling, without, model=model).image, denoise(sibling, without, model=read).image
    )


@pytest.mark.parametrize("covariance", Covariance)
def test_a_sibling_is_denoised_without_training(
    covariance: Covariance, model_of: Callable[[Covariance], Checkpoint]
) -> None:
    model = model_of(covariance)
    noisy = add_noise(CLEAN, 20, seed=1)
    # The settings of the model come with it.
    other = DenoiseConfig(latents=8, hidden=(4,), states=4, epochs=0, device="cpu")
    result = denoise(noisy, other, model=model)
    assert result.history == ()
    assert result.stop_reason is StopReason.EPOCHS
    assert result.patch_size == CONFIG.patch_size
    assert result.noise_std == pytest.approx(20, rel=0.25)
    assert psnr(CLEAN, result.image) > psnr(CLEAN, noisy) + 5


def test_more_epochs_go_on_from_the_model(model: Checkpoint) -> None:
    noisy = add_noise(CLEAN, 20)
    first = denoise(noisy, replace(CONFIG, epochs=1)).history[0].free_energy
    result = denoise(noisy, replace(CONFIG, epochs=1), model=model)
    assert len(result.history) == 1
    assert result.history[0].free_energy > first + 5


def test_the_model_given_is_not_changed(model: Checkpoint) -> None:
    before = {name: value.clone() for name, value in model.weights.items()}
    denoise(add_noise(CLEAN, 20), replace(CONFIG, epochs=1), model=model)
    for name, value in model.weights.items():
        assert torch.equal(value, before[name])


def test_more_states_than_the_model_has_codes(model: Checkpoint) -> None:
    few = replace(model, codebook=model.codebook[:2])
    noisy = add_noise(CLEAN, 20)
    result = denoise(noisy, replace(CONFIG, epochs=0, states=9), model=few)
    assert psnr(CLEAN, result.image) > psnr(CLEAN, noisy)


def test_a_model_of_several_images_suits_each() -> None:
    pages = np.stack([add_noise(CLEAN, 20), add_noise(CLEAN.T, 20)])
    model = train_model(pages, CONFIG)
    for page, clean in zip(pages, (CLEAN, CLEAN.T), strict=True):
        result = denoise(page, replace(CONFIG, epochs=0), model=model)
        assert psnr(clean, result.image) > psnr(clean, page) + 5


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ImageError, match="constant"):
        train_model(np.ones((2, 16, 16)), CONFIG)
    with pytest.raises(ConfigError, match="0 epochs"):
        denoise(CLEAN, replace(CONFIG, epochs=0))
    assert denoise(np.ones((16, 16)), CONFIG).model is None


@pytest.mark.parametrize(
    ("shape", "reason"), [((16, 16, 3), "3 channels"), ((5, 40), "40 x 5 pixels are less")]
)
def test_images_that_do_not_fit(model: Checkpoint, shape: tuple[int, ...], reason: str) -> None:
    image = np.random.default_rng(0).normal(size=shape)
    with pytest.raises(ImageError, match=reason):
        denoise(image, replace(CONFIG, patch_size=None, epochs=0), model=model)


def test_a_stack_keeps_its_model() -> None:
    pages = np.stack([add_noise(CLEAN, 20), add_noise(CLEAN, 20, seed=2)])
    result = denoise_stack(pages, replace(CONFIG, epochs=2))
    assert result.model is not None
    again = denoise_stack(pages, replace(CONFIG, epochs=0), model=result.model)
    assert again.image.shape == pages.shape


@pytest.mark.parametrize("covariance", Covariance)
@pytest.mark.parametrize("epochs", [0, 1])
def test_a_sibling_without_noise_comes_back(
    covariance: Covariance, epochs: int, model_of: Callable[[Covariance], Checkpoint]
) -> None:
    model = model_of(covariance)
    clean = np.kron(np.arange(12.0).reshape(3, 4) ** 2, np.ones((16, 16)))
    result = denoise(clean, replace(CONFIG, epochs=epochs), model=model)
    np.testing.assert_array_equal(result.image, clean)
    assert result.noise_std == 0
    holed = clean.copy()
    holed[20:24, 20:24] = np.nan
    filled = denoise(holed, replace(CONFIG, epochs=epochs), model=model).image
    seen = np.isfinite(holed)
    np.testing.assert_array_equal(filled[seen], clean[seen])
    assert np.isfinite(filled).all()


def test_a_level_beyond_what_the_images_of_the_model_vary(model: Checkpoint) -> None:
    louder = 10 * add_noise(CLEAN, 20)
    with pytest.raises(ConfigError, match="images of the model varied in all, by a standard dev"):
        denoise(louder, replace(CONFIG, epochs=0, noise_std=200.0), model=model)


def test_what_is_no_model() -> None:
    with pytest.raises(ModelError, match="model is a PosixPath; give what read_model returns"):
        denoise(CLEAN, CONFIG, model=Path("kept.model"))  # type: ignore[arg-type]
