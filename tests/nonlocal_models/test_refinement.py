"""What refinement mixes, for which settings, and what it leaves out when time is short."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from filtered_noise import exact_spectrum
from torch import Tensor

from evodenoise.config.settings import Refinement
from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.nonlocal_models import refinement
from evodenoise.nonlocal_models.gaussian import gaussian_groups, gaussian_settings
from evodenoise.nonlocal_models.low_rank import low_rank_groups, low_rank_settings
from evodenoise.nonlocal_models.matching import GroupSettings
from evodenoise.nonlocal_models.mixing import Estimates, mixing_weights
from evodenoise.nonlocal_models.refinement import refine

VARIANCE = 0.2
"""Of the noise, in an image of unit variance: half the signal's standard deviation."""


def picture(height: int = 20, width: int = 22, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Make a noisy image and a first estimate of it."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.arange(height)[:, None], torch.arange(width)
    clean = (torch.sin(x / 3) + torch.cos(y / 4))[..., None] * torch.linspace(1, 0.5, channels)
    first, second = torch.randn(2, *clean.shape, generator=generator)
    return clean + VARIANCE**0.5 * first, clean + 0.3 * VARIANCE**0.5 * second


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Estimates, Refinement]]:
    """Remember what is mixed, which stays the base."""
    calls: list[tuple[Estimates, Refinement]] = []

    def remember(estimates: Estimates, refinement: Refinement) -> Tensor:
        calls.append((estimates, refinement))
        return estimates.base

    monkeypatch.setattr(refinement, "mix", remember)
    return calls


Mixed = list[tuple[Estimates, Refinement]]


def check(mixed: Mixed, each: Refinement, noisy: Tensor, *others: Tensor) -> None:
    """Compare what was mixed, once, with images (Y, X, 1)."""
    ((estimates, refinement),) = mixed
    assert refinement is each
    assert estimates.noise_variance == VARIANCE
    assert torch.equal(estimates.noisy, noisy[..., 0])
    for found, expected in zip(estimates.others, others, strict=True):
        torch.testing.assert_close(found, expected[..., 0])


def returned(noisy: Tensor, estimate: Tensor) -> Tensor:
    return estimate + 0.07 * (noisy - estimate)


def test_full_starts_from_six_parts_low_rank_and_four_parts_gaussian(mixed: Mixed) -> None:
    noisy, pilot = picture()
    low_rank = low_rank_groups(noisy, pilot, VARIANCE, replace(low_rank_settings(0.5, 1), step=3))
    gaussian = gaussian_groups(noisy, pilot, VARIANCE, gaussian_settings(0.5, 1))
    expected = 0.6 * low_rank + 0.4 * gaussian
    assert (low_rank - gaussian).abs().max() > 0.05
    torch.testing.assert_close(refine(noisy, pilot, VARIANCE, Refinement.FULL), expected)
    again = returned(noisy, expected)
    small, large = (
        gaussian_groups(noisy, again, VARIANCE, each, mean_share=0.15)
        for each in (GroupSettings(4, 20, 20, step=2), GroupSettings(14, 50, 25, step=5))
    )
    check(mixed, Refinement.FULL, noisy, pilot, low_rank, small, large)


def test_gaussian_is_mixed_with_the_first_estimate(mixed: Mixed) -> None:
    noisy, pilot = picture()
    gaussian = gaussian_groups(noisy, pilot, VARIANCE, gaussian_settings(0.5, 1))
    refined = refine(noisy, pilot, VARIANCE, Refinement.GAUSSIAN)
    torch.testing.assert_close(refined, gaussian)
    check(mixed, Refinement.GAUSSIAN, noisy, pilot)


def test_the_weights_are_those_that_were_learned() -> None:
    noisy, pilot = picture()
    gaussian = gaussian_groups(noisy, pilot, VARIANCE, gaussian_settings(0.5, 1))
    estimates = Estimates(noisy[..., 0], gaussian[..., 0], [pilot[..., 0]], VARIANCE)
    expected = estimates.mixed(mixing_weights(Refinement.GAUSSIAN))
    refined = refine(noisy, pilot, VARIANCE, Refinement.GAUSSIAN)
    assert (refined - gaussian).abs().max() > 0.01
    torch.testing.assert_close(refined[..., 0], expected)


# --- colour


