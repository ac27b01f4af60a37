"""The E-step with a real model, in the precision of production."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from oracle import are_distinct, generator, sample_patches, small_model
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evodenoise.config.settings import EvolutionConfig, Mutation
from evodenoise.tvae import model as model_module
from evodenoise.tvae.e_step import CURVATURE_SAMPLE, EStep
from evodenoise.tvae.evolution import Variation
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.posterior import truncated_free_energy
from evodenoise.tvae.states import VariationalStates, hash_keys, hash_states, initial_states

LATENTS, STATES, PATCHES = 40, 6, 50
on_every_device = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
        ),
    ],
)
EVOLUTIONS = {
    "guided": EvolutionConfig(),
    "guided, twice": EvolutionConfig(generations=2, migrants=0),
    "uniform": EvolutionConfig(uniform_share=1.0),
    "sparse": EvolutionConfig(mutation=Mutation.SPARSE),
    "published": EvolutionConfig(
        mutation=Mutation.SPARSE, crossover=True, parents=5, generations=4, migrants=0
    ),
}
every_evolution = pytest.mark.parametrize("evolution", EVOLUTIONS.values(), ids=EVOLUTIONS)


def production_model(seed: int = 0) -> BinaryLatentVAE:
    model = small_model(LATENTS, (16,), 16, noise_std=0.4, seed=seed).float()
    model.prior.mul_(0.2)
    return model


def prepare(
    model: BinaryLatentVAE,
    patches: Tensor,
    evolution: EvolutionConfig,
    *,
    device: str = "cpu",
    seed: int = 1,
) -> tuple[EStep, VariationalStates]:
    source = torch.Generator(device).manual_seed(seed)
    variation = Variation.of(evolution, LATENTS, generator=source)
    first = initial_states(len(patches), STATES, LATENTS, active=2.0, generator=source)
    step = EStep.measured(model, variation, first.states[:, 0])
    return step, step.evaluate(CompletePatches(patches), first.states)


def precise_log_joint(model: BinaryLatentVAE, patches: Tensor, states: Tensor) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(model).double().log_joint(CompletePatches(patches.double()), states)


@on_every_device
@every_evolution
def test_no_patch_gets_worse(evolution: EvolutionConfig, device: str) -> None:
    model = production_model()
    patches = sample_patches(model, PATCHES).to(device)
    step, current = prepare(model.to(device), patches, evolution, device=device)
    first = current
    for _ in range(4):
        better, replaced = step(CompletePatches(patches), current)
        old, new = (each.log_joints.sort(1).values for each in (current, better))
        assert (new >= old).all()
        assert ((new > old).any(1) == (replaced > 0)).all()
        assert are_distinct(better.states.cpu(), LATENTS)
        torch.testing.assert_close(
            better.log_joints,
            precise_log_joint(model, patches, better.states).float(),
            rtol=1e-5,
            atol=1e-3,
        )
        current = better
    gain = truncated_free_energy(current.log_joints) - truncated_free_energy(first.log_joints)
    assert (gain > 0).float().mean() > 0.5


@pytest.mark.parametrize("evolution", [EVOLUTIONS["guided"], EVOLUTIONS["sparse"]])
def test_only_direct_evaluations_are_kept(
    evolution: EvolutionConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bright patches, what pre-selects is off by many nats; what is kept is not."""
    monkeypatch.setattr(model_module, "proposal_dtype", lambda _: torch.bfloat16)
    model = production_model()
    with torch.no_grad():
        model.decoder.biases[-1] += 1000
        model.noise_variance.fill_(0.01)
    patches = sample_patches(model, PATCHES)
    step, current = prepare(model, patches, evolution)
    for _ in range(3):
        better, _ = step(CompletePatches(patches), current)
        assert (better.log_joints.sort(1).values >= current.log_joints.sort(1).values).all()
        current = better
    error = current.log_joints - precise_log_joint(model, patches, current.states)
    assert error.abs().max() < 0.5
    with torch.no_grad():
        rough = model.cross_log_joints(CompletePatches(patches), current.states[:, 0]).diagonal()
    assert (rough - current.log_joints[:, 0]).abs().max() > 5


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_the_precision_of_proposals_decides_nothing_else(
    precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "proposal_dtype", lambda _: precision)
    model = production_model()
    patches = sample_patches(model, PATCHES)
    step, current = prepare(model, patches, EvolutionConfig(migrants=0))
    better, _ = step(CompletePatches(patches), current)
    assert (better.log_joints.sort(1).values >= current.log_joints.sort(1).values).all()
    torch.testing.assert_close(
        better.log_joints, model.log_joint(CompletePatches(patches), better.states).detach()
    )


