"""How the denoiser weighs the estimates of a pixel, and what it does with coloured noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from filtered_noise import exact_spectrum, filtered_noise
from pictures import add_noise, wave
from torch import Tensor

from evodenoise.config.settings import Covariance, DenoiseConfig, Refinement
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.denoise import DenoiseResult, denoise
from evodenoise.denoising.denoiser import Denoiser, Fitted
from evodenoise.denoising.pace import Pace
from evodenoise.denoising.scaling import Scaling
from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.nonlocal_models.refinement import refine
from evodenoise.patches.aggregation import PatchAggregator
from evodenoise.patches.grid import PatchGrid
from evodenoise.patches.lattices import CoveringLattice
from evodenoise.patches.source import PatchSource

NOISE_STD = 25.0
CONFIG = DenoiseConfig(
    rebuilt_every=1,
    patch_size=5,
    latents=16,
    hidden=(16,),
    states=4,
    epochs=4,
    batch_size=128,
    noise_std=NOISE_STD,
    refinement=Refinement.NONE,
    device="cpu",
)

Added = list[tuple[Tensor, Tensor, Tensor, Tensor]]


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Added:
    """Collect what is added to an image: positions, coefficients, variances and weights."""
    parts: Added = []
    add = PatchAggregator.add

    def note(self: PatchAggregator, *part: Tensor) -> None:
        parts.append(part)
        add(self, *part)

    monkeypatch.setattr(PatchAggregator, "add", note)
    return parts


def run(config: DenoiseConfig, *, channels: int | None = None) -> DenoiseResult:
    return denoise(add_noise(wave(20, 24, channels=channels), NOISE_STD), config, rng=0)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("floor", [0.1, 0.5])
def test_estimates_are_weighted_by_their_precision(
    added: Added, floor: float, channels: int | None
) -> None:
    """Above a floor; the variance of each pixel of a patch is told in units of the noise's."""
    result = run(replace(CONFIG, weight_floor=floor), channels=channels)
    assert result.model is not None
    noise_variance = (NOISE_STD / result.model.scaling.std) ** 2
    positions = torch.cat([part[0] for part in added])
    assert sorted(positions.tolist()) == list(range(16 * 20))
    for _, _, variance, weights in added:
        assert variance.min() < 0.8 * variance.max()
        np.testing.assert_allclose(
            weights.numpy(), 1 / (variance.numpy() / noise_variance + floor), rtol=1e-5
        )


@pytest.mark.parametrize("rebuilt_every", [1, 2, 4, 1000])
@pytest.mark.parametrize("channels", [None, 3])
def test_few_patches_make_nearly_the_same_image(
    added: Added, rebuilt_every: int, channels: int | None
) -> None:
    """Further apart than half a patch they would leave some pixels to one patch only."""
    result = run(replace(CONFIG, rebuilt_every=rebuilt_every), channels=channels)
    positions = sorted(torch.cat([part[0] for part in added]).tolist())
    grid = PatchGrid((20, 24, channels or 1), 5)
    assert positions == CoveringLattice.of(grid, rebuilt_every).positions(grid).tolist()
    assert np.isfinite(result.image).all()
    added.clear()
    every = run(CONFIG, channels=channels)
    assert np.abs(result.image - every.image).mean() < 0.25 * NOISE_STD
    if rebuilt_every == 1:
        np.testing.assert_array_equal(result.image, every.image)


@pytest.mark.parametrize("shape", [(20, 24), (5, 33), (21, 6)])
@pytest.mark.parametrize("rebuilt_every", [1, 2, 4])
@pytest.mark.parametrize("late", [True, False])
def test_patches_that_are_rebuilt_cover_the_image(
    added: Added,
    monkeypatch: pytest.MonkeyPatch,
    late: bool,
    rebuilt_every: int,
    shape: tuple[int, int],
) -> None:
    """Without time, only the few that are needed for that are."""
    monkeypatch.setattr(Pace, "late", lambda *_: late)
    config = replace(CONFIG, rebuilt_every=rebuilt_every, time_limit=1000.0)
    result = denoise(add_noise(wave(*shape), NOISE_STD), config, rng=0)
    positions = torch.cat([part[0] for part in added])
    rows, columns = np.divmod(positions.numpy(), shape[1] - 4)
    covered = np.zeros(shape, int)
    for row, column in zip(rows, columns, strict=True):
        covered[row : row + 5, column : column + 5] += 1
    assert covered.min() >= 1
    assert len(positions) == len(set(positions.tolist()))
    assert covered.mean() < (5 if late else 26 * config.rebuilt_share + 5)
    assert np.isfinite(result.image).all()


