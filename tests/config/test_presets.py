"""The presets: complete, of a size that fits the image, and the published one as published."""

from dataclasses import replace

import pytest

from evodenoise.config.presets import DEFAULT_PRESET, PRESETS, default_patch_size, preset_config
from evodenoise.config.settings import (
    DenoiseConfig,
    EvolutionConfig,
    LearningRateConfig,
    Refinement,
)
from evodenoise.errors import ConfigError

LARGE = (256, 256)
SCALED = [name for name, preset in PRESETS.items() if preset.scales]
every_scaled_preset = pytest.mark.parametrize("name", SCALED)


def test_there_are_four_and_all_but_the_published_one_scale() -> None:
    assert set(PRESETS) == {"fast", "balanced", "best", "paper"}
    assert set(SCALED) == {"fast", "balanced", "best"}
    assert DEFAULT_PRESET == "balanced"


@pytest.mark.parametrize("name", PRESETS)
def test_a_large_image_gets_the_preset_as_it_is(name: str) -> None:
    assert preset_config(name, LARGE) == PRESETS[name].config


@every_scaled_preset
def test_huge_images_are_rebuilt_and_refined_at_less_cost(name: str) -> None:
    full = PRESETS[name].config
    quick = Refinement.GAUSSIAN if name == "fast" else Refinement.QUICK
    assert preset_config(name, (2000, 3000)) == replace(
        full, refinement=quick, rebuilt_every=5, group_step=full.group_step + 1
    )
    colour = preset_config(name, (2000, 3000, 3))
    assert (colour.refinement, colour.rebuilt_share) == (quick, 1 / 5)
    assert colour.group_step == full.group_step + 1


@every_scaled_preset
def test_colour_has_settings_of_its_own(name: str) -> None:
    preset = PRESETS[name]
    expected = replace(preset.config, posterior_mass=0.99, **preset.colour)
    assert preset_config(name, (256, 256, 3)) == expected


def test_balanced_colour_is_trained_longer_and_refined_at_less_cost() -> None:
    gray, colour = (preset_config("balanced", (256, 256, *rest)) for rest in ((), (3,)))
    assert colour.epochs > gray.epochs
    assert gray.rebuilt_share == colour.rebuilt_share == 1 / 3
    assert (gray.refinement, colour.refinement) == (Refinement.FULL, Refinement.QUICK)
    assert colour.group_step > gray.group_step


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 1.0, 20.0])
def test_patches_grow_with_the_noise_and_fit_the_image(ratio: float) -> None:
    assert 7 <= default_patch_size(ratio, LARGE) <= default_patch_size(ratio + 0.3, LARGE) <= 10
    assert default_patch_size(ratio, (5, 300)) == 5


def test_the_config_without_arguments_is_the_balanced_one() -> None:
    assert preset_config("balanced", LARGE) == DenoiseConfig()


@every_scaled_preset
def test_a_small_image_gets_fewer_latents_and_more_and_smaller_steps(name: str) -> None:
    full, small = PRESETS[name].config, preset_config(name, (40, 40))
    assert small.latents < full.latents
    assert small.epochs > full.epochs
    assert small.gradient_batch_size < full.gradient_batch_size
    rates = small.learning_rate.maximum / full.learning_rate.maximum
    steps = small.gradient_batch_size / full.gradient_batch_size
    assert rates**2 == pytest.approx(steps)
    assert small.learning_rate.minimum / full.learning_rate.minimum == pytest.approx(rates)
    assert full == replace(
        small,
        latents=full.latents,
        epochs=full.epochs,
        gradient_batch_size=full.gradient_batch_size,
        learning_rate=full.learning_rate,
    )


@every_scaled_preset
def test_both_follow_the_size_in_steps_without_jumps(name: str) -> None:
    sizes = [preset_config(name, (side, side)) for side in range(4, 300)]
    latents, epochs = [each.latents for each in sizes], [each.epochs for each in sizes]
    assert latents == sorted(latents)
    assert epochs == sorted(epochs, reverse=True)
    assert latents[-1] == PRESETS[name].config.latents
    assert epochs[-1] == PRESETS[name].config.epochs


@every_scaled_preset
def test_small_images_are_done_sooner(name: str) -> None:
    """More epochs, but fewer visits of patches in all."""
    visits = [
        preset_config(name, (side, side)).epochs * (side - 7) ** 2 for side in (20, 40, 71, 135)
    ]
    assert visits == sorted(visits)
    assert visits[2] < 0.6 * visits[3]


@every_scaled_preset
@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3), (8, 8), (9, 400), (400, 5)])
def test_a_tiny_image_has_limits(name: str, shape: tuple[int, ...]) -> None:
    config, full = preset_config(name, shape), PRESETS[name].config
    assert config.states < 2**config.latents
    assert 16 <= config.latents <= full.latents
    colour = len(shape) > 2
    most = PRESETS[name].colour.get("epochs", full.epochs) if colour else full.epochs
    assert config.epochs <= 3 * most


def test_better_takes_longer() -> None:
    fast, balanced, best = (preset_config(name, LARGE) for name in ("fast", "balanced", "best"))
    assert fast.epochs < balanced.epochs < best.epochs
    assert balanced.states < best.states
    assert balanced.group_step > best.group_step


@pytest.mark.parametrize("shape", [(4, 4), (256, 256), (40, 40, 3)])
def test_the_published_settings_fit_any_image(shape: tuple[int, ...]) -> None:
    """House at sigma 15 and 25, in Drefs, Guiraud, Panagiotou, Lücke (ECML PKDD 2022)."""
    config = preset_config("paper", shape)
    assert (config.latents, config.hidden, config.states) == (64, (64,), 200)
    assert (config.epochs, config.batch_size, config.lattice_patches) == (500, 32, None)
    assert config.gradient_batch_size >= config.batch_size * config.states
    assert (config.posterior_mass, config.prior_delay) == (1.0, 0.0)
    assert config.evolution == EvolutionConfig(
        mutation="sparse",
        crossover=True,
        parents=10,
        offspring=9,
        generations=4,
        migrants=0,
        mean_flips=config.evolution.mean_flips,
    )
    assert config.learning_rate == LearningRateConfig(
        schedule="cyclic", minimum=1e-4, maximum=1e-2, period=20.0
    )


@pytest.mark.parametrize("name", ["", "Fast", "worst"])
def test_refuses_an_unknown_name(name: str) -> None:
    with pytest.raises(ConfigError, match="use one of fast, balanced, best, paper"):
        preset_config(name, LARGE)