@pytest.mark.parametrize("coloured", [False, True])
def test_in_colour_the_brightness_goes_on_from_both_estimates_and_some_residual(
    coloured: bool, mixed: Mixed
) -> None:
    noisy, pilot = picture(channels=3)
    spectrum, own, variance = None, None, VARIANCE
    if coloured:
        density = np.ones((3, FREQUENCIES, FREQUENCIES))
        density[0, 10:], density[1] = 0.2, 0.5
        spectrum, own = NoiseSpectrum.of(density), NoiseSpectrum.of(density[:1])
        variance = VARIANCE * density[0].mean() / density.mean()
    first = gaussian_groups(noisy, pilot, VARIANCE, gaussian_settings(0.5, 3), spectrum)
    bright, noise = first[..., :1].contiguous(), noisy[..., :1].contiguous()
    settings = replace(low_rank_settings(0.5, 1), patch_size=8)
    low_rank = low_rank_groups(noise, bright, variance, settings, own)
    base = 0.6 * low_rank + 0.4 * bright
    small, large = (
        gaussian_groups(noise, returned(noise, base), variance, each, own, mean_share=0.15)
        for each in (GroupSettings(4, 20, 20, step=2), GroupSettings(14, 50, 25, step=5))
    )
    refined = refine(noisy, pilot, VARIANCE, Refinement.FULL, spectrum=spectrum)
    assert torch.equal(refined[..., 1:], first[..., 1:])
    if coloured:
        assert not mixed
        torch.testing.assert_close(refined[..., :1], (base + small + large) / 3)
        return
    torch.testing.assert_close(refined[..., :1], base)
    ((estimates, _),) = mixed
    assert estimates.noise_variance == pytest.approx(variance)
    for found, expected in zip(estimates.others, (pilot, low_rank, small, large), strict=True):
        torch.testing.assert_close(found, expected[..., 0])


def test_faint_noise_in_colour_is_left_to_gaussian_groups(mixed: Mixed) -> None:
    noisy, pilot = picture(channels=3)
    full, gaussian = (
        refine(noisy, pilot, 0.01, each) for each in (Refinement.FULL, Refinement.GAUSSIAN)
    )
    assert torch.equal(full, gaussian)
    assert not mixed


def test_of_colours_only_the_brightness_is_mixed() -> None:
    noisy, pilot = picture(channels=3)
    gaussian = gaussian_groups(noisy, pilot, VARIANCE, gaussian_settings(0.5, 3))
    estimates = Estimates(noisy[..., 0], gaussian[..., 0], [pilot[..., 0]], VARIANCE)
    refined = refine(noisy, pilot, VARIANCE, Refinement.GAUSSIAN)
    expected = estimates.mixed(mixing_weights(Refinement.GAUSSIAN))
    torch.testing.assert_close(refined[..., 0], expected)
    torch.testing.assert_close(refined[..., 1:], gaussian[..., 1:])


def test_in_colour_time_may_suffice_for_gaussian_groups_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy, pilot = picture(channels=3)
    expected = refine(noisy, pilot, VARIANCE, Refinement.GAUSSIAN)
    clock = Clock(monkeypatch)
    refined = refine(noisy, pilot, VARIANCE, Refinement.QUICK, deadline=clock.now + 3)
    assert torch.equal(refined, expected)


# --- gray


def test_both_models_are_told_the_spectrum_of_the_noise(mixed: Mixed) -> None:
    noisy, pilot = picture()
    spectrum = exact_spectrum((0.3, 1.0))
    low_rank = low_rank_groups(noisy, pilot, VARIANCE, low_rank_settings(0.5, 1), spectrum)
    gaussian = gaussian_groups(noisy, pilot, VARIANCE, gaussian_settings(0.5, 1), spectrum)
    refined = [
        refine(noisy, pilot, VARIANCE, each, spectrum=spectrum)
        for each in (Refinement.FULL, Refinement.GAUSSIAN)
    ]
    torch.testing.assert_close(refined[0], 0.6 * low_rank + 0.4 * gaussian)
    torch.testing.assert_close(refined[1], gaussian)
    for each, coloured in zip((Refinement.FULL, Refinement.GAUSSIAN), refined, strict=True):
        assert (refine(noisy, pilot, VARIANCE, each) - coloured).abs().max() > 0.05
    assert len(mixed) == 2, "only those of white noise"


