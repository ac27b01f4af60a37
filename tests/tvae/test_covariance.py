"""The decoder's covariance: one Gaussian density, its posterior, and when it is unlocked."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from evodenoise.config.settings import DenoiseConfig, EvolutionConfig, LearningRateConfig
from evodenoise.patches.grid import cosine_basis
from evodenoise.tvae.e_step import EStep
from evodenoise.tvae.evolution import Variation
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.schedule import StopReason
from evodenoise.tvae.states import initial_states, pack_states
from evodenoise.tvae.training import fit

LATENTS, PIXELS = 6, 16


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def model(generator: torch.Generator) -> BinaryLatentVAE:
    """A model of 4 x 4 patches with variances that differ from code to code."""
    made = BinaryLatentVAE(LATENTS, (12,), PIXELS, covariance=True, generator=generator)
    made.decoder.weights[-1].data[PIXELS:].normal_(generator=generator)
    made.decoder.biases[-1].data[PIXELS:].normal_(generator=generator)
    made.noise_variance.fill_(0.3)
    made.decoder.unlock()
    return made.double()


def every_state() -> torch.Tensor:
    codes = torch.arange(2**LATENTS)[:, None] >> torch.arange(LATENTS) & 1
    return pack_states(codes.bool())


def coefficients(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(count, PIXELS, generator=generator, dtype=torch.float64)


def test_density_is_that_of_the_full_covariance_in_pixels(
    model: BinaryLatentVAE, generator: torch.Generator
) -> None:
    basis = cosine_basis(4, 1)
    patch, states = coefficients(1, generator), every_state()[5:9]
    emission = model.decoder(states)
    found = model.log_joint(CompletePatches(patch), states[None])[0] - model.log_prior(states)
    for place in range(len(states)):
        spread = torch.diag(emission.variance[place] + model.noise_variance)
        exact = multivariate_normal(
            (emission.mean[place] @ basis.T).detach().numpy(),
            (basis @ spread @ basis.T).detach().numpy(),
        ).logpdf((patch[0] @ basis.T).numpy())
        assert found[place].item() == pytest.approx(exact, abs=1e-9)


def test_clean_moments_are_those_of_the_joint_gaussian(
    model: BinaryLatentVAE, generator: torch.Generator
) -> None:
    patch, states = coefficients(1, generator), every_state()[None, 7:8]
    mean, variance = model.clean_moments(CompletePatches(patch), states)
    emission = model.decoder(states[0])
    prior = 1 / emission.variance[0]
    data = 1 / model.noise_variance
    exact = (prior * emission.mean[0] + data * patch[0]) / (prior + data)
    torch.testing.assert_close(mean[0, 0], exact)
    torch.testing.assert_close(variance[0, 0], 1 / (prior + data))


def test_without_covariance_the_estimate_is_the_mean(generator: torch.Generator) -> None:
    plain = BinaryLatentVAE(LATENTS, (12,), PIXELS, generator=generator)
    states = every_state()[None, 3:5]
    mean, variance = plain.clean_moments(
        CompletePatches(torch.randn(1, PIXELS, generator=generator)), states
    )
    torch.testing.assert_close(mean[0], plain.decoder(states[0]).mean)
    assert not variance.any()


def test_free_energy_is_exact_with_all_states(
    model: BinaryLatentVAE, generator: torch.Generator
) -> None:
    patches, states = coefficients(3, generator), every_state()
    total = torch.zeros(3, dtype=torch.float64)
    for code in range(2**LATENTS):
        total += model.log_joint(CompletePatches(patches), states[code].expand(3, 1, -1))[
            :, 0
        ].exp()
    bound = model.log_joint(CompletePatches(patches), states.expand(3, -1, -1)).logsumexp(1)
    torch.testing.assert_close(bound, total.log(), atol=1e-5, rtol=0)


def test_ranking_by_matrix_products_agrees(
    model: BinaryLatentVAE, generator: torch.Generator
) -> None:
    patches, states = coefficients(5, generator), every_state()
    direct = model.log_joint(CompletePatches(patches), states.expand(5, -1, -1))
    torch.testing.assert_close(model.cross_log_joints(CompletePatches(patches), states), direct)


def test_flip_gains_see_the_variances(model: BinaryLatentVAE, generator: torch.Generator) -> None:
    """The slope equals a finite difference of the log-joint along each latent."""
    patches, states = coefficients(2, generator), every_state()[None, 9:10].expand(2, -1, -1)
    nothing = torch.zeros(LATENTS, dtype=torch.float64)
    gains = model.flip_gains(CompletePatches(patches), states, nothing).detach()
    embedding, tiny = model.decoder.embed(states), 1e-6
    for bit in range(LATENTS):
        row = model.decoder.rows[bit]
        likelihoods = [
            CompletePatches(patches)[:, None].log_likelihood(
                model.decoder.decode(embedding + side * row), model.noise_variance
            )
            for side in (tiny, -tiny)
        ]
        slope = (likelihoods[0] - likelihoods[1]) / (2 * tiny) + model.prior[bit].logit()
        sign = -1 if bit in states[0, 0].tolist() else 1
        # The product with the rows may run in bfloat16, which keeps 8 bits.
        coarse = 0.05 * float(gains.abs().max())
        torch.testing.assert_close(gains[..., bit], (sign * slope).detach(), rtol=0, atol=coarse)


def test_an_e_step_never_lowers_the_free_energy(generator: torch.Generator) -> None:
    model = BinaryLatentVAE(64, (32,), PIXELS, covariance=True, generator=generator)
    model.decoder.biases[-1].data[PIXELS:] = 0
    model.decoder.unlock()
    patches = torch.randn(200, PIXELS, generator=generator)
    variation = Variation.of(EvolutionConfig(), 64, generator=generator)
    start = initial_states(200, 4, 64, active=2.0, generator=generator)
    step = EStep.measured(model, variation, start.states[:, 0])
    before = step.evaluate(CompletePatches(patches), start.states)
    after, replaced = step(CompletePatches(patches), before)
    assert (after.log_joints.logsumexp(1) >= before.log_joints.logsumexp(1)).all()
    assert replaced.sum() > 0


def test_variances_are_unlocked_after_the_means_and_sigma_is_fixed(
    generator: torch.Generator,
) -> None:
    config = DenoiseConfig(latents=16, hidden=(16,), states=4, epochs=6, mean_share=0.5)
    model = BinaryLatentVAE(16, (16,), PIXELS, covariance=True, generator=generator)
    patches = torch.randn(300, PIXELS, generator=generator)
    states = initial_states(300, 4, 16, active=2.0, generator=generator)
    stds = []
    for report in fit(
        CompletePatches(patches), model, states, config, noise_variance=0.25, generator=generator
    ):
        assert model.decoder.unlocked == (report.epoch >= 3)
        stds.append(report.noise_std)
    assert stds[-4:] == pytest.approx([0.5] * 4)
    assert stds[0] != pytest.approx(0.5, abs=0.05)


def test_training_has_not_converged_before_the_variances_have_spoken(
    generator: torch.Generator,
) -> None:
    """All states are kept and the weights stand still, so that nothing moves for long."""
    still = LearningRateConfig(minimum=1e-9, maximum=1e-9)
    config = DenoiseConfig(
        latents=3, hidden=(16,), states=8, epochs=60, mean_share=0.9, learning_rate=still
    )
    model = BinaryLatentVAE(3, (16,), PIXELS, covariance=True, generator=generator)
    patches = CompletePatches(torch.randn(100, PIXELS, generator=generator))
    states = initial_states(100, 8, 3, active=2.0, generator=generator)
    reports = list(fit(patches, model, states, config, noise_variance=0.25, generator=generator))
    assert reports[-1].stop_reason is StopReason.CONVERGED
    assert 54 < len(reports) < 60
    assert model.decoder.unlocked


@pytest.mark.parametrize("covariance", [False, True])
def test_a_single_epoch_learns_means_and_their_noise_only(
    covariance: bool, generator: torch.Generator
) -> None:
    config = DenoiseConfig(latents=16, hidden=(16,), states=4, epochs=1)
    model = BinaryLatentVAE(16, (16,), PIXELS, covariance=covariance, generator=generator)
    patches = CompletePatches(torch.randn(300, PIXELS, generator=generator))
    states = initial_states(300, 4, 16, active=2.0, generator=generator)
    (report,) = fit(patches, model, states, config, noise_variance=0.25, generator=generator)
    assert not model.decoder.unlocked
    assert report.noise_std > 0.8  # learned, not what was told


def test_locked_variances_are_not_trained(generator: torch.Generator) -> None:
    config = DenoiseConfig(latents=16, hidden=(16,), states=4, epochs=2)
    model = BinaryLatentVAE(16, (16,), PIXELS, covariance=True, generator=generator)
    before = model.decoder.weights[-1].data[PIXELS:].clone()
    patches = torch.randn(300, PIXELS, generator=generator)
    states = initial_states(300, 4, 16, active=2.0, generator=generator)
    list(fit(CompletePatches(patches), model, states, config, generator=generator))
    np.testing.assert_array_equal(model.decoder.weights[-1].data[PIXELS:], before)
