"""From a trained model to clean patches."""

import math
from dataclasses import replace

import pytest
import torch
from oracle import (
    every_code,
    every_state,
    generator,
    log_joints_of,
    means_of,
    sample_patches,
    small_model,
)
from torch import Tensor

from evodenoise.config.settings import DenoiseConfig, EvolutionConfig, Mutation
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.posterior import truncated_free_energy
from evodenoise.tvae.reconstruction import Reconstructor, collect_codebook
from evodenoise.tvae.states import VariationalStates, initial_states

LATENTS, TRAINED = 8, 40
CONFIG = DenoiseConfig(latents=LATENTS, hidden=(7, 5), states=6, settled=0.0, settling_rounds=30)


def trained_states(model: BinaryLatentVAE, states: int = 6) -> VariationalStates:
    """Find the best states of some patches of the model, best first."""
    patches = sample_patches(model, TRAINED, seed=3)
    with torch.no_grad():
        best = log_joints_of(model, patches, every_code(LATENTS)).topk(states, dim=1)
    return VariationalStates(every_state(LATENTS)[0][best.indices], best.values)


def reconstructor(
    model: BinaryLatentVAE, config: DenoiseConfig = CONFIG, trained: VariationalStates | None = None
) -> Reconstructor:
    trained = trained or trained_states(model, config.states)
    source = generator()
    codebook = collect_codebook(
        trained.states[:, 0], config.states, LATENTS, active=2.0, generator=source
    )
    return Reconstructor.of(model, trained, config, codebook=codebook, generator=source)


def best_bound(model: BinaryLatentVAE, patches: Tensor, states: int) -> Tensor:
    """Compute the free energy that the best S states reach: (N,)."""
    with torch.no_grad():
        log_joints = log_joints_of(model, patches, every_code(LATENTS))
    return log_joints.topk(states, dim=1).values.logsumexp(1)


def exact(model: BinaryLatentVAE, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over all states: E[mu(z)] (N, D) and log p(x) (N,)."""
    codes = every_code(LATENTS)
    with torch.no_grad():
        log_joints = log_joints_of(model, patches, codes)
        return log_joints.softmax(1) @ means_of(model.decoder, codes), log_joints.logsumexp(1)


def test_with_all_states_the_estimate_is_the_posterior_mean() -> None:
    model = small_model(LATENTS)
    patches = sample_patches(model, 60)
    config = replace(CONFIG, states=2**LATENTS, settling_rounds=1)
    estimate = reconstructor(model, config)(CompletePatches(patches), None)
    means, log_likelihood = exact(model, patches)
    torch.testing.assert_close(estimate.mean, means, rtol=0, atol=1e-5)
    torch.testing.assert_close(estimate.free_energy, log_likelihood, rtol=0, atol=1e-5)


@pytest.mark.parametrize("migrants", [0, 4])
@pytest.mark.parametrize("mutation", list(Mutation))
def test_patches_never_seen_in_training(mutation: Mutation, migrants: int) -> None:
    """Nearly the best of all states are found for them."""
    model = small_model(LATENTS)
    patches = sample_patches(model, 60)
    evolution = EvolutionConfig(mutation=mutation, migrants=migrants)
    config = replace(CONFIG, evolution=evolution)
    estimate = reconstructor(model, config)(CompletePatches(patches), None)
    best = best_bound(model, patches, config.states)
    assert (estimate.free_energy <= best + 1e-9).all()
    assert (best - estimate.free_energy).mean() < 0.2
    means, _ = exact(model, patches)
    assert (estimate.mean - means).square().mean() < 0.1 * (patches - means).square().mean()


def test_states_of_known_patches_are_where_it_starts() -> None:
    """These here are the best already: a reconstruction finds nothing to improve."""
    model = small_model(LATENTS)
    trained = trained_states(model)
    patches = sample_patches(model, TRAINED, seed=3)
    places = torch.randperm(TRAINED, generator=generator(5))
    estimate = reconstructor(model, trained=trained)(CompletePatches(patches[places]), places)
    expected = truncated_free_energy(trained.log_joints)[places]
    torch.testing.assert_close(estimate.free_energy, expected)


def test_a_patch_does_no_better_for_not_being_known() -> None:
    model = small_model(LATENTS)
    patches = sample_patches(model, TRAINED, seed=3)
    config = replace(CONFIG, settling_rounds=1)
    rebuild = reconstructor(model, config)
    best = truncated_free_energy(rebuild.trained.log_joints)
    known = rebuild(CompletePatches(patches), torch.arange(TRAINED))
    torch.testing.assert_close(known.free_energy, best)
    unknown = rebuild(CompletePatches(patches), None)
    assert (unknown.free_energy <= best + 1e-9).all()


def settled_after(config: DenoiseConfig, rounds_allowed: float = math.inf) -> tuple[int, float]:
    """Count the rounds after which it could have gone on, and tell the free energy reached."""
    model = small_model(LATENTS)
    unsettled = 0

    def should_stop() -> bool:
        nonlocal unsettled
        unsettled += 1
        return unsettled >= rounds_allowed

    estimate = reconstructor(model, config)(
        CompletePatches(sample_patches(model, 60)), None, should_stop=should_stop
    )
    return unsettled, float(estimate.free_energy.mean())


SLOW = EvolutionConfig(uniform_share=1.0, migrants=0, parents=1, offspring=1)


def test_more_rounds_find_more() -> None:
    reached = [
        settled_after(replace(CONFIG, evolution=SLOW, settling_rounds=rounds))[1]
        for rounds in (1, 5, 25)
    ]
    assert reached[0] < reached[1] < reached[2]


def test_it_ends_when_the_states_have_settled() -> None:
    patient = replace(CONFIG, evolution=SLOW, settling_rounds=1000)
    unsettled, level = settled_after(replace(patient, settled=0.02))
    assert 1 < unsettled < 200
    unsettled, lower_level = settled_after(replace(patient, settled=1e6))
    assert unsettled == 0
    assert lower_level < level


def test_it_ends_in_a_hurry() -> None:
    assert settled_after(replace(CONFIG, evolution=SLOW, settled=0.0), rounds_allowed=3)[0] == 3


def test_model_and_trained_states_are_left_alone() -> None:
    model = small_model(LATENTS)
    trained = trained_states(model)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    states, log_joints = trained.states.clone(), trained.log_joints.clone()
    rebuild = reconstructor(model, trained=trained)
    for known in (torch.arange(30), None):
        rebuild(CompletePatches(sample_patches(model, 30)), known)
    assert torch.equal(trained.states, states)
    assert torch.equal(trained.log_joints, log_joints)
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name])


@pytest.mark.parametrize("states", [1, 6, 200])
def test_few_trained_patches_with_few_different_states(states: int) -> None:
    """Even if all of them agree, every unknown patch gets S distinct states to start from."""
    model = small_model(LATENTS)
    one = initial_states(1, states, LATENTS, active=2.0, generator=generator())
    trained = VariationalStates(one.states.expand(5, -1, -1), one.log_joints.expand(5, -1))
    config = replace(CONFIG, states=states)
    patches = sample_patches(model, 60)
    estimate = reconstructor(model, config, trained)(CompletePatches(patches), None)
    _, log_likelihood = exact(model, patches)
    assert estimate.free_energy.isfinite().all()
    assert (estimate.free_energy <= log_likelihood + 1e-9).all()
