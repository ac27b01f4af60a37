"""Free energy, its gradient and clean moments with a covariance, against numbers by definition.

All of it is computed anew here, in NumPy and from the equations: nothing is asked of the model but
its parameters.
"""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from oracle import Recorder, emissions_of, every_code, every_state, generator, randomise
from scipy.special import logsumexp
from scipy.stats import bernoulli, norm
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evodenoise.config.settings import DenoiseConfig
from evodenoise.tvae.m_step import gradient_steps, m_step
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.posterior import truncate_posterior
from evodenoise.tvae.reconstruction import Reconstructor
from evodenoise.tvae.states import VariationalStates

Array = npt.NDArray[np.float64]
LATENTS, PIXELS, PATCHES = 4, 5, 7


@pytest.fixture
def model() -> BinaryLatentVAE:
    source = generator(5)
    made = BinaryLatentVAE(LATENTS, (6,), PIXELS, covariance=True, generator=source).double()
    randomise(made.decoder, source)
    with torch.no_grad():
        made.prior.uniform_(0.1, 0.6, generator=source)
    made.unlock(0.4)
    return made


@pytest.fixture
def patches() -> torch.Tensor:
    return 2 * torch.randn(PATCHES, PIXELS, generator=generator(6), dtype=torch.float64)


def log_joints(model: BinaryLatentVAE, patches: torch.Tensor) -> Array:
    """Compute log p(x_n, z) for all codes: (N, 2^H)."""
    mean, variance = emissions_of(model)
    spread = np.sqrt(variance + float(model.noise_variance))
    likelihood = norm(mean, spread).logpdf(patches.numpy()[:, None]).sum(-1)
    prior = bernoulli(model.prior.numpy()).logpmf(every_code(LATENTS).numpy()).sum(-1)
    return np.asarray(likelihood + prior)


def free_energy(model: BinaryLatentVAE, patches: torch.Tensor) -> float:
    return float(logsumexp(log_joints(model, patches), axis=1).sum())


def test_log_joints(model: BinaryLatentVAE, patches: torch.Tensor) -> None:
    found = model.log_joint(CompletePatches(patches), every_state(LATENTS, PATCHES))
    np.testing.assert_allclose(found.detach().numpy(), log_joints(model, patches), rtol=1e-10)


@pytest.mark.parametrize("direction", range(6))
def test_a_gradient_step_follows_the_free_energy(
    model: BinaryLatentVAE, patches: torch.Tensor, direction: int
) -> None:
    """Means and variances alike, along a line through all weights of the decoder."""
    states, recorder = every_state(LATENTS, PATCHES), Recorder(model)
    observed = CompletePatches(patches)
    sample = truncate_posterior(model.log_joint(observed, states).detach(), states, 1.0)
    m_step(model, recorder, observed, sample)
    line = torch.randn(len(recorder.gradients[0]), generator=generator(direction)).double()
    here, tiny = parameters_to_vector(model.decoder.parameters()).detach(), 1e-5
    bounds = []
    for side in (tiny, -tiny):
        vector_to_parameters(here + side * line, model.decoder.parameters())
        with torch.no_grad():
            model.decoder.rows[-1] = 0  # that of the empty place, which no gradient moves
        bounds.append(free_energy(model, patches))
    slope = (bounds[0] - bounds[1]) / (2 * tiny)
    assert float(-PATCHES * recorder.gradients[0] @ line) == pytest.approx(slope, rel=1e-6)


def test_steps_over_parts_are_as_long_as_one_over_all(
    model: BinaryLatentVAE, patches: torch.Tensor
) -> None:
    """Each is scaled as if its part were the whole mini-batch; their mean is its gradient."""
    states, observed = every_state(LATENTS, PATCHES), CompletePatches(patches)
    sample = truncate_posterior(model.log_joint(observed, states).detach(), states, 1.0)
    whole, parts = Recorder(model), Recorder(model)
    error = gradient_steps(model, whole, observed, sample, len(sample.owners))
    errors = gradient_steps(model, parts, observed, sample, len(sample.owners) // 4)
    assert (len(whole.gradients), len(parts.gradients)) == (1, 4)
    torch.testing.assert_close(torch.stack(parts.gradients).mean(0), whole.gradients[0])
    torch.testing.assert_close(errors, error)


def test_estimates_are_the_moments_of_the_posterior(
    model: BinaryLatentVAE, patches: torch.Tensor
) -> None:
    """Of the Gaussian mixture that the states make of the clean coefficients."""
    joints = log_joints(model, patches)
    weights = np.exp(joints - logsumexp(joints, axis=1, keepdims=True))[..., None]  # (N, 2^H, 1)
    mean, variance = emissions_of(model)
    gain = variance / (variance + float(model.noise_variance))
    means = mean + gain * (patches.numpy()[:, None] - mean)  # (N, 2^H, D)
    first = (weights * means).sum(1)
    second = (weights * (gain * float(model.noise_variance) + means**2)).sum(1)

    states = every_state(LATENTS, PATCHES)
    trained = VariationalStates(states, torch.zeros(PATCHES, 2**LATENTS, dtype=torch.float64))
    config = DenoiseConfig(latents=LATENTS, states=2**LATENTS, settling_rounds=1)
    rebuild = Reconstructor.of(model, trained, config, codebook=states[0], generator=generator())
    estimate = rebuild(CompletePatches(patches), torch.arange(PATCHES))
    np.testing.assert_allclose(estimate.mean.detach().numpy(), first, atol=1e-9)
    np.testing.assert_allclose(estimate.variance.detach().numpy(), second - first**2, atol=1e-9)
    np.testing.assert_allclose(estimate.free_energy, logsumexp(joints, axis=1), atol=1e-9)
