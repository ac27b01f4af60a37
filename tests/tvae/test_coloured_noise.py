"""Noise with a variance for each frequency, against dense Gaussians of the pixels that were seen.

The oracle is NumPy and works in pixels: of the model it takes nothing but its parameters.
"""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from oracle import Recorder, emissions_of, every_code, every_state, generator, randomise
from scipy.special import logsumexp
from scipy.stats import bernoulli, multivariate_normal
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evodenoise.config.settings import DenoiseConfig, EvolutionConfig
from evodenoise.tvae.e_step import EStep
from evodenoise.tvae.evolution import Variation
from evodenoise.tvae.gaps import GappedPatches
from evodenoise.tvae.m_step import m_step
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches, Observations
from evodenoise.tvae.posterior import truncate_posterior
from evodenoise.tvae.reconstruction import Reconstructor
from evodenoise.tvae.states import VariationalStates, initial_states
from evodenoise.tvae.training import fit

Array = npt.NDArray[np.float64]
LATENTS, SIDE, PIXELS = 4, 3, 9
GAPS = [[], [4], [0, 1, 5], [0, 2, 3, 5, 6, 7], [0, 1, 2, 3, 5, 6, 7, 8]]
"""Missing pixels of the patches of these tests."""

PATCHES = len(GAPS)
PROFILE = np.array([4.0, 1.5, 0.2, 2.0, 0.6, 0.1, 0.4, 0.15, 0.05])
"""Of noise that is coarse, and coarser from left to right; its mean is 1."""


def cosines() -> Array:
    """Make the transform of patches (N, D): coefficients are pixels @ U."""
    place, frequency = np.arange(SIDE)[:, None], np.arange(SIDE)
    waves = np.cos(np.pi * (place + 0.5) * frequency / SIDE) * np.sqrt(2 / SIDE)
    waves[:, 0] /= np.sqrt(2)
    return np.kron(waves, waves)


def make_model(
    *, covariance: bool = False, profile: Array | None = PROFILE, noise_variance: float = 0.4
) -> BinaryLatentVAE:
    source = generator(5)
    noise_profile = None if profile is None else torch.from_numpy(profile)
    made = BinaryLatentVAE(
        LATENTS, (6,), PIXELS, covariance=covariance, noise_profile=noise_profile, generator=source
    ).double()
    randomise(made.decoder, source)
    with torch.no_grad():
        made.prior.uniform_(0.1, 0.6, generator=source)
        made.noise_variance.fill_(noise_variance)
    return made


@pytest.fixture(params=["means", "locked", "unlocked"])
def model(request: pytest.FixtureRequest) -> BinaryLatentVAE:
    made = make_model(covariance=request.param != "means")
    if request.param == "unlocked":
        made.unlock(0.4)
    return made


@pytest.fixture
def pixels() -> Array:
    return 2 * np.random.default_rng(6).normal(size=(PATCHES, PIXELS))


@pytest.fixture(params=["complete", "gaps"])
def gaps(request: pytest.FixtureRequest) -> list[list[int]]:
    return GAPS if request.param == "gaps" else [[]] * PATCHES


def observe(pixels: Array, gaps: list[list[int]]) -> Observations:
    values, basis = torch.from_numpy(pixels @ cosines()), torch.from_numpy(cosines())
    if not any(gaps):
        return CompletePatches(values)
    missing = torch.zeros(pixels.shape, dtype=torch.bool)
    for patch, own in zip(missing, gaps, strict=True):
        patch[own] = True
    return GappedPatches.of(values, missing, basis)


