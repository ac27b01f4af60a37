"""The model against its definition, with all states listed."""

import math
from collections.abc import Callable
from itertools import pairwise

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
    some_states,
)
from torch import Tensor

from evodenoise.tvae.decoder import Emission
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.posterior import truncated_free_energy
from evodenoise.tvae.states import pack_states, unpack_states

LATENTS = 6


def linear_model(seed: int = 0) -> BinaryLatentVAE:
    """Make a model whose hidden layers never leave the linear part of their activation."""
    model = small_model(LATENTS, seed=seed)
    with torch.no_grad():
        model.decoder.bias += 100
        for weight, bias in zip(model.decoder.weights, model.decoder.biases, strict=True):
            bias -= 100 * weight.sum(1)
            if bias is not model.decoder.biases[-1]:
                bias += 100
    assert len(model.decoder.weights) == 2
    return model


def true_gains(model: BinaryLatentVAE, patches: Tensor, states: Tensor) -> Tensor:
    """Evaluate by definition how log p(x, z) changes with each flip: (N, P, H)."""
    codes = unpack_states(states, model.latents)
    flips = torch.eye(model.latents).bool()
    flipped = codes[:, :, None] ^ flips
    after = log_joints_of(model, patches, flipped.flatten(1, 2)).view(flipped.shape[:-1])
    return after - log_joints_of(model, patches, codes)[..., None]


# --- log-joint


@pytest.mark.parametrize(("latents", "hidden"), [(1, (3,)), (4, (5,)), (6, (7, 5)), (8, (4, 4, 4))])
def test_log_joint_follows_its_definition(latents: int, hidden: tuple[int, ...]) -> None:
    model = small_model(latents, hidden)
    patches = sample_patches(model, 11)
    expected = log_joints_of(model, patches, every_code(latents))
    torch.testing.assert_close(
        model.log_joint(CompletePatches(patches), every_state(latents, 11)), expected
    )


def test_log_joint_of_many_patches_is_that_of_each() -> None:
    """More than the processor's cache would hold at once."""
    model = small_model(LATENTS)
    patches = sample_patches(model, 1000)
    states = some_states(1000, 10, LATENTS)
    together = model.log_joint(CompletePatches(patches), states)
    expected = log_joints_of(model, patches, unpack_states(states, LATENTS))
    torch.testing.assert_close(together, expected)


def test_the_prior_is_normalised() -> None:
    assert small_model(8).log_prior(every_state(8)).exp().sum() == pytest.approx(1.0)


def test_the_likelihood_is_normalised() -> None:
    """Over one pixel it integrates to 1."""
    model = small_model(2, pixels=1)
    values = torch.linspace(-20, 20, 4001).double()[:, None]
    with torch.no_grad():
        densities = model.log_joint(CompletePatches(values), every_state(2, 4001)).exp().sum(1)
    assert torch.trapezoid(densities, values[:, 0]) == pytest.approx(1.0)


def test_a_new_model_expects_as_many_ones_as_it_is_told() -> None:
    model = BinaryLatentVAE(20, (8,), 9, active=1.5, generator=generator())
    assert model.active == pytest.approx(1.5)
    crowded = BinaryLatentVAE(3, (8,), 9, active=20.0, generator=generator())
    assert torch.isfinite(crowded.log_prior(every_state(3))).all()


def test_cross_log_joints_are_log_joints_of_all_pairs() -> None:
    model = small_model(LATENTS)
    patches = sample_patches(model, 13)
    states = pack_states(every_code(LATENTS)[::3])
    expected = model.log_joint(CompletePatches(patches), states.expand(13, -1, -1))
    torch.testing.assert_close(model.cross_log_joints(CompletePatches(patches), states), expected)


# --- gains of flips


def scaled_error(estimate: Tensor, truth: Tensor) -> float:
    """Largest error, in units of the largest value: bfloat16 keeps 8 bits of each factor."""
    return float(((estimate - truth).abs().max() / truth.abs().max()).detach())


def test_gains_are_exact_for_a_linear_decoder() -> None:
    model = linear_model()
    patches, states = sample_patches(model, 15), some_states(15, 4, LATENTS)
    curvature = model.flip_curvature(some_states(1, 20, LATENTS)[0])
    gains = model.flip_gains(CompletePatches(patches), states, curvature)
    assert scaled_error(gains, true_gains(model, patches, states)) < 0.02


