"""Patches with gaps: the density of what was observed, and what it says of the rest."""

import math

import pytest
import torch
from scipy.stats import multivariate_normal

from evodenoise.config.settings import EvolutionConfig
from evodenoise.patches.grid import cosine_basis
from evodenoise.tvae.e_step import EStep
from evodenoise.tvae.evolution import Variation
from evodenoise.tvae.gaps import GappedPatches
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.states import initial_states, pack_states

LATENTS, PIXELS = 5, 16
GAPS = [[], [3], [0, 5, 6, 15], list(range(15)), list(range(16))]
"""Missing pixels of the patches of these tests."""


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.fixture(params=[False, True], ids=["means", "covariance"])
def model(request: pytest.FixtureRequest, generator: torch.Generator) -> BinaryLatentVAE:
    made = BinaryLatentVAE(
        LATENTS, (12,), PIXELS, covariance=request.param, generator=generator
    ).double()
    for parameter in made.decoder.parameters():
        parameter.data.normal_(std=0.6, generator=generator)
    made.decoder.rows.data[-1] = 0
    made.noise_variance.fill_(0.3)
    made.decoder.unlock()
    return made


@pytest.fixture
def patches(generator: torch.Generator) -> GappedPatches:
    return with_gaps(torch.randn(len(GAPS), PIXELS, generator=generator, dtype=torch.float64))


def with_gaps(pixels: torch.Tensor) -> GappedPatches:
    missing = torch.zeros(pixels.shape, dtype=torch.bool)
    for patch, gaps in zip(missing, GAPS, strict=True):
        patch[gaps] = True
    basis = cosine_basis(4, 1)
    return GappedPatches.of(pixels @ basis, missing, basis)


def seen(patch: int) -> list[int]:
    return [pixel for pixel in range(PIXELS) if pixel not in GAPS[patch]]


def some_states() -> torch.Tensor:
    codes = torch.arange(2**LATENTS)[:, None] >> torch.arange(LATENTS) & 1
    return pack_states(codes.bool())[7:11]