class Exact:
    """Everything by definition: pixels x = clean + noise, each Gaussian given a code."""

    def __init__(self, model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]]) -> None:
        basis = cosines()
        mean, variance = emissions_of(model)
        if not model.decoder.unlocked:
            variance = np.zeros_like(mean)
        profile = model.noise_profile
        relative = np.ones(PIXELS) if profile is None else profile.numpy()
        self.means = mean @ basis.T  # (2^H, D)
        self.clean = np.einsum("pd,md,qd->mpq", basis, variance, basis)  # (2^H, D, D)
        self.relative = basis @ np.diag(relative) @ basis.T
        self.noise = float(model.noise_variance) * self.relative
        self.pixels = pixels
        self.seen = [np.setdiff1d(np.arange(PIXELS), own) for own in gaps]
        codes = every_code(LATENTS).numpy()
        self.prior = bernoulli(model.prior.numpy()).logpmf(codes).sum(-1)

    def log_joints(self) -> Array:
        """Sum prior and marginal density of the seen pixels: (N, 2^H)."""
        rows = []
        for values, seen in zip(self.pixels, self.seen, strict=True):
            here = np.ix_(seen, seen)
            likelihoods = [
                multivariate_normal(mean[seen], (clean + self.noise)[here]).logpdf(values[seen])
                for mean, clean in zip(self.means, self.clean, strict=True)
            ]
            rows.append(self.prior + likelihoods)
        return np.stack(rows)

    def weights(self) -> Array:
        joints = self.log_joints()
        return np.exp(joints - logsumexp(joints, axis=1, keepdims=True))

    def free_energy(self) -> float:
        return float(logsumexp(self.log_joints(), axis=1).sum())

    def clean_moments(self) -> tuple[Array, Array]:
        """Condition on the seen pixels: means, variances of clean coefficients (N, 2^H, D)."""
        basis = cosines()
        found = np.empty((2, len(self.pixels), len(self.means), PIXELS))
        for patch, (values, seen) in enumerate(zip(self.pixels, self.seen, strict=True)):
            for code, (mean, clean) in enumerate(zip(self.means, self.clean, strict=True)):
                total = (clean + self.noise)[np.ix_(seen, seen)]
                gain = clean[:, seen] @ np.linalg.inv(total)
                found[0, patch, code] = (mean + gain @ (values - mean)[seen]) @ basis
                spread = clean - gain @ clean[seen]
                found[1, patch, code] = np.diag(basis.T @ spread @ basis)
        return found[0], found[1]

    def squared_errors(self) -> Array:
        """Measure errors in units of the noise: (x - mu)^T R^-1 (x - mu) of seen pixels."""
        rows = []
        for values, seen in zip(self.pixels, self.seen, strict=True):
            inverse = np.linalg.inv(self.relative[np.ix_(seen, seen)])
            errors = (values - self.means)[:, seen]
            rows.append(np.einsum("mo,op,mp->m", errors, inverse, errors))
        return np.stack(rows)


def test_log_joints_are_those_of_the_seen_pixels(
    model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]]
) -> None:
    found = model.log_joint(observe(pixels, gaps), every_state(LATENTS, PATCHES))
    expected = Exact(model, pixels, gaps).log_joints()
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-8)


def test_clean_moments_are_those_given_the_seen_pixels(
    model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]]
) -> None:
    found = model.clean_moments(observe(pixels, gaps), every_state(LATENTS, PATCHES))
    for one, expected in zip(found, Exact(model, pixels, gaps).clean_moments(), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), expected, atol=1e-8)


def test_a_reconstruction_is_the_posterior_of_the_mixture(
    model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]]
) -> None:
    exact = Exact(model, pixels, gaps)
    weights, (means, variances) = exact.weights()[..., None], exact.clean_moments()
    first, second = (weights * means).sum(1), (weights * (variances + means**2)).sum(1)

    states = every_state(LATENTS, PATCHES)
    trained = VariationalStates(states, torch.zeros(PATCHES, 2**LATENTS, dtype=torch.float64))
    config = DenoiseConfig(latents=LATENTS, states=2**LATENTS, settling_rounds=1)
    rebuild = Reconstructor.of(model, trained, config, codebook=states[0], generator=generator())
    estimate = rebuild(observe(pixels, gaps), torch.arange(PATCHES))
    np.testing.assert_allclose(estimate.mean.numpy(), first, atol=1e-8)
    np.testing.assert_allclose(estimate.variance.numpy(), second - first**2, atol=1e-8)
    expected = logsumexp(exact.log_joints(), axis=1)
    np.testing.assert_allclose(estimate.free_energy.numpy(), expected, atol=1e-8)


