"""The presets: settings that belong together, as data, and how they follow the image's size.

Budgets are counted in patches visited, never in seconds, so that results repeat.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evodenoise.config.settings import (
    Covariance,
    DenoiseConfig,
    EvolutionConfig,
    LearningRateConfig,
    Mutation,
    Refinement,
    Schedule,
)
from evodenoise.errors import ConfigError

DEFAULT_PRESET = "balanced"
PATCH_SIZES = ((0.36, 7), (0.7, 8), (math.inf, 10))
"""Up to this ratio of noise to signal, patches of this many pixels a side: the more noise, the
more pixels it takes to tell what is there."""

COLOUR_PATCH_SIZES = ((0.36, 6), (0.7, 7), (math.inf, 8))
"""The same for colour, where a pixel tells more and costs more."""

PATCHES_PER_LATENT = 8
"""A tiny image cannot teach more latents than this allows."""

PATCHES_PER_STATE = 32
FEWEST_STATES = 128
"""A gradient step takes one state for so many patches of the image, but so many at least: the
epochs of a small image are short, and need steps as well."""

COLOUR_POSTERIOR_MASS = 0.99
"""Learning from less of the posterior costs gray images nothing, and colour up to 0.08 dB."""

MOST_LOW_RANK_PIXELS = 500_000
"""In larger images low-rank groups are fewer, an eighth of the work."""

SPARSE = 5
"""Of larger images, and in `fast`, one patch in so many is rebuilt. In others one in 3 is: it costs
the first estimate up to 0.03 dB, and the refined one up to 0.004 dB. One in 5 would cost small
colour images up to 0.007 dB."""

MORE_GROUP_STEP = 1
"""In larger images groups are one pixel further apart."""

COLOUR_EPOCHS = 45
"""Of `balanced`: 24 cost colour 0.03 to 0.06 dB."""

LONGEST_STRETCH = 3
"""How many times more epochs a tiny image gets, whose epochs are short."""


@dataclass(frozen=True)
class Preset:
    """A named choice of settings.

    Attributes
    ----------
    description : str
        What it is for, in one line.
    config : DenoiseConfig
        The settings for an image whose sub-lattices are full.
    colour : Mapping
        Settings that are others in colour.
    scales : bool
        Whether latents, epochs, steps, refinement and posterior mass follow the image's shape.
    """

    description: str
    config: DenoiseConfig
    colour: Mapping[str, Any] = field(default_factory=dict)
    scales: bool = True


PRESETS: Mapping[str, Preset] = {
    "fast": Preset(
        "a first look",
        DenoiseConfig(
            epochs=7,
            rebuilt_every=SPARSE,
            gradient_batch_size=256,
            learning_rate=LearningRateConfig(maximum=7e-3, minimum=1.4e-3),
            posterior_mass=0.99,
            settling_rounds=1,
            refinement=Refinement.GAUSSIAN,
        ),
    ),
    "balanced": Preset(
        "a good picture",
        DenoiseConfig(),
        colour={
            "refinement": Refinement.QUICK,
            "epochs": COLOUR_EPOCHS,
            "group_step": 4,
        },
    ),
    "best": Preset(
        "the best picture",
        DenoiseConfig(
            epochs=120,
            rebuilt_every=1,
            posterior_mass=0.99,
            states=8,
            evolution=EvolutionConfig(parents=3),
            settled=0.02,
            group_step=2,
            group_sizes=(-1, 0, 1),
        ),
        # Closer groups of three sizes gain 0.01 dB, and cost six times as much.
        colour={"group_step": 3, "group_sizes": (0,)},
    ),
    "paper": Preset(
        "as published: hours",
        DenoiseConfig(
            covariance=Covariance.NONE,
            refinement=Refinement.NONE,
            patch_size=8,
            rebuilt_every=1,
            latents=64,
            hidden=(64,),
            states=200,
            epochs=500,
            lattice_patches=None,
            batch_size=32,
            gradient_batch_size=32 * 200,
            posterior_mass=1.0,
            prior_delay=0.0,
            settling_rounds=1,
            evolution=EvolutionConfig(
                mutation=Mutation.SPARSE,
                crossover=True,
                parents=10,
                offspring=9,
                generations=4,
                migrants=0,
            ),
            learning_rate=LearningRateConfig(
                schedule=Schedule.CYCLIC, minimum=1e-4, maximum=1e-2, period=20.0
            ),
        ),
        scales=False,
    ),
}


def default_patch_size(noise_to_signal: float, shape: Sequence[int]) -> int:
    """Choose the side of the patches in pixels.

    Parameters
    ----------
    noise_to_signal : float
        Standard deviation of the noise over that of the clean image.
    shape : sequence of int
        (Y, X, ...) of the image, in pixels.

    Returns
    -------
    int
        The side, at most that of the image.
    """
    colour = len(shape) > 2 and shape[2] > 1
    sizes = COLOUR_PATCH_SIZES if colour else PATCH_SIZES
    wanted = next(side for limit, side in sizes if noise_to_signal <= limit)
    return min(wanted, shape[0], shape[1])


def preset_config(name: str, shape: Sequence[int]) -> DenoiseConfig:
    """Look up a preset and fit it to an image.

    Parameters
    ----------
    name : str
        A key of `PRESETS`.
    shape : sequence of int
        (Y, X, ...) of the image, in pixels.

    Returns
    -------
    DenoiseConfig
        The settings.

    Raises
    ------
    ConfigError
        If there is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset {name!r} is unknown; use one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    config = preset.config
    if not preset.scales or config.lattice_patches is None:
        return config
    side = config.patch_size or default_patch_size(0.5, shape)
    patches = max(1, shape[0] - side + 1) * max(1, shape[1] - side + 1)
    stretch = math.sqrt(max(1.0, config.lattice_patches / patches))
    colour = len(shape) > 2 and shape[2] > 1
    large = shape[0] * shape[1] > MOST_LOW_RANK_PIXELS
    if colour:
        config = replace(config, **preset.colour)
    if large and config.refinement is Refinement.FULL:
        config = replace(config, refinement=Refinement.QUICK)
    if large:
        group_step = max(config.group_step, preset.config.group_step + MORE_GROUP_STEP)
        config = replace(config, rebuilt_every=SPARSE, group_step=group_step)
    if colour:
        config = replace(config, posterior_mass=max(config.posterior_mass, COLOUR_POSTERIOR_MASS))
    return replace(
        _with_enough_steps(config, patches),
        latents=max(16, min(config.latents, patches // PATCHES_PER_LATENT)),
        epochs=round(config.epochs * min(stretch, LONGEST_STRETCH)),
    )


def _with_enough_steps(config: DenoiseConfig, patches: int) -> DenoiseConfig:
    """Let gradient steps take fewer states if there are few patches, at a rate that suits them."""
    states = max(FEWEST_STATES, patches // PATCHES_PER_STATE)
    share = min(1.0, states / config.gradient_batch_size)
    rate, root = config.learning_rate, math.sqrt(share)  # the noise of a gradient goes by the root
    return replace(
        config,
        gradient_batch_size=round(config.gradient_batch_size * share),
        learning_rate=replace(rate, maximum=rate.maximum * root, minimum=rate.minimum * root),
    )