@pytest.mark.parametrize(
    "evolution",
    [
        EvolutionConfig(mutation=Mutation.GUIDED, generations=2, migrants=0),
        EvolutionConfig(uniform_share=1.0, generations=2, migrants=0),
    ],
    ids=["guided", "uniform"],
)
def test_without_migration_a_patch_is_on_its_own(evolution: EvolutionConfig) -> None:
    """With the same random numbers, other partners in the batch change nothing, to the bit."""
    model = production_model()
    patches = sample_patches(model, PATCHES)
    others = torch.cat([patches[:1], 3 * sample_patches(model, PATCHES - 1, seed=9)])
    hashes, values = [], []
    for batch in (patches, others):
        step, current = prepare(model, batch, evolution)
        for _ in range(3):
            current, _ = step(CompletePatches(batch), current)
        keys = hash_keys(LATENTS, generator=generator())
        hashes.append(hash_states(current.states, keys))
        values.append(current.log_joints)
    assert torch.equal(hashes[0][0], hashes[1][0])
    assert torch.equal(values[0][0], values[1][0])
    assert not torch.equal(hashes[0][1:], hashes[1][1:])


@pytest.mark.parametrize("name", ["guided", "uniform", "sparse"])
def test_migration_only_adds_candidates(name: str) -> None:
    model = production_model()
    patches = sample_patches(model, PATCHES)
    alone, together = [], []
    for results, migrants in ((alone, 0), (together, 4)):
        step, current = prepare(model, patches, replace(EVOLUTIONS[name], migrants=migrants))
        results.append(step(CompletePatches(patches), current)[0].log_joints.sort(1).values)
    assert (together[0] >= alone[0]).all()
    assert (together[0] > alone[0]).any()


def test_migrant_pool_help_whom_they_fit() -> None:
    """A patch that starts far off is told the right state at once."""
    model = production_model()
    patches = sample_patches(model, PATCHES)
    step, current = prepare(model, patches, EVOLUTIONS["guided"])
    settled = current
    for _ in range(20):
        settled, _ = step(CompletePatches(patches), settled)
    step, current = prepare(model, patches, EVOLUTIONS["sparse"], seed=7)
    helped, _ = step(CompletePatches(patches), current, migrant_pool=settled.states[:, 0])
    assert (helped.log_joints[:, 0] >= settled.log_joints[:, 0] - 1e-3).all()


def test_the_same_random_numbers_give_the_same_states() -> None:
    model = production_model()
    patches = sample_patches(model, PATCHES)
    results = []
    for seed in (1, 1, 2):
        step, current = prepare(model, patches, EVOLUTIONS["sparse"], seed=seed)
        results.append(step(CompletePatches(patches), current)[0].log_joints)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


class Allocations(TorchDispatchMode):
    """Take down the largest piece of memory that any operation returns, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.largest = max(self.largest, leaf.untyped_storage().nbytes())
        return result


@every_evolution
def test_no_memory_for_every_bit_of_every_state(evolution: EvolutionConfig) -> None:
    """N x S x H values are never there at once, not even as bytes."""
    latents, states, patches = 2000, 100, 60
    source = generator()
    model = BinaryLatentVAE(latents, (16,), 16, generator=source)
    evolution = replace(evolution, parents=2)
    data = torch.randn(patches, 16, generator=source)
    first = initial_states(patches, states, latents, active=2.0, generator=source)
    with Allocations() as allocations:
        variation = Variation.of(evolution, latents, generator=source)
        step = EStep.measured(model, variation, first.states[:, 0])
        step(CompletePatches(data), step.evaluate(CompletePatches(data), first.states))
    assert 0 < allocations.largest < patches * states * latents


def test_the_curvature_is_that_of_the_model_at_states_in_use() -> None:
    model = production_model()
    states = initial_states(80, 1, LATENTS, active=2.0, generator=generator()).states[:, 0]
    vary = Variation.of(EvolutionConfig(), LATENTS, generator=generator())
    measured = EStep.measured(model, vary, states).curvature
    assert (measured > 0).all()
    assert torch.equal(measured, model.flip_curvature(states[:CURVATURE_SAMPLE]).detach())


def test_forks_draw_random_numbers_of_their_own() -> None:
    """One seed for all threads would let all mini-batches try the same flips."""
    model = production_model()
    patches = sample_patches(model, PATCHES)
    step, current = prepare(model, patches, EVOLUTIONS["sparse"])
    found = []
    for fork in (step.fork(model), step.fork(model)):
        better, _ = fork(CompletePatches(patches), current)
        found.append(better.log_joints)
    assert not torch.equal(found[0], found[1])
    again, _ = prepare(model, patches, EVOLUTIONS["sparse"])
    repeated, _ = again.fork(model)(CompletePatches(patches), current)
    assert torch.equal(repeated.log_joints, found[0])