def pixel_moments(model: BinaryLatentVAE, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the means (M, D) and the covariances of clean and of noise, (M, D, D), of pixels."""
    basis, emission = cosine_basis(4, 1), model.decoder(states)
    variance = torch.zeros_like(emission.mean) if emission.variance is None else emission.variance
    clean = basis @ torch.diag_embed(variance) @ basis.T
    noise = (model.noise_variance * torch.eye(PIXELS, dtype=torch.float64)).expand_as(clean)
    return (emission.mean @ basis.T).detach(), clean.detach(), noise.detach()


def test_density_is_the_marginal_of_the_observed_pixels(
    model: BinaryLatentVAE, patches: GappedPatches
) -> None:
    states = some_states()
    found = model.log_joint(patches, states.expand(len(patches), -1, -1)) - model.log_prior(states)
    means, clean, noise = pixel_moments(model, states)
    pixels = patches.values @ cosine_basis(4, 1).T
    for patch in range(len(patches)):
        for state in range(len(states)):
            kept = seen(patch)
            if not kept:
                assert found[patch, state].item() == pytest.approx(0, abs=1e-6)
                continue
            spread = (clean + noise)[state][kept][:, kept]
            exact = multivariate_normal(means[state, kept].numpy(), spread.numpy())
            value = exact.logpdf(pixels[patch, kept].numpy())
            assert found[patch, state].item() == pytest.approx(value, abs=1e-6)


def test_what_the_gaps_were_filled_with_does_not_matter(
    model: BinaryLatentVAE, patches: GappedPatches, generator: torch.Generator
) -> None:
    pixels = patches.values @ cosine_basis(4, 1).T
    for patch, gaps in zip(pixels, GAPS, strict=True):
        patch[gaps] += torch.randn(len(gaps), generator=generator, dtype=torch.float64)
    states = some_states().expand(len(patches), -1, -1)
    other = with_gaps(pixels)
    torch.testing.assert_close(model.log_joint(patches, states), model.log_joint(other, states))
    for one, two in zip(
        model.clean_moments(patches, states), model.clean_moments(other, states), strict=True
    ):
        torch.testing.assert_close(one, two)


def test_clean_moments_are_those_given_the_observed_pixels(
    model: BinaryLatentVAE, patches: GappedPatches
) -> None:
    states, basis = some_states(), cosine_basis(4, 1)
    found, variance = model.clean_moments(patches, states.expand(len(patches), -1, -1))
    means, clean, noise = pixel_moments(model, states)
    pixels = patches.values @ basis.T
    for patch in range(len(patches)):
        kept = seen(patch)
        for state in range(len(states)):
            gain = clean[state][:, kept] @ torch.linalg.inv((clean + noise)[state][kept][:, kept])
            expected = means[state] + gain @ (pixels[patch, kept] - means[state, kept])
            torch.testing.assert_close(found[patch, state] @ basis.T, expected)
            spread = basis.T @ (clean[state] - gain @ clean[state][kept]) @ basis
            torch.testing.assert_close(variance[patch, state], torch.diagonal(spread))


def test_errors_and_counts_are_those_of_the_observed_pixels(patches: GappedPatches) -> None:
    pixels = patches.values @ cosine_basis(4, 1).T
    errors = patches.squared_errors(torch.zeros_like(patches.values))
    for patch in range(len(patches)):
        assert errors[patch].item() == pytest.approx(pixels[patch, seen(patch)].square().sum())
    assert int(patches.observed_values()) == sum(len(seen(patch)) for patch in range(len(patches)))


def test_gradient_is_that_of_the_density(model: BinaryLatentVAE, patches: GappedPatches) -> None:
    states = some_states().expand(len(patches), -1, -1)
    bias = model.decoder.biases[-1]

    def density(shift: torch.Tensor) -> torch.Tensor:
        bias.data += shift
        value = model.log_joint(patches, states).sum().detach()
        bias.data -= shift
        return value

    model.log_joint(patches, states).sum().backward()
    assert bias.grad is not None
    for place in (0, 7, len(bias) - 1):
        step = torch.zeros_like(bias.data)
        step[place] = 1e-5
        slope = (density(step) - density(-step)) / 2e-5
        assert bias.grad[place].item() == pytest.approx(slope.item(), rel=1e-5, abs=1e-6)


def test_the_completed_density_has_the_same_gradient(
    model: BinaryLatentVAE, patches: GappedPatches
) -> None:
    states, parameters = some_states().expand(len(patches), -1, -1), list(model.parameters())
    emission = model.decoder(states)
    exact = patches[:, None].log_likelihood(emission, model.noise_variance).sum()
    cheap = patches[:, None].surrogate_log_likelihood(emission, model.noise_variance).sum()
    expected = torch.autograd.grad(exact, parameters, retain_graph=True)
    for found, wanted in zip(torch.autograd.grad(cheap, parameters), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_candidates_are_ranked_by_the_observed_pixels(
    model: BinaryLatentVAE, patches: GappedPatches
) -> None:
    states = some_states()
    scores = model.cross_log_joints(patches, states)
    exact = model.log_joint(patches, states.expand(len(patches), -1, -1))
    torch.testing.assert_close(scores[0], exact[0])  # complete
    torch.testing.assert_close(scores[-1], model.log_prior(states))  # nothing seen
    if not model.decoder.unlocked:  # independent pixels
        torch.testing.assert_close(scores, exact)
    rough = model.rough_log_joint(patches, states.expand(len(patches), -1, -1))
    torch.testing.assert_close(rough[1:], scores[1:])


def test_an_e_step_never_lowers_the_free_energy(
    model: BinaryLatentVAE, patches: GappedPatches, generator: torch.Generator
) -> None:
    variation = Variation.of(EvolutionConfig(), LATENTS, generator=generator)
    states = initial_states(len(patches), 4, LATENTS, active=2.0, generator=generator)
    e_step = EStep.measured(model, variation, states.states[:, 0])
    before = e_step.evaluate(patches, states.states)
    after, _ = e_step(patches, before)
    gain = after.log_joints.logsumexp(1) - before.log_joints.logsumexp(1)
    assert gain.min() >= 0
    torch.testing.assert_close(
        e_step.evaluate(patches, after.states).log_joints, after.log_joints, rtol=0, atol=1e-9
    )
    assert math.isfinite(float(gain.sum()))
