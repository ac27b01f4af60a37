"""The Gaussian model of a group: against numpy, and what it does to an image."""

from dataclasses import asdict, replace

import group_oracle
import numpy as np
import pytest
import torch
from filtered_noise import exact_covariance, exact_spectrum, filtered_noise
from pictures import add_noise, psnr, wave

from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.nonlocal_models.gaussian import GAUSSIAN, gaussian_groups, gaussian_settings
from evodenoise.nonlocal_models.matching import GroupSettings


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.atleast_3d(pixels).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((9, 9, 1), GroupSettings(3, 6, 4, step=2)),
        ((9, 11, 1), GroupSettings(4, 12, 5, step=3)),
        ((8, 9, 3), GroupSettings(3, 8, 3, step=2)),
        # One group of all patches.
        ((6, 6, 1), GroupSettings(3, 16, 3, step=4)),
        # So few members that their products are inverted.
        ((11, 12, 1), GroupSettings(5, 9, 4, step=3)),
        ((9, 10, 3), GroupSettings(4, 7, 3, step=2)),
    ],
)
@pytest.mark.parametrize("noise_variance", [0.05, 0.4])
def test_every_member_gets_its_posterior_mean_weighted_by_the_precision(
    shape: tuple[int, ...], settings: GroupSettings, noise_variance: float
) -> None:
    rng = np.random.default_rng(0)
    pilot = rng.normal(size=shape)
    noisy = pilot + rng.normal(0, np.sqrt(noise_variance), shape)
    estimate = gaussian_groups(tensor(noisy), tensor(pilot), noise_variance, settings)
    chosen = asdict(settings)
    expected = group_oracle.gaussian(
        noisy, pilot, noise_variance, side=chosen.pop("patch_size"), **chosen
    )
    np.testing.assert_allclose(estimate.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("settings", [GroupSettings(4, 20, 8), GroupSettings(7, 25, 8)])
def test_rounding_errors_stay_far_below_little_noise(settings: GroupSettings) -> None:
    """Of groups with many members and with few, whose covariances are all but singular."""
    rng = np.random.default_rng(0)
    pilot = np.kron(rng.normal(size=(6, 6)), np.ones((4, 4))) + rng.normal(0, 1e-3, (24, 24))
    noisy = pilot + rng.normal(0, 1e-2, pilot.shape)
    exact = gaussian_groups(*(tensor(each).double() for each in (noisy, pilot)), 1e-4, settings)
    single = gaussian_groups(tensor(noisy), tensor(pilot), 1e-4, settings)
    assert float((single - exact).square().mean().sqrt()) < 1e-2 * 1e-2


def test_the_mean_of_a_group_may_be_told_by_noisy_members_in_part() -> None:
    noisy, pilot = np.random.default_rng(0).normal(size=(2, 9, 9, 1))
    images = tensor(noisy), tensor(pilot)
    settings = GroupSettings(9, 1, 0)
    # Of one member alone nothing but the mean is known.
    estimate = gaussian_groups(*images, 0.3, settings, mean_share=0.25)
    torch.testing.assert_close(estimate, 0.25 * images[0] + 0.75 * images[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_coloured_noise_is_a_covariance_of_patches(channels: int) -> None:
    """Each channel has a spectrum of its own; weights, too, are by the posterior variances."""
    rng = np.random.default_rng(0)
    density = rng.exponential(size=(channels, FREQUENCIES, FREQUENCIES))
    density[:, 8:] *= 0.05
    spectrum = NoiseSpectrum.of(density)
    settings = GroupSettings(3, 9, 4, step=2)
    pilot, noisy = rng.normal(size=(2, 9, 10, channels))
    estimate = gaussian_groups(tensor(noisy), tensor(pilot), 0.3, settings, spectrum)
    expected = group_oracle.gaussian(
        noisy, pilot, 0.3, side=3, members=9, radius=4, step=2, relative=spectrum.covariance(3)
    )
    np.testing.assert_allclose(estimate.numpy(), expected, atol=2e-5)


def test_a_flat_spectrum_is_white_noise() -> None:
    clean = wave(20, 22)
    noisy, settings = tensor(add_noise(clean, 25)), replace(GAUSSIAN, radius=6)
    white = gaussian_groups(noisy, tensor(clean), 625.0, settings)
    flat = NoiseSpectrum.of(np.ones((1, FREQUENCIES, FREQUENCIES)))
    found = gaussian_groups(noisy, tensor(clean), 625.0, settings, flat)
    torch.testing.assert_close(found, white, rtol=0, atol=1e-2)


@pytest.mark.parametrize("blurs", [(0.8, 0.8), (0.1, 1.2)])
def test_the_spectrum_of_the_noise_is_worth_knowing(blurs: tuple[float, float]) -> None:
    """Beside the same total variance taken for white, with a pilot that is none too good."""
    clean = wave(40, 44)
    noisy = clean + 25 * filtered_noise(blurs, 40, 44)
    pilot = clean + 0.4 * (noisy - clean)
    settings = replace(GAUSSIAN, radius=8)
    white, coloured = (
        gaussian_groups(tensor(noisy), tensor(pilot), 625.0, settings, spectrum)
        for spectrum in (None, exact_spectrum(blurs))
    )
    gain = psnr(clean, coloured[..., 0].numpy()) - psnr(clean, white[..., 0].numpy())
    assert gain > 2


def test_the_covariance_has_the_rows_of_patches_along_their_columns() -> None:
    """Noise that was blurred to the right is nothing that members, transposed, would show."""
    rng = np.random.default_rng(0)
    pilot = rng.normal(size=(8, 9, 1))
    noisy = pilot + 0.5 * filtered_noise((0.1, 1.2), 8, 9)[..., None]
    estimate = gaussian_groups(
        tensor(noisy), tensor(pilot), 0.25, GroupSettings(3, 8, 4), exact_spectrum((0.1, 1.2))
    )
    expected = group_oracle.gaussian(
        noisy,
        pilot,
        0.25,
        side=3,
        members=8,
        radius=4,
        step=3,
        relative=exact_covariance((0.1, 1.2), 3),
    )
    np.testing.assert_allclose(estimate.numpy(), expected, atol=5e-3)


@pytest.mark.parametrize("channels", [None, 3])
def test_a_prior_from_the_truth_beats_the_noise(channels: int | None) -> None:
    clean = wave(40, 44, channels=channels)
    noisy = add_noise(clean, 25)
    estimate = gaussian_groups(tensor(noisy), tensor(clean), 625.0, replace(GAUSSIAN, radius=8))
    assert psnr(clean, estimate.numpy().reshape(clean.shape)) > psnr(clean, noisy) + 8


@pytest.mark.parametrize("peak", [1e2, 1e4, 1e6])
def test_an_outlier_far_above_the_noise(peak: float) -> None:
    """Its variance swallows that of the noise: a matrix without a factor, if nothing is done."""
    image = 0.1 * torch.randn(20, 22, 3, generator=torch.Generator().manual_seed(0))
    image[5, 6, 1] = peak
    assert gaussian_groups(image, image, 1e-9, GroupSettings(4, 12, 5)).isfinite().all()


def test_a_tiny_image_has_fewer_members() -> None:
    image = torch.rand(8, 9, 1, generator=torch.Generator().manual_seed(0))
    estimate = gaussian_groups(image, image, 0.01, GAUSSIAN)
    assert estimate.shape == image.shape
    assert estimate.isfinite().all()


def test_clear_colours_get_smaller_patches() -> None:
    assert gaussian_settings(0.3, 3).patch_size < gaussian_settings(0.3, 1).patch_size
    assert gaussian_settings(1.0, 3) == gaussian_settings(1.0, 1)
