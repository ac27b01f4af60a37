"""Training: gradients by autograd, bounds that rise, and bars that are found."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from oracle import generator, log_joints_of, sample_patches, small_model, some_states
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from evodenoise.config.settings import DenoiseConfig, EvolutionConfig, LearningRateConfig, Mutation
from evodenoise.errors import TrainingError
from evodenoise.tvae.m_step import m_step
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.posterior import truncate_posterior, truncated_free_energy
from evodenoise.tvae.schedule import Budget, StopReason
from evodenoise.tvae.states import VariationalStates, initial_states, pack_states, unpack_states
from evodenoise.tvae.training import EpochReport, fit

LATENTS = 6


def gradients(model: BinaryLatentVAE) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in model.decoder.parameters()]


# --- the gradient step


@pytest.mark.parametrize("states", [1, 5, 2**LATENTS])
def test_the_gradient_is_that_of_the_free_energy(states: int) -> None:
    """-F differentiated as it stands, through the posterior weights and all."""
    model = small_model(LATENTS)
    patches, chosen = sample_patches(model, 30, seed=4), some_states(30, states, LATENTS)
    log_joints = log_joints_of(model, patches, unpack_states(chosen, LATENTS))
    (-truncated_free_energy(log_joints).sum()).backward()
    expected = [gradient / 30 for gradient in gradients(model)]
    standing_still = torch.optim.SGD(model.decoder.parameters(), lr=0.0)
    sample = truncate_posterior(log_joints.detach(), chosen, 1.0)
    m_step(model, standing_still, CompletePatches(patches), sample)
    for gradient, wanted in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=1e-9)


def test_it_tells_the_expected_error_before_the_step() -> None:
    model = small_model(LATENTS)
    patches, chosen = sample_patches(model, 30), some_states(30, 5, LATENTS)
    with torch.no_grad():
        log_joints = model.log_joint(CompletePatches(patches), chosen)
        errors = (model.decoder(chosen).mean - patches[:, None]).square().sum(-1)
        expected = (log_joints.softmax(1) * errors).sum()
    optimizer = torch.optim.SGD(model.decoder.parameters(), lr=0.01)
    told = m_step(
        model, optimizer, CompletePatches(patches), truncate_posterior(log_joints, chosen, 1.0)
    )
    torch.testing.assert_close(told, expected)
    assert not told.requires_grad


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("seed", range(4))
def test_a_small_step_does_not_lower_the_free_energy(
    kind: type[torch.optim.Optimizer], seed: int
) -> None:
    model = small_model(LATENTS, seed=seed)
    patches = sample_patches(small_model(LATENTS, seed=seed + 10), 40)
    chosen = some_states(40, 8, LATENTS, seed=seed)
    optimizer = kind(model.decoder.parameters(), lr=1e-5)
    history = []
    for _ in range(5):
        with torch.no_grad():
            log_joints = model.log_joint(CompletePatches(patches), chosen)
        history.append(float(truncated_free_energy(log_joints).sum()))
        m_step(
            model, optimizer, CompletePatches(patches), truncate_posterior(log_joints, chosen, 1.0)
        )
    assert all(after > before for before, after in itertools.pairwise(history))


def test_parts_of_a_batch_weigh_what_their_states_weigh() -> None:
    """The gradient over all entries is the weighted mean of those over the parts."""
    model = small_model(LATENTS)
    patches, chosen = sample_patches(model, 30), some_states(30, 5, LATENTS)
    with torch.no_grad():
        sample = truncate_posterior(model.log_joint(CompletePatches(patches), chosen), chosen, 1.0)
    standing_still = torch.optim.SGD(model.decoder.parameters(), lr=0.0)
    m_step(model, standing_still, CompletePatches(patches), sample)
    expected = gradients(model)
    total = [torch.zeros_like(gradient) for gradient in expected]
    for part in sample.split(17):
        m_step(model, standing_still, CompletePatches(patches), part)
        for sum_, gradient in zip(total, gradients(model), strict=True):
            sum_ += gradient
    for sum_, gradient in zip(total, expected, strict=True):
        torch.testing.assert_close(sum_, gradient)


# --- whole runs

QUICK = DenoiseConfig(
    latents=12,
    hidden=(10,),
    states=5,
    epochs=6,
    batch_size=32,
    evolution=EvolutionConfig(parents=3),
    learning_rate=LearningRateConfig(minimum=1e-4),
)


def noisy_waves(patches: int = 150) -> Tensor:
    """Make 16 pixels of sines of any phase, with noise."""
    phase = 2 * math.pi * torch.rand(patches, 1, generator=generator(1))
    waves = torch.sin(phase + torch.arange(16) / 2.5)
    return waves + 0.3 * torch.randn(waves.shape, generator=generator(2))


def start(
    patches: Tensor, config: DenoiseConfig, seed: int = 0
) -> tuple[BinaryLatentVAE, VariationalStates, torch.Generator]:
    source = generator(seed)
    active = config.initial_active
    model = BinaryLatentVAE(
        config.latents, config.hidden, patches.shape[1], active=active, generator=source
    )
    first = initial_states(
        len(patches), config.states, config.latents, active=active, generator=source
    )
    return model, first, source


def train(
    patches: Tensor, config: DenoiseConfig, seed: int = 0
) -> tuple[BinaryLatentVAE, VariationalStates, list[EpochReport]]:
    model, variational, source = start(patches, config, seed)
    return (
        model,
        variational,
        list(fit(CompletePatches(patches), model, variational, config, generator=source)),
    )


def test_there_is_a_report_for_every_epoch() -> None:
    model, _, reports = train(noisy_waves(), QUICK)
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5, 6]
    assert [report.progress for report in reports] == pytest.approx(
        [epoch / 6 for epoch in range(1, 7)]
    )
    assert [report.stop_reason for report in reports] == [None] * 5 + [StopReason.EPOCHS]
    assert {report.patches for report in reports} == {150}
    for report in reports:
        numbers = {**dataclasses.asdict(report), "stop_reason": 0}
        assert all(math.isfinite(number) for number in numbers.values())
        assert 0 <= report.seconds < 60
        assert 1e-4 <= report.learning_rate <= QUICK.learning_rate.maximum
        assert report.replaced >= 0
    assert reports[-1].noise_std == pytest.approx(math.sqrt(float(model.noise_variance)))
    assert reports[-1].active_latents == pytest.approx(model.active)
    assert reports[-1].free_energy > reports[0].free_energy + 1
    assert reports[-1].noise_std < reports[0].noise_std


def test_the_free_energy_told_is_that_of_the_states_kept() -> None:
    """With a learning rate next to nothing, model and states stand as they were evaluated."""
    still = LearningRateConfig(minimum=1e-12, maximum=1e-12)
    config = replace(QUICK, epochs=1, learning_rate=still, prior_delay=1.0)
    patches = noisy_waves()
    model, variational, source = start(patches, config)
    before = model.noise_variance.clone(), model.prior.clone()
    (report,) = fit(CompletePatches(patches), model, variational, config, generator=source)
    after = model.noise_variance.clone()
    model.noise_variance.copy_(before[0])
    model.prior.copy_(before[1])
    with torch.no_grad():
        log_joints = model.log_joint(CompletePatches(patches), variational.states)
        free_energy = truncated_free_energy(log_joints).mean()
        errors = (model.decoder(variational.states).mean - patches[:, None]).square().mean(-1)
        sample_error = truncate_posterior(log_joints, errors[..., None], config.posterior_mass)
    assert report.free_energy == pytest.approx(float(free_energy), rel=1e-5)
    expected = (sample_error.weights * sample_error.states[:, 0]).sum() / 150
    assert after == pytest.approx(float(expected), rel=1e-4)


def test_curvature_is_measured_in_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the present weights and the best states of that epoch's patches."""
    curvatures = []

    def measure(self: BinaryLatentVAE, states: Tensor) -> Tensor:
        curvatures.append(exact(self, states))
        return curvatures[-1]

    exact = BinaryLatentVAE.flip_curvature
    monkeypatch.setattr(BinaryLatentVAE, "flip_curvature", measure)
    train(noisy_waves(), QUICK)
    assert len(curvatures) == QUICK.epochs
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(curvatures))