def test_squared_errors_are_in_units_of_the_noise(pixels: Array, gaps: list[list[int]]) -> None:
    model = make_model()
    means, _ = emissions_of(model)
    found = observe(pixels, gaps)[:, None].squared_errors(
        torch.from_numpy(means).expand(PATCHES, -1, -1), model.noise_profile
    )
    expected = Exact(model, pixels, gaps).squared_errors()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("direction", range(3))
def test_a_gradient_step_follows_the_free_energy(
    model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]], direction: int
) -> None:
    """Along a line through all weights of the decoder."""
    states, recorder, observed = (
        every_state(LATENTS, PATCHES),
        Recorder(model),
        observe(pixels, gaps),
    )
    sample = truncate_posterior(model.log_joint(observed, states).detach(), states, 1.0)
    m_step(model, recorder, observed, sample)
    moved = [each for each in model.decoder.parameters() if each.grad is not None]
    line = torch.randn(len(recorder.gradients[0]), generator=generator(direction)).double()
    here, tiny = parameters_to_vector(moved).detach(), 1e-5
    bounds = []
    for side in (tiny, -tiny):
        vector_to_parameters(here + side * line, moved)
        with torch.no_grad():
            model.decoder.rows[-1] = 0  # that of the empty place, which no gradient moves
        bounds.append(Exact(model, pixels, gaps).free_energy())
    slope = (bounds[0] - bounds[1]) / (2 * tiny)
    assert float(-PATCHES * recorder.gradients[0] @ line) == pytest.approx(slope, rel=1e-5)


def test_the_noise_variance_learned_is_the_most_likely_at_fixed_weights(
    pixels: Array, gaps: list[list[int]]
) -> None:
    model, states, observed = make_model(), every_state(LATENTS, PATCHES), observe(pixels, gaps)
    weights = Exact(model, pixels, gaps).weights()
    errors = float((weights * Exact(model, pixels, gaps).squared_errors()).sum())
    sample = truncate_posterior(model.log_joint(observed, states).detach(), states, 1.0)
    found = m_step(model, Recorder(model), observed, sample)
    assert float(found) == pytest.approx(errors, rel=1e-8)

    model.update_noise_variance(found, int(observed.observed_values()))
    best = float(model.noise_variance)

    def expected_log_joint(noise_variance: float) -> float:
        other = make_model(noise_variance=noise_variance)
        return float((weights * Exact(other, pixels, gaps).log_joints()).sum())

    for factor in (0.97, 1.03):
        assert expected_log_joint(factor * best) < expected_log_joint(best)


def test_all_pairs_are_ranked_as_if_pixels_with_gaps_were_independent(
    model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]]
) -> None:
    """Of complete patches it is the log-joint itself."""
    observed, states, exact = (
        observe(pixels, gaps),
        every_state(LATENTS),
        Exact(model, pixels, gaps),
    )
    crossed = model.cross_log_joints(observed, states[0]).detach().numpy()
    rough = model.rough_log_joint(observed, states.expand(PATCHES, -1, -1)).detach().numpy()
    np.testing.assert_allclose(crossed[0], exact.log_joints()[0], atol=1e-8)
    if any(gaps):
        exact.clean = np.stack([np.diag(np.diag(each)) for each in exact.clean])
        exact.noise = np.diag(np.diag(exact.noise))
    for found in (crossed, rough):
        np.testing.assert_allclose(found[1:], exact.log_joints()[1:], atol=1e-8)


def test_gains_of_flips_have_the_slope_of_the_density(
    model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]]
) -> None:
    states = every_state(LATENTS)[:, 5:6].expand(PATCHES, -1, -1)
    observed, nothing = observe(pixels, gaps), torch.zeros(LATENTS, dtype=torch.float64)
    gains = model.flip_gains(observed, states, nothing).detach()
    with torch.no_grad():
        embedding, tiny = model.decoder.embed(states), 1e-6
        for bit in range(LATENTS):
            step = tiny * model.decoder.rows[bit]
            up, down = (
                observed[:, None].log_likelihood(
                    model.decoder.decode(embedding + side * step), model.noise
                )
                for side in (1, -1)
            )
            sign = -1 if bit in states[0, 0].tolist() else 1
            expected = sign * ((up - down) / (2 * tiny) + model.prior[bit].logit())
            # The product with the rows may run in bfloat16, which keeps 8 bits.
            coarse = 0.02 * float(gains.abs().max())
            torch.testing.assert_close(gains[..., bit], expected, rtol=0, atol=coarse)