def test_curvature_is_half_the_mean_squared_effect_over_the_noise_variance() -> None:
    model = small_model(LATENTS)
    states = some_states(1, 20, LATENTS)[0]
    codes = unpack_states(states, LATENTS)
    expected = []
    for bit in range(LATENTS):
        flipped = codes ^ (torch.arange(LATENTS) == bit)
        effect = means_of(model.decoder, flipped) - means_of(model.decoder, codes)
        expected.append(effect.square().sum(1).mean() / (2 * model.noise_variance))
    torch.testing.assert_close(model.flip_curvature(states), torch.stack(expected))


def test_gains_follow_the_slope() -> None:
    """Against a finite difference on the way from each state towards its flipped neighbour."""
    model, step = small_model(LATENTS), 1e-6
    patches, states = sample_patches(model, 15), some_states(15, 4, LATENTS)
    codes = unpack_states(states, LATENTS)
    towards = 1.0 - 2.0 * codes.double()  # 0 becomes 1, 1 becomes 0

    def likelihood(dense: Tensor) -> Tensor:
        error = means_of(model.decoder, dense) - patches[:, None, None]
        return -error.square().sum(-1) / (2 * model.noise_variance)

    moved = codes.double()[:, :, None] + step * torch.diag_embed(towards)
    slopes = (likelihood(moved) - likelihood(codes.double()[:, :, None])) / step
    expected = slopes + towards * model.prior.logit()
    gains = model.flip_gains(CompletePatches(patches), states, torch.zeros(LATENTS))
    assert scaled_error(gains, expected) < 0.02


def test_gains_are_those_of_the_prior_where_the_decoder_is_deaf() -> None:
    model = small_model(LATENTS)
    with torch.no_grad():
        model.decoder.rows.zero_()
    patches, states = sample_patches(model, 5), some_states(5, 4, LATENTS)
    gains = model.flip_gains(CompletePatches(patches), states, torch.zeros(LATENTS))
    assert scaled_error(gains, true_gains(model, patches, states)) < 0.005


@pytest.mark.parametrize("seed", range(3))
def test_gains_tell_good_flips_from_bad_ones(seed: int) -> None:
    """For a decoder that is not linear they only estimate, but well enough to propose."""
    model = small_model(10, (16,), 16, noise_std=1.0, seed=seed)
    patches, states = sample_patches(model, 100), some_states(100, 2, 10)
    curvature = model.flip_curvature(some_states(1, 64, 10)[0])
    estimated = model.flip_gains(CompletePatches(patches), states, curvature).detach().flatten(0, 1)
    truth = true_gains(model, patches, states).detach().flatten(0, 1)
    correlation = torch.corrcoef(torch.stack([estimated.flatten(), truth.flatten()]))[0, 1]
    assert correlation > 0.8
    chosen = truth.gather(1, estimated.argmax(1, keepdim=True))
    by_chance = truth.mean(1, keepdim=True)
    assert (chosen > by_chance).float().mean() > 0.9
    assert (chosen > 0).float().mean() > 0.9 * (truth.amax(1) > 0).float().mean()
    slope_alone = (
        model.flip_gains(CompletePatches(patches), states, torch.zeros(10)).detach().flatten(0, 1)
    )
    assert (estimated - truth).abs().mean() < (slope_alone - truth).abs().mean()


def test_gains_change_nothing_in_the_model() -> None:
    model = small_model(LATENTS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.flip_gains(
            CompletePatches(sample_patches(model, 3)),
            some_states(3, 2, LATENTS),
            torch.zeros(LATENTS),
        )
        model.flip_curvature(some_states(1, 9, LATENTS)[0])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in model.parameters())


# --- closed-form updates


