"""Evolution against a table of the log-joints of all states: it only improves, and it arrives."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from oracle import are_distinct, code_sets, every_code, every_state, generator, some_states
from torch import Tensor

from evodenoise.config.settings import EvolutionConfig, Mutation
from evodenoise.errors import ConfigError
from evodenoise.tvae.evolution import Variation, evolve
from evodenoise.tvae.states import (
    VariationalStates,
    hash_keys,
    keep_best,
    pack_states,
    unpack_states,
)

LATENTS = 6


class Table:
    """A scorer that knows the log-joint of every state of every patch: values (N, 2^H)."""

    def __init__(self, values: Tensor, *, misleading: bool = False) -> None:
        self.values, self.misleading = values, misleading

    def numbers(self, states: Tensor) -> Tensor:
        return unpack_states(states, LATENTS).long() @ (1 << torch.arange(LATENTS))

    def log_joint(self, states: Tensor) -> Tensor:
        return self.values.gather(1, self.numbers(states))

    def flip_gains(self, states: Tensor) -> Tensor:
        numbers = self.numbers(states)
        flipped = numbers[..., None] ^ (1 << torch.arange(LATENTS))
        gains = self.values.gather(1, flipped.flatten(1)).view(flipped.shape)
        gains = gains - self.values.gather(1, numbers)[..., None]
        return -gains if self.misleading else gains

    def cross_log_joints(self, states: Tensor) -> Tensor:
        scores = self.values[:, self.numbers(states)]
        return -scores if self.misleading else scores


def rugged(patches: int = 12, *, seed: int = 0) -> Tensor:
    """Draw log-joints without any structure."""
    return 5 * torch.randn(patches, 2**LATENTS, generator=generator(seed))


def smooth(patches: int = 12, *, seed: int = 0) -> Tensor:
    """Draw log-joints that are linear in the code: single flips lead from any state to the best."""
    slopes = torch.randn(patches, LATENTS, generator=generator(seed))
    return slopes @ every_code(LATENTS).float().T


def start(table: Table, states: int = 5, *, seed: int = 0) -> VariationalStates:
    codes = some_states(len(table.values), states, LATENTS, seed=seed)
    return VariationalStates(codes, table.log_joint(codes))


def variation(config: EvolutionConfig, *, seed: int = 0) -> Variation:
    source = generator(seed)
    return Variation(config, LATENTS, hash_keys(LATENTS, generator=source), source)


def configs() -> list[EvolutionConfig]:
    choices: dict[str, list[Any]] = {
        "mutation": list(Mutation),
        "crossover": [False, True],
        "generations": [1, 3],
        "migrants": [0, 3],
        "uniform_share": [0.25],
    }
    found = []
    for values in product(*choices.values()):
        try:
            found.append(EvolutionConfig(**dict(zip(choices, values, strict=True))))
        except ConfigError:
            continue
    guided = EvolutionConfig(mutation=Mutation.GUIDED)
    return [*found, replace(guided, uniform_share=0.0), replace(guided, uniform_share=1.0)]


def name(config: EvolutionConfig) -> str:
    return (
        f"{config.mutation}-{config.generations}"
        f"{'-crossover' if config.crossover else ''}{'-migrants' if config.migrants else ''}"
        f"-{config.uniform_share}"
    )


every_config = pytest.mark.parametrize("config", configs(), ids=name)


@every_config
@pytest.mark.parametrize("misleading", [False, True])
def test_no_patch_gets_worse(config: EvolutionConfig, misleading: bool) -> None:
    """Whatever the estimates are worth, they only propose."""
    table = Table(rugged(), misleading=misleading)
    current, vary = start(table), variation(config)
    for _ in range(4):
        better, replaced = evolve(current, table, vary, active=2.0)
        old = current.log_joints.sort(1, descending=True).values
        new = better.log_joints.sort(1, descending=True).values
        assert (new >= old).all()
        assert torch.equal(better.log_joints, table.log_joint(better.states))
        assert are_distinct(better.states, LATENTS)
        gone = [
            len(after - before)
            for before, after in zip(
                code_sets(current.states, LATENTS), code_sets(better.states, LATENTS), strict=True
            )
        ]
        # A newcomer may be ousted by the next generation.
        if config.generations == 1:
            assert replaced.tolist() == gone
        else:
            assert (replaced >= torch.tensor(gone)).all()
        current = better


@every_config
def test_most_patches_get_better(config: EvolutionConfig) -> None:
    table = Table(rugged())
    current = start(table)
    better, _ = evolve(current, table, variation(config), active=2.0)
    improved = (better.log_joints > current.log_joints.sort(1, descending=True).values).any(1)
    assert improved.float().mean() >= 0.7


@every_config
def test_nothing_gets_better_than_the_best(config: EvolutionConfig) -> None:
    table = Table(rugged())
    best = table.values.topk(5, dim=1)
    codes = pack_states(every_code(LATENTS)[best.indices])
    current = VariationalStates(codes, table.log_joint(codes))
    after, replaced = evolve(current, table, variation(config), active=2.0)
    assert torch.equal(after.log_joints, best.values)
    assert not replaced.any()


@pytest.mark.parametrize("crossover", [False, True])
@pytest.mark.parametrize("migrants", [0, 3])
@pytest.mark.parametrize("mutation", list(Mutation))
def test_the_best_states_are_found(mutation: Mutation, crossover: bool, migrants: int) -> None:
    """Given time, K_n holds the states of the highest log-joints of all."""
    if mutation is Mutation.GUIDED:
        crossover = False
    config = EvolutionConfig(mutation=mutation, crossover=crossover, migrants=migrants)
    table = Table(smooth())
    current, vary = start(table), variation(config)
    for _ in range(200):
        current, _ = evolve(current, table, vary, active=3.0)
    assert torch.equal(current.log_joints, table.values.topk(5, dim=1).values)


def test_good_advice_helps() -> None:
    """Guided by exact gains, evolution is faster than by chance."""
    table, reached = Table(smooth(200)), []
    for uniform_share in (0.25, 1.0):
        config = EvolutionConfig(uniform_share=uniform_share, migrants=0)
        current, vary = start(table), variation(config)
        for _ in range(2):
            current, _ = evolve(current, table, vary, active=3.0)
        reached.append(current.log_joints.logsumexp(1).mean())
    assert reached[0] > reached[1] + 0.1


@pytest.mark.parametrize("states", [1, 2])
@pytest.mark.parametrize("mutation", list(Mutation))
def test_fewer_states_than_parents(states: int, mutation: Mutation) -> None:
    table = Table(rugged())
    config = EvolutionConfig(mutation=mutation, parents=5, generations=2)
    better, _ = evolve(start(table, states), table, variation(config), active=2.0)
    assert better.states.shape[:2] == (12, states)
    assert are_distinct(better.states, LATENTS)


# --- migration


class Deaf(Table):
    """A scorer that must not be asked about the states of others."""

    def cross_log_joints(self, states: Tensor) -> Tensor:
        raise AssertionError(f"asked about {len(states)} states")


SHAPE_ONLY = [
    EvolutionConfig(uniform_share=1.0, generations=3, migrants=0),
    EvolutionConfig(generations=2, migrants=0),
]
"""Operators that draw as many random numbers whatever the states are."""


@pytest.mark.parametrize("config", SHAPE_ONLY, ids=name)
def test_without_migration_a_patch_is_on_its_own(config: EvolutionConfig) -> None:
    """With the same random numbers, other partners in the batch change nothing."""
    results = []
    for values in (rugged(), torch.cat([rugged()[:1], 100 * rugged(seed=1)[1:]])):
        table = Deaf(values)
        result, _ = evolve(start(table), table, variation(config), active=2.0)
        results.append(result)
    assert torch.equal(results[0].log_joints[0], results[1].log_joints[0])
    first, second = (code_sets(result.states, LATENTS)[0] for result in results)
    assert first == second


@pytest.mark.parametrize("mutation", list(Mutation))
def test_migration_only_adds_candidates(mutation: Mutation) -> None:
    results = []
    for migrants in (0, 3):
        table = Table(rugged())
        config = EvolutionConfig(mutation=mutation, migrants=migrants)
        result, _ = evolve(start(table), table, variation(config), active=2.0)
        results.append(result.log_joints)
    alone, together = results
    assert (together >= alone).all()
    assert (together > alone).any()


def after_migration(table: Table, migrants: int, pool: Tensor | None = None) -> VariationalStates:
    """Let nothing but migration change the states that all start with."""
    current, vary = start(table), variation(EvolutionConfig(migrants=migrants))
    offered = vary.migrants(current, table, pool)
    candidates = VariationalStates(offered, table.log_joint(offered))
    return keep_best(current, candidates, vary.keys, LATENTS)[0]


def test_every_patch_is_offered_the_best_states_of_the_others() -> None:
    table = Table(rugged())
    current = start(table)
    best = current.choose(current.log_joints.argmax(1, keepdim=True)).states[:, 0]
    numbers = table.numbers(best).unique()
    after = after_migration(table, 50)
    for patch in range(12):
        known = {*table.numbers(current.states[patch]).tolist(), *numbers.tolist()}
        expected = table.values[patch, sorted(known)].topk(5).values
        assert torch.equal(after.log_joints[patch], expected)


def test_a_migrant_pool_is_offered_to_every_patch() -> None:
    table = Table(rugged())
    after = after_migration(table, 50, every_state(LATENTS)[0])
    # 50 of the 64 states are tried, the most suitable ones: the best five are among them.
    assert torch.equal(after.log_joints, table.values.topk(5, dim=1).values)


def test_of_the_migrants_the_most_suitable_ones_come() -> None:
    table = Table(rugged())
    after = after_migration(table, 1, every_state(LATENTS)[0])
    assert torch.equal(after.log_joints[:, 0], table.values.amax(1))