def test_a_flip_costs_the_change_of_the_mean_in_units_of_the_noise(model: BinaryLatentVAE) -> None:
    codes = every_code(LATENTS).numpy()
    numbers = (codes * 2 ** np.arange(LATENTS)).sum(1)
    mean, variance = emissions_of(model)
    spread = 0.4 * PROFILE + (variance if model.decoder.unlocked else 0)
    expected = np.zeros(LATENTS)
    for bit in range(LATENTS):
        change = mean[numbers ^ 2**bit] - mean
        expected[bit] = 0.5 * (change**2 / spread).sum(1).mean()
    with torch.no_grad():
        found = model.flip_curvature(every_state(LATENTS)[0])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_an_e_step_never_lowers_the_free_energy(
    model: BinaryLatentVAE, pixels: Array, gaps: list[list[int]]
) -> None:
    source, observed = generator(1), observe(pixels, gaps)
    variation = Variation.of(EvolutionConfig(), LATENTS, generator=source)
    states = initial_states(PATCHES, 3, LATENTS, active=2.0, generator=source)
    e_step = EStep.measured(model, variation, states.states[:, 0])
    before = e_step.evaluate(observed, states.states)
    after, replaced = e_step(observed, before)
    assert (after.log_joints.logsumexp(1) - before.log_joints.logsumexp(1)).min() >= 0
    assert replaced.sum() > 0
    again = e_step.evaluate(observed, after.states).log_joints
    torch.testing.assert_close(again, after.log_joints, rtol=0, atol=1e-9)


@pytest.mark.parametrize("unlocked", [False, True])
def test_a_flat_profile_is_white_noise(
    pixels: Array, gaps: list[list[int]], unlocked: bool
) -> None:
    answers = []
    for profile in (None, np.ones(PIXELS)):
        model = make_model(covariance=True, profile=profile)
        if unlocked:
            model.unlock(0.4)
        observed, states, recorder = observe(pixels, gaps), every_state(LATENTS), Recorder(model)
        own = states.expand(PATCHES, -1, -1)
        joints = model.log_joint(observed, own).detach()
        error = m_step(model, recorder, observed, truncate_posterior(joints, own, 1.0))
        answers.append(
            [
                joints,
                model.rough_log_joint(observed, own),
                model.cross_log_joints(observed, states[0]),
                *model.clean_moments(observed, own),
                model.flip_gains(observed, own, torch.zeros(LATENTS)),
                recorder.gradients[0],
                error,
            ]
        )
    for white, flat in zip(*answers, strict=True):
        torch.testing.assert_close(flat, white)


def trained_on_noise(profile: Array | None, missing: float) -> tuple[float, float]:
    """Train on patches of nothing but coloured noise; return the free energy and sigma^2."""
    rng, source = np.random.default_rng(2), generator(3)
    noise = np.sqrt(0.3 * PROFILE) * rng.normal(size=(600, PIXELS)) @ cosines().T
    gaps = [np.flatnonzero(rng.random(PIXELS) < missing).tolist() for _ in noise]
    noise_profile = None if profile is None else torch.from_numpy(profile)
    model = BinaryLatentVAE(
        LATENTS, (6,), PIXELS, noise_profile=noise_profile, generator=source
    ).double()
    config = DenoiseConfig(latents=LATENTS, states=4, epochs=3, batch_size=200)
    states = initial_states(len(noise), 4, LATENTS, active=1.0, generator=source)
    states = VariationalStates(states.states, states.log_joints.double())
    *_, last = fit(observe(noise, gaps), model, states, config, generator=source)
    return last.free_energy, float(model.noise_variance)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_training_learns_the_level_of_coloured_noise(missing: float) -> None:
    bound, noise_variance = trained_on_noise(PROFILE, missing)
    white_bound, _ = trained_on_noise(None, missing)
    assert noise_variance == pytest.approx(0.3, rel=0.15)  # the codes explain a part of it
    assert bound > white_bound + 1