def truncated(model: BinaryLatentVAE, patches: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """Compute q_n(z) and the squared errors of some states: (N, S) each."""
    codes = unpack_states(states, model.latents)
    with torch.no_grad():
        weights = log_joints_of(model, patches, codes).softmax(1)
        errors = (means_of(model.decoder, codes) - patches[:, None]).square().sum(-1)
    return weights, errors


def update(model: BinaryLatentVAE, patches: Tensor, states: Tensor) -> None:
    weights, errors = truncated(model, patches, states)
    ones = (weights[..., None] * unpack_states(states, model.latents)).sum((0, 1))
    model.update_prior(ones, len(patches))
    model.update_noise_variance((weights * errors).sum(), patches.numel())


def other_sample(model: BinaryLatentVAE, patches: int) -> Tensor:
    """Draw patches that the model does not fit yet: another noise level, another prior."""
    with torch.no_grad():
        source = small_model(model.latents, noise_std=1.1, seed=5)
    return sample_patches(source, patches)


@pytest.mark.parametrize("states", [1, 4, 2**LATENTS])
def test_the_updates_maximise_the_expected_log_joint(states: int) -> None:
    """Against a search, at fixed q, along each of pi_h and sigma^2."""
    model = small_model(LATENTS)
    patches, chosen = other_sample(model, 60), some_states(60, states, LATENTS)
    weights, _ = truncated(model, patches, chosen)
    update(model, patches, chosen)
    codes = unpack_states(chosen, LATENTS)

    def expected_log_joint() -> float:
        with torch.no_grad():
            return float((weights * log_joints_of(model, patches, codes)).sum())

    def maximiser(low: float, high: float, attempt: Callable[[float], None]) -> float:
        for _ in range(35):  # golden-section search
            left, right = high - 0.618034 * (high - low), low + 0.618034 * (high - low)
            attempt(left)
            value = expected_log_joint()
            attempt(right)
            low, high = (left, high) if value < expected_log_joint() else (low, right)
        return (low + high) / 2

    found = float(model.noise_variance)
    assert maximiser(0.01, 20, model.noise_variance.fill_) == pytest.approx(found, rel=1e-4)
    model.noise_variance.fill_(found)
    margin = 0.5 / 60
    for bit in range(LATENTS):
        found = float(model.prior[bit])
        best = maximiser(1e-6, 1 - 1e-6, model.prior[bit].fill_)
        assert min(max(best, margin), 1 - margin) == pytest.approx(found, abs=1e-4)
        model.prior[bit] = found


@pytest.mark.parametrize("states", [1, 4, 2**LATENTS])
@pytest.mark.parametrize("seed", range(4))
def test_the_updates_never_lower_the_free_energy(states: int, seed: int) -> None:
    model = small_model(LATENTS, seed=seed)
    patches, chosen = other_sample(model, 60), some_states(60, states, LATENTS, seed=seed)
    history = []
    for _ in range(6):
        with torch.no_grad():
            history.append(
                float(
                    truncated_free_energy(model.log_joint(CompletePatches(patches), chosen)).sum()
                )
            )
        update(model, patches, chosen)
    assert all(after >= before - 1e-9 for before, after in pairwise(history))
    assert history[1] > history[0] + 1


def test_a_latent_that_nobody_or_everybody_uses_may_change_its_mind() -> None:
    """Its probability stays off 0 and 1, where its log-prior would be infinite."""
    model = small_model(3)
    model.update_prior(torch.tensor([0.0, 50.0, 100.0]).double(), 100)
    assert model.prior[1] == pytest.approx(0.5)
    assert 0 < model.prior[0] < 0.01
    assert 0.99 < model.prior[2] < 1
    assert torch.isfinite(model.log_prior(every_state(3))).all()


@pytest.mark.parametrize("patches", [1, 2])
def test_the_prior_of_very_few_patches_is_finite(patches: int) -> None:
    model = small_model(2)
    model.update_prior(torch.tensor([0.0, float(patches)]).double(), patches)
    assert torch.isfinite(model.log_prior(every_state(2))).all()


def test_without_any_error_the_noise_does_not_vanish() -> None:
    model = small_model(2).float()
    model.update_noise_variance(torch.tensor(0.0), 10)
    assert 0 < model.noise_variance < 1e-3
    nothing = CompletePatches(torch.zeros(model.pixels))
    density = nothing.log_likelihood(Emission(nothing.values, None), model.noise_variance)
    assert math.isfinite(float(density))
