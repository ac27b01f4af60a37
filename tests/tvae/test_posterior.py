"""Truncated posteriors against exact ones, by summing over all states."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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

from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.posterior import (
    expected_ones,
    posterior_mean,
    posterior_weights,
    truncate_posterior,
    truncated_free_energy,
)
from evodenoise.tvae.states import pack_states, unpack_states

quick = settings(max_examples=60, deadline=None)


def exact(latents: int, noise_std: float = 0.6) -> tuple[Tensor, Tensor, Tensor]:
    """Sum over all states: log p(x) (N,), E[z] (N, H) and E[mu(z)] (N, D)."""
    model, codes = small_model(latents, noise_std=noise_std), every_code(latents)
    with torch.no_grad():
        joints = log_joints_of(model, sample_patches(model, 12), codes).exp()
        evidence = joints.sum(1)
        posterior = joints / evidence[:, None]
        return (
            evidence.log(),
            posterior @ codes.double(),
            posterior @ means_of(model.decoder, codes),
        )


@pytest.mark.parametrize("latents", [1, 3, 6, 8])
def test_with_all_states_everything_is_exact(latents: int) -> None:
    model, states = small_model(latents), every_state(latents, 12)
    log_likelihood, ones, means = exact(latents)
    with torch.no_grad():
        log_joints = model.log_joint(CompletePatches(sample_patches(model, 12)), states)
        decoded = model.decoder(states).mean
    weights = posterior_weights(log_joints)
    torch.testing.assert_close(truncated_free_energy(log_joints), log_likelihood, rtol=0, atol=1e-5)
    torch.testing.assert_close(posterior_mean(weights, decoded), means, rtol=0, atol=1e-5)
    codes = unpack_states(states, latents).double()
    torch.testing.assert_close(posterior_mean(weights, codes), ones, rtol=0, atol=1e-5)
    sample = truncate_posterior(log_joints, states, 1.0)
    torch.testing.assert_close(expected_ones(sample, latents), ones.sum(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("latents", [3, 6, 8])
@pytest.mark.parametrize("missing", [1, 2, 4])
def test_with_fewer_states_the_free_energy_is_below_the_log_likelihood(
    latents: int, missing: int
) -> None:
    # With so much noise, every state has its share of every posterior.
    model = small_model(latents, noise_std=3.0)
    log_likelihood, _, _ = exact(latents, noise_std=3.0)
    states = some_states(12, 2**latents - missing, latents)
    with torch.no_grad():
        free_energy = truncated_free_energy(
            model.log_joint(CompletePatches(sample_patches(model, 12)), states)
        )
    assert (free_energy < log_likelihood).all()


def test_weights_of_log_joints_far_from_zero() -> None:
    log_joints = torch.tensor([[-1e6, -1e6 - 1.0], [1e6, -1e6]])
    weights = posterior_weights(log_joints)
    assert weights[0].tolist() == pytest.approx([0.7311, 0.2689], abs=1e-4)
    assert weights[1].tolist() == [1, 0]
    assert truncated_free_energy(log_joints)[1] == 1e6


# --- dropping the states that hardly count


@st.composite
def posteriors(draw: st.DrawFn) -> tuple[Tensor, Tensor, float]:
    patches, states = draw(st.integers(1, 5)), draw(st.integers(1, 16))
    source = generator(draw(st.integers(0, 2**16)))
    spread = draw(st.sampled_from([0.0, 1.0, 10.0, 1e4]))
    log_joints = spread * torch.randn(patches, states, generator=source) - 300
    mass = draw(st.sampled_from([1e-6, 0.3, 0.5, 0.9, 0.99, 1.0]))
    return log_joints, some_states(patches, states, 4), mass


@given(posteriors())
@quick
def test_the_fewest_best_states_that_carry_the_mass_are_kept(
    drawn: tuple[Tensor, Tensor, float],
) -> None:
    log_joints, states, mass = drawn
    weights = posterior_weights(log_joints.double())
    sample = truncate_posterior(log_joints, states, mass)
    assert sample.wanted == (sample.weights > 0).sum()
    for patch in range(len(states)):
        mine = (sample.owners == patch) & (sample.weights > 0)
        places = [states[patch].tolist().index(state) for state in sample.states[mine].tolist()]
        assert len(places) == len(set(places)) >= 1
        kept = weights[patch, places]
        assert kept.sum() >= mass - 1e-6
        assert kept.sum() - kept.min() < mass + 1e-6  # not one more than it takes
        dropped = weights[patch].sum() - kept.sum()
        assert dropped < 1e-6 or weights[patch].topk(len(places)).values.min() == kept.min()
        expected = (kept / kept.sum()).float()
        torch.testing.assert_close(sample.weights[mine], expected, rtol=1e-4, atol=1e-6)
        assert sample.weights[mine].sum() == pytest.approx(1.0, abs=1e-5)


def test_the_best_state_alone_may_carry_it_all() -> None:
    log_joints = torch.tensor([[-9.0, 0.0, -8.0], [-50.0, -90.0, 0.0]])
    sample = truncate_posterior(log_joints, some_states(2, 3, 4), 0.99, most=2)
    assert sorted(sample.owners.tolist()) == [0, 1]
    places = sample.owners.argsort()
    assert torch.equal(sample.states[places[0]], some_states(2, 3, 4)[0, 1])
    assert torch.equal(sample.states[places[1]], some_states(2, 3, 4)[1, 2])
    assert sample.weights.tolist() == [1, 1]


@given(posteriors())
@quick
def test_expected_ones_are_those_of_the_dense_codes(drawn: tuple[Tensor, Tensor, float]) -> None:
    log_joints, states, mass = drawn
    sample = truncate_posterior(log_joints, states, mass)
    codes = unpack_states(sample.states, 4).float()
    torch.testing.assert_close(expected_ones(sample, 4), sample.weights @ codes)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_parts_of_a_sample_are_the_sample(size: int) -> None:
    sample = truncate_posterior(
        torch.randn(9, 8, generator=generator()), pack_states(every_code(3)).expand(9, -1, -1), 0.9
    )
    parts = list(sample.split(size))
    assert all(0 < len(part.owners) <= size for part in parts)
    for name in ("owners", "states", "weights"):
        together = torch.empty_like(getattr(sample, name))
        for first, part in enumerate(parts):
            together[first :: len(parts)] = getattr(part, name)
        assert torch.equal(together, getattr(sample, name))


def test_of_equal_states_no_more_than_it_takes_are_kept() -> None:
    for mass, expected in ((0.25, 1), (0.5, 2), (0.6, 3), (0.75, 3), (1.0, 4)):
        sample = truncate_posterior(torch.zeros(1, 4), some_states(1, 4, 4), mass)
        dropped = 4 - expected
        assert sample.weights.tolist() == pytest.approx([1 / expected] * expected + [0] * dropped)


def test_of_too_short_a_list_the_lightest_are_left_out_and_the_others_stand_for_them() -> None:
    log_joints = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.9, 0.0], [0.4, 0.35, 0.25]]).log()
    sample = truncate_posterior(log_joints, some_states(3, 3, 4), 1.0, most=4)
    assert sample.owners.tolist() == [1, 0, 2, 2]
    expected = 3 / 2.15 * torch.tensor([0.9, 0.5, 0.4, 0.35])
    assert sample.weights.tolist() == pytest.approx(expected.tolist())
    assert sample.wanted == 8


def test_parts_carry_about_as_much_weight_as_each_other() -> None:
    log_joints = 3 * torch.randn(200, 6, generator=generator())
    sample = truncate_posterior(log_joints, some_states(200, 6, 4), 0.9, most=800)
    carried = [float(part.weights.sum()) for part in sample.split(200)]
    assert carried == pytest.approx([50.0] * 4, abs=1.0)