def test_quick_has_fewer_low_rank_groups_and_trusts_them_less(mixed: Mixed) -> None:
    noisy, pilot = picture()
    settings = replace(low_rank_settings(0.5, 1), step=6, iterations=4, remaining=0.75)
    low_rank = low_rank_groups(noisy, pilot, VARIANCE, settings)
    near = replace(gaussian_settings(0.5, 1), step=4)
    expected = 0.4 * low_rank + 0.6 * gaussian_groups(noisy, pilot, VARIANCE, near)
    torch.testing.assert_close(refine(noisy, pilot, VARIANCE, Refinement.QUICK, step=4), expected)
    small, large = (
        gaussian_groups(noisy, returned(noisy, expected), VARIANCE, each, mean_share=0.15)
        for each in (GroupSettings(4, 20, 20, step=3), GroupSettings(14, 50, 25, step=9))
    )
    check(mixed, Refinement.QUICK, noisy, pilot, low_rank, small, large)


@pytest.mark.parametrize(("refinement", "variance"), [("none", VARIANCE), ("full", 0.0)])
def test_nothing_to_refine(refinement: str, variance: float) -> None:
    noisy, pilot = picture()
    assert refine(noisy, pilot, variance, Refinement(refinement)) is pilot


# --- sizes and steps


@pytest.mark.usefixtures("mixed")
def test_sizes_are_averaged_and_the_step_is_respected() -> None:
    noisy, pilot = picture()
    gaussian, low_rank = gaussian_settings(0.5, 1), low_rank_settings(0.5, 1)
    for step in (2, 5):
        estimates = [
            0.6 * low_rank_groups(noisy, pilot, VARIANCE, _resized(low_rank, added, step))
            + 0.4 * gaussian_groups(noisy, pilot, VARIANCE, _resized(gaussian, added, step))
            for added in (-2, 1)
        ]
        refined = refine(noisy, pilot, VARIANCE, Refinement.FULL, step=step, sizes=(-2, 1))
        torch.testing.assert_close(refined, (estimates[0] + estimates[1]) / 2)


def _resized(settings: GroupSettings, added: int, step: int) -> GroupSettings:
    return replace(settings, patch_size=settings.patch_size + added, step=step)


@pytest.mark.usefixtures("mixed")
def test_patches_are_no_larger_than_the_image() -> None:
    noisy, pilot = picture(6, 15)
    settings = replace(gaussian_settings(0.5, 1), patch_size=6)
    expected = gaussian_groups(noisy, pilot, VARIANCE, settings)
    refined = refine(noisy, pilot, VARIANCE, Refinement.GAUSSIAN, sizes=(0, 3))
    torch.testing.assert_close(refined, expected)


# --- deadlines


class Clock:
    """Time that passes in the Gaussian groups only: two seconds for each size."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(refinement, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(refinement, "gaussian_groups", self.gaussian_groups)

    def gaussian_groups(self, *arguments: Any, **options: Any) -> Tensor:
        self.now += 2
        return gaussian_groups(*arguments, **options)


def test_after_the_deadline_the_pilot_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, pilot = picture()
    clock = Clock(monkeypatch)
    assert refine(noisy, pilot, VARIANCE, Refinement.FULL, deadline=99.9) is pilot
    assert clock.now == 100


@pytest.mark.parametrize("sizes", [(0,), (-1, 0)])
def test_low_rank_groups_are_left_out_when_they_would_not_fit(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    """Six iterations take six times as long, and as the cube of the patches' side over six."""
    noisy, pilot = picture()
    gaussian, full = [
        refine(noisy, pilot, VARIANCE, each, sizes=sizes)
        for each in (Refinement.GAUSSIAN, Refinement.FULL)
    ]
    spent = 2.0 * len(sizes)
    needed = 6 * (7 / 6) ** 3 * spent
    for spare, expected in ((-0.1, gaussian), (0.1, full)):
        clock = Clock(monkeypatch)
        deadline = clock.now + spent + needed + spare
        refined = refine(noisy, pilot, VARIANCE, Refinement.FULL, sizes=sizes, deadline=deadline)
        assert torch.equal(refined, expected)
        assert clock.now == 100 + spent * (1 if expected is gaussian else 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("each", [Refinement.GAUSSIAN, Refinement.QUICK, Refinement.FULL])
def test_the_share_that_is_done_grows_to_the_whole(each: Refinement, channels: int) -> None:
    noisy, pilot = picture(channels=channels)
    shares: list[float] = []
    refine(noisy, pilot, VARIANCE, each, sizes=(-1, 0), on_share=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert len(shares) >= (4 if each is Refinement.GAUSSIAN else 12)
    assert 0 < shares[0] < 0.3