def test_the_prior_waits() -> None:
    config = replace(QUICK, prior_delay=0.5)
    priors = []
    patches = noisy_waves()
    model, variational, source = start(patches, config)
    first = model.prior.clone()
    for _ in fit(CompletePatches(patches), model, variational, config, generator=source):
        priors.append(model.prior.clone())
    assert [torch.equal(prior, first) for prior in priors] == [True] * 2 + [False] * 4


def test_the_final_e_steps_of_an_epoch_have_seen_every_patch() -> None:
    _, variational, _ = train(noisy_waves(), replace(QUICK, epochs=1))
    assert torch.isfinite(variational.log_joints).all()


def test_lattices_take_turns() -> None:
    patches = noisy_waves()
    model, variational, source = start(patches, QUICK)
    lattices = (torch.arange(0, 40), torch.arange(40, 100))
    visited = []
    for report in fit(
        CompletePatches(patches),
        model,
        variational,
        replace(QUICK, epochs=3),
        lattices=lattices,
        generator=source,
    ):
        visited.append((report.patches, int(variational.log_joints.isfinite().all(1).sum())))
    assert visited == [(40, 40), (60, 100), (40, 100)]
    assert not variational.log_joints[100:].isfinite().any()


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Let torch use so many threads during the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("mutation", list(Mutation))
def test_same_seed_same_bits(
    mutation: Mutation, count: int, threads: Callable[[int], None]
) -> None:
    threads(count)
    evolution = EvolutionConfig(mutation=mutation, crossover=mutation is not Mutation.GUIDED)
    config = replace(QUICK, epochs=2, evolution=evolution)
    first, second, third = (train(noisy_waves(), config, seed) for seed in (3, 3, 4))
    weights = [parameters_to_vector(run[0].parameters()) for run in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(first[1].states, second[1].states)
    assert first[2][-1].free_energy == second[2][-1].free_energy
    assert not torch.equal(weights[0], weights[2])


def test_e_steps_beside_gradient_steps_learn_as_much(threads: Callable[[int], None]) -> None:
    bounds = []
    for count in (1, 2, 3):
        threads(count)
        runs = [train(noisy_waves(), replace(QUICK, epochs=10), seed) for seed in range(4)]
        bounds.append([reports[-1].free_energy for _, _, reports in runs])
    alone, *beside = torch.tensor(bounds)
    assert (alone[:, None] != torch.stack(beside).T).all()
    for others in beside:
        assert abs(others.mean() - alone.mean()) < 2 * alone.std()


def test_global_randomness_is_left_alone() -> None:
    before = torch.get_rng_state()
    train(noisy_waves(), replace(QUICK, epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_caller_may_stop_at_any_epoch() -> None:
    patches = noisy_waves()
    model, variational, source = start(patches, QUICK)
    reports = list(
        itertools.islice(
            fit(CompletePatches(patches), model, variational, QUICK, generator=source), 2
        )
    )
    assert [report.epoch for report in reports] == [1, 2]


def test_a_budget_may_end_it_early() -> None:
    now = itertools.count()  # a second passes whenever somebody looks
    budget = Budget(1000, deadline=100.0, clock=lambda: float(next(now)))
    patches = noisy_waves(20)
    model, variational, source = start(patches, QUICK)
    reports = list(
        fit(CompletePatches(patches), model, variational, QUICK, budget=budget, generator=source)
    )
    assert 1 < len(reports) < 100
    assert reports[-1].stop_reason is StopReason.TIME_LIMIT
    assert reports[-1].progress == 1.0
    assert reports[0].progress < 0.2


def test_it_stops_when_nothing_moves_any_more() -> None:
    """All states are kept, and the weights stand still."""
    still = LearningRateConfig(minimum=1e-9, maximum=1e-9)
    config = replace(QUICK, latents=3, states=8, epochs=1000, learning_rate=still)
    config = replace(config, prior_delay=0.0)
    _, _, reports = train(noisy_waves(), config)
    assert reports[-1].stop_reason is StopReason.CONVERGED
    assert reports[-1].progress == 1.0
    assert len(reports) < 500


def test_a_training_that_diverges_says_so() -> None:
    wild = LearningRateConfig(minimum=1e30, maximum=1e30)
    with pytest.raises(TrainingError, match=r"diverged in epoch \d+.*lower the learning rate"):
        train(noisy_waves(), replace(QUICK, epochs=50, learning_rate=wild))


def test_the_whole_mass_in_small_steps() -> None:
    config = replace(QUICK, posterior_mass=1.0, latents=40, states=40, gradient_batch_size=8)
    model, _, _ = train(30 * noisy_waves(), config)
    assert parameters_to_vector(model.parameters()).isfinite().all()


# --- bars


def bars() -> Tensor:
    """List the four horizontal and the four vertical bars of 4 x 4 pixels: (8, 16)."""
    images = torch.zeros(8, 4, 4)
    for line in range(4):
        images[line, line] = images[4 + line, :, line] = 1
    return images.flatten(1)


def test_bars_are_found() -> None:
    """Each bar gets a latent of its own, used as often as it occurs; best of some restarts."""
    noise_std, source = 0.2, generator(0)
    codes = torch.rand(600, 8, generator=source) < 1 / 8
    patches = codes.float() @ bars()
    patches += noise_std * torch.randn(patches.shape, generator=source)
    config = DenoiseConfig(
        latents=8,
        hidden=(64,),
        states=16,
        epochs=60,
        batch_size=128,
        gradient_batch_size=64,
        initial_active=1.0,
        evolution=EvolutionConfig(parents=3, offspring=3),
        learning_rate=LearningRateConfig(maximum=3e-3, minimum=1e-4),
    )
    runs = [train(patches, config, seed) for seed in range(3)]
    model, _, reports = max(runs, key=lambda run: run[2][-1].free_energy)
    with torch.no_grad():
        found = model.decoder(pack_states(torch.eye(8))).mean
        empty = model.decoder(pack_states(torch.zeros(1, 8))).mean
    distances = torch.cdist(bars(), found)  # each bar differs from any other by 2.4 or more
    latents = distances.argmin(1)
    assert sorted(latents.tolist()) == list(range(8))
    assert distances.amin(1).max() < 0.3
    assert empty.norm() < 0.2
    torch.testing.assert_close(model.prior[latents], codes.float().mean(0), rtol=0, atol=0.02)
    assert reports[-1].noise_std == pytest.approx(noise_std, rel=0.06)