def test_without_a_covariance_all_estimates_count_the_same(added: Added) -> None:
    run(replace(CONFIG, covariance=Covariance.NONE))
    assert added
    for *_, weights in added:
        assert (weights == weights.flatten()[0]).all()


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("refinement", [Refinement.GAUSSIAN, Refinement.FULL])
def test_the_refined_image_is_made_as_the_settings_say(refinement: Refinement, gaps: bool) -> None:
    """From the noisy image and the first estimate, which also fills the gaps."""
    noisy = add_noise(wave(20, 24), NOISE_STD)
    missing = np.zeros(noisy.shape, bool)
    missing[5:7, 8:11] = gaps
    pilot = denoise(noisy, CONFIG, missing=missing, rng=0)
    config = replace(CONFIG, refinement=refinement, group_step=2, group_sizes=(-1, 1))
    refined = denoise(noisy, config, missing=missing, rng=0)
    assert pilot.model is not None
    scaling = pilot.model.scaling
    filled = np.where(missing, pilot.image, noisy)
    expected = refine(
        torch.from_numpy(scaling.apply(filled[..., None])),
        torch.from_numpy(scaling.apply(pilot.image[..., None])),
        (NOISE_STD / scaling.std) ** 2,
        refinement,
        step=2,
        sizes=(-1, 1),
    )
    for other in (noisy, refined.image):
        assert np.abs(pilot.image - other).max() > 1
    np.testing.assert_allclose(refined.image, scaling.undo(expected.numpy())[..., 0], atol=0.01)


# --- coloured noise

VARIANCE = 0.25
"""Of the noise, in units of the clean picture's variance."""

BLURS = (0.2, 1.0)


def coloured(*, channels: int = 1, height: int = 24) -> tuple[Tensor, Tensor]:
    """Make a clean picture of unit variance, and one with coloured noise: (Y, X, C)."""
    clean = wave(height, height + 4, channels=channels)
    clean = (clean - clean.mean()) / clean.std()
    noise = [filtered_noise(BLURS, height, height + 4, seed=seed) for seed in range(channels)]
    noisy = clean + VARIANCE**0.5 * np.stack(noise, axis=2)
    return torch.from_numpy(clean).float(), torch.from_numpy(noisy).float()


def denoiser(
    noisy: Tensor,
    spectrum: NoiseSpectrum | None,
    *,
    missing: Tensor | None = None,
    **changes: object,
) -> Denoiser:
    config = replace(CONFIG, **changes)
    source = PatchSource(noisy, config.patch_size, missing)
    generator = torch.Generator().manual_seed(0)
    return Denoiser((source,), config, VARIANCE, None, generator, spectrum)


def train(made: Denoiser, checkpoint: Checkpoint | None = None) -> Fitted:
    return made.train(checkpoint, lambda _: False)


def test_the_model_is_told_the_spectrum_as_its_patches_lie() -> None:
    """Vertical frequency first, then horizontal, channels last."""
    density = np.random.default_rng(0).uniform(0.2, 3, (3, FREQUENCIES, FREQUENCIES))
    spectrum = NoiseSpectrum.of(density * [[[3]], [[1]], [[0.5]]])
    _, noisy = coloured(channels=3)
    model = train(denoiser(noisy, spectrum, epochs=1)).model
    expected = spectrum.wave_variances(5).transpose(1, 2, 0)
    assert model.noise_profile is not None
    np.testing.assert_allclose(model.noise_profile.view(5, 5, 3), expected, rtol=1e-5)


def test_of_white_noise_the_model_is_told_nothing() -> None:
    assert train(denoiser(coloured()[1], None, epochs=1)).model.noise_profile is None


def test_a_kept_model_takes_the_noise_of_the_image_at_hand() -> None:
    """It was trained in coloured noise, and meets other noise, and white."""
    _, noisy = coloured()
    first = denoiser(noisy, exact_spectrum(BLURS))
    fitted = train(first)
    kept = Checkpoint.of(
        fitted.model, fitted.codebook, first.sources[0].grid, Scaling.of(noisy.numpy())
    )
    assert "noise_profile" not in kept.weights
    other = exact_spectrum((1.0, 0.2))
    model = train(denoiser(noisy, other, epochs=0), kept).model
    assert model.noise_profile is not None
    np.testing.assert_allclose(model.noise_profile, other.profile(5), rtol=1e-5)
    assert model.noise_variance == pytest.approx(VARIANCE)
    assert train(denoiser(noisy, None, epochs=0), kept).model.noise_profile is None


@pytest.mark.parametrize("refinement", [Refinement.GAUSSIAN, Refinement.FULL])
def test_refinement_is_told_the_spectrum(refinement: Refinement) -> None:
    clean, noisy = coloured()
    spectrum = exact_spectrum(BLURS)
    pilot = clean + 0.4 * (noisy - clean)
    made = denoiser(noisy, spectrum, refinement=refinement, group_step=2)
    found = made.refine(made.sources[0], pilot)
    expected = refine(noisy, pilot, VARIANCE, refinement, spectrum=spectrum, step=2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("gaps", [False, True])
def test_a_model_that_knows_the_spectrum_denoises_better(gaps: bool) -> None:
    clean, noisy = coloured(height=32)
    missing = torch.zeros(noisy.shape[:2], dtype=torch.bool)
    missing[::8, ::8] = gaps
    noisy[missing] = 0
    errors = []
    for spectrum in (None, exact_spectrum(BLURS)):
        made = denoiser(noisy, spectrum, missing=missing, epochs=24)
        (rebuilt,) = made.rebuild(train(made))
        errors.append(float((rebuilt.image - clean).square().mean()))
    assert errors[1] < 0.7 * errors[0] < 0.7 * VARIANCE
