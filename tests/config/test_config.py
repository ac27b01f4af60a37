"""Settings: the defaults hold, and each setting that makes no sense is refused by its name."""

import dataclasses
import math
from typing import Any

import pytest

from evodenoise.config.settings import (
    MAXIMUM_LATENTS,
    DenoiseConfig,
    EvolutionConfig,
    LearningRateConfig,
    Mutation,
    Schedule,
)
from evodenoise.errors import ConfigError

CONFIGS = [DenoiseConfig, EvolutionConfig, LearningRateConfig]


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_defaults_are_valid_and_cannot_be_changed(kind: type) -> None:
    config = kind()
    assert config == kind()
    for field in dataclasses.fields(config):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, field.name, getattr(config, field.name))


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_setting_is_documented(kind: type) -> None:
    for field in dataclasses.fields(kind):
        assert field.name in (kind.__doc__ or "")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (DenoiseConfig, {"patch_size": 4}),
        (DenoiseConfig, {"latents": 1, "states": 2}),
        (DenoiseConfig, {"latents": MAXIMUM_LATENTS}),
        *((DenoiseConfig, {"latents": h, "states": 2**h}) for h in (1, 3, 8, 13, 19, 20)),
        (DenoiseConfig, {"latents": 30, "states": 2**20}),
        (DenoiseConfig, {"lattice_patches": None, "time_limit": None}),
        (DenoiseConfig, {"lattice_patches": 1, "lattices": 1, "time_limit": 0.1}),
        (DenoiseConfig, {"posterior_mass": 1.0, "prior_delay": 1.0, "settled": 0.0}),
        (DenoiseConfig, {"prior_delay": 0.0, "settling_rounds": 1, "gradient_batch_size": 1}),
        (DenoiseConfig, {"hidden": (1, 2, 3)}),
        (DenoiseConfig, {"gain": 1e-9, "readout": 0.0, "offset": -400.0, "strength": 1e-3}),
        (DenoiseConfig, {"states": 1, "epochs": 1, "batch_size": 1}),
        (EvolutionConfig, {"mutation": Mutation.SPARSE, "crossover": True, "migrants": 0}),
        (EvolutionConfig, {"uniform_share": 0.0}),
        (EvolutionConfig, {"uniform_share": 1.0}),
        (EvolutionConfig, {"parents": 1, "offspring": 1, "generations": 1}),
        (LearningRateConfig, {"minimum": 1e-3, "maximum": 1e-3, "warm_up": 0.0}),
    ],
)
def test_accepts_the_limits(kind: type, settings: dict[str, Any]) -> None:
    config = kind(**settings)
    assert {name: getattr(config, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("kind", "name", "choice"),
    [
        (EvolutionConfig, "mutation", Mutation.SPARSE),
        (LearningRateConfig, "schedule", Schedule.CYCLIC),
    ],
)
def test_a_choice_may_be_given_by_its_name(kind: type, name: str, choice: Any) -> None:
    assert getattr(kind(**{name: str(choice)}), name) is choice


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        (DenoiseConfig, {"patch_size": 3}, "patch size is 3"),
        (DenoiseConfig, {"patch_size": 0}, "patch size is 0"),
        (DenoiseConfig, {"latents": 0}, "latents is 0"),
        (DenoiseConfig, {"latents": MAXIMUM_LATENTS + 1}, f"latents is {MAXIMUM_LATENTS + 1}"),
        (DenoiseConfig, {"hidden": ()}, "hidden is ()"),
        (DenoiseConfig, {"hidden": (128, 0)}, "hidden layer is 0"),
        (DenoiseConfig, {"hidden": (-1,)}, "hidden layer is -1"),
        (DenoiseConfig, {"states": 0}, "states is 0"),
        (DenoiseConfig, {"states": -4}, "states is -4"),
        *(
            (DenoiseConfig, {"latents": h, "states": 2**h + 1}, f"{h} latents have only {2**h}")
            for h in (1, 3, 8, 13, 19)
        ),
        (DenoiseConfig, {"latents": 20, "states": 2**20 + 1}, f"states is {2**20 + 1}"),
        (DenoiseConfig, {"epochs": -1}, "epochs is -1"),
        (DenoiseConfig, {"batch_size": 0}, "batch_size is 0"),
        (DenoiseConfig, {"initial_active": 0.0}, "initial_active is 0.0;"),
        (DenoiseConfig, {"initial_active": -1.0}, "initial_active is -1.0"),
        (DenoiseConfig, {"initial_active": math.nan}, "initial_active is nan"),
        (DenoiseConfig, {"lattice_patches": 0}, "lattice_patches is 0"),
        (DenoiseConfig, {"lattices": 0}, "lattices is 0"),
        (DenoiseConfig, {"gradient_batch_size": 0}, "gradient_batch_size is 0"),
        (DenoiseConfig, {"settling_rounds": 0}, "settling_rounds is 0"),
        (DenoiseConfig, {"posterior_mass": 0.0}, "posterior_mass is 0.0;"),
        (DenoiseConfig, {"posterior_mass": 1.1}, "posterior_mass is 1.1"),
        (DenoiseConfig, {"prior_delay": -0.1}, "prior_delay is -0.1"),
        (DenoiseConfig, {"prior_delay": 1.1}, "prior_delay is 1.1"),
        (DenoiseConfig, {"settled": -0.1}, "settled is -0.1"),
        (DenoiseConfig, {"time_limit": 0}, "time limit is 0;"),
        (DenoiseConfig, {"time_limit": -1.0}, "time limit is -1.0"),
        (DenoiseConfig, {"time_limit": math.nan}, "time limit is nan"),
        (DenoiseConfig, {"gain": 0.0}, "gain is 0.0;"),
        (DenoiseConfig, {"gain": -2.0}, "gain is -2.0"),
        (DenoiseConfig, {"gain": math.nan}, "gain is nan"),
        (DenoiseConfig, {"gain": math.inf}, "gain is inf"),
        (DenoiseConfig, {"gain": 1.0, "readout": -1.0}, "readout is -1.0"),
        (DenoiseConfig, {"gain": 1.0, "offset": math.nan}, "offset is nan"),
        (DenoiseConfig, {"gain": 1.0, "noise_std": 5.0}, "sigma says that the noise has one"),
        (DenoiseConfig, {"readout": 2.0}, "readout belongs to photon noise and needs a gain"),
        (DenoiseConfig, {"offset": 2.0, "noise_std": 3.0}, "offset belongs to photon noise"),
        (DenoiseConfig, {"strength": 0.0}, "strength is 0.0;"),
        (DenoiseConfig, {"strength": -1.0}, "strength is -1.0"),
        (DenoiseConfig, {"strength": math.inf}, "strength is inf"),
        (DenoiseConfig, {"clipped": "forget"}, "clipped 'forget' is unknown; use one of keep, r"),
        (EvolutionConfig, {"migrants": -1}, "migrants is -1"),
        (EvolutionConfig, {"uniform_share": -0.1}, "uniform_share is -0.1"),
        (EvolutionConfig, {"uniform_share": 1.1}, "uniform_share is 1.1"),
        (EvolutionConfig, {"mutation": "guided", "crossover": True}, "drop crossover"),
        (EvolutionConfig, {"parents": 0}, "parents is 0"),
        (EvolutionConfig, {"offspring": 0}, "offspring is 0"),
        (EvolutionConfig, {"generations": 0}, "generations is 0"),
        (EvolutionConfig, {"mean_flips": 0.0}, "mean_flips is 0.0;"),
        (EvolutionConfig, {"mean_flips": math.nan}, "mean_flips is nan"),
        (EvolutionConfig, {"mutation": "wild"}, "mutation 'wild' is unknown"),
        (LearningRateConfig, {"minimum": 0.0}, "minimum is 0.0;"),
        (LearningRateConfig, {"minimum": -1.0}, "minimum is -1.0"),
        (LearningRateConfig, {"minimum": 0.2, "maximum": 0.1}, "maximum is 0.1"),
        (LearningRateConfig, {"maximum": math.nan}, "maximum is nan"),
        (LearningRateConfig, {"warm_up": -0.5}, "warm_up is -0.5"),
        (LearningRateConfig, {"warm_up": math.nan}, "warm_up is nan"),
        (LearningRateConfig, {"period": 0.0}, "period is 0.0;"),
        (LearningRateConfig, {"schedule": "weekly"}, "schedule 'weekly' is unknown"),
    ],
)
def test_refuses_what_makes_no_sense(kind: type, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        kind(**settings)
    assert reason in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_refusal_is_a_value_error_too() -> None:
    """So that a caller from Python need not know our exceptions."""
    with pytest.raises(ValueError, match="epochs"):
        DenoiseConfig(epochs=-1)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (DenoiseConfig, {"patch_size": 5.5}),
        (DenoiseConfig, {"latents": 20.5}),
        (DenoiseConfig, {"hidden": (2.5,)}),
        (DenoiseConfig, {"hidden": 128}),
        (DenoiseConfig, {"epochs": 1.5}),
        (DenoiseConfig, {"epochs": "3"}),
        (DenoiseConfig, {"initial_active": math.inf}),
        (DenoiseConfig, {"epochs": True}),
        (DenoiseConfig, {"lattice_patches": 99.5}),
        (DenoiseConfig, {"time_limit": math.inf}),
        (DenoiseConfig, {"settled": "soon"}),
        (EvolutionConfig, {"parents": 1.5}),
        (EvolutionConfig, {"mean_flips": math.inf}),
        (LearningRateConfig, {"maximum": math.inf}),
    ],
)
def test_refuses_what_is_no_whole_or_no_finite_number(kind: type, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        kind(**settings)
