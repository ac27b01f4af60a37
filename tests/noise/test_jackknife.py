"""How far a reading of noise may be off, against readings of noise that is known."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from pictures import blobs
from scipy.ndimage import gaussian_filter

from evodenoise import estimate_noise
from evodenoise.noise.jackknife import read_uncertainty
from evodenoise.noise.record import NoiseEstimate, NoiseKind
from evodenoise.noise.uncertainty import NoiseUncertainty

Floats = npt.NDArray[np.float64]
SEEDS = range(3)


def clean(side: int = 160) -> Floats:
    return 20 + 200 * blobs(side, side).astype(np.float64)


def white(seed: int, side: int = 160) -> Floats:
    return clean(side) + 20 * np.random.default_rng(seed).normal(size=(side, side))


def photons(seed: int, side: int = 160) -> Floats:
    return 6 * np.random.default_rng(seed).poisson(clean(side) / 6).astype(np.float64)


def blurred(seed: int, side: int = 160) -> Floats:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 1, mode="wrap")
    return clean(side) + 20 * noise / noise.std()


def known(pixels: npt.NDArray[np.generic]) -> tuple[NoiseEstimate, NoiseUncertainty]:
    noise = estimate_noise(pixels)
    assert noise.uncertainty is not None
    return noise, noise.uncertainty


@cache
def known_of(
    make: Callable[[int], Floats], seed: int = 0
) -> tuple[NoiseEstimate, NoiseUncertainty]:
    return known(make(seed))


@pytest.mark.parametrize(
    ("make", "kind", "level", "most"),
    [
        (white, NoiseKind.WHITE, 20.0, 0.05),
        (photons, NoiseKind.PHOTON, float(np.sqrt(6 * clean().mean())), 0.3),
        (blurred, NoiseKind.COLOURED, 20.0, 0.15),
    ],
)
def test_errors_of_the_level_are_what_is_said(
    make: Callable[[int], Floats], kind: NoiseKind, level: float, most: float
) -> None:
    """Of the size that is told, be it chance or structure: root mean square over some pictures."""
    errors = []
    for seed in SEEDS:
        noise, sure = known_of(make, seed)
        assert noise.kind is kind
        assert noise.level_uncertainty == pytest.approx(sure.level[0] * noise.level)
        assert 0.002 < sure.level[0] < most
        errors.append((noise.level / level - 1) / sure.level[0])
    assert 0.2 < np.sqrt(np.mean(np.square(errors))) < 2.5


def test_gain_and_read_out_of_photons_are_as_far_off_as_said() -> None:
    readings = [known_of(photons, seed) for seed in SEEDS]
    for noise, sure in readings:
        (photon,) = noise.photons or ()
        assert abs(photon.gain / 6 - 1) < 3 * sure.gain[0] < 1
        assert photon.readout < 3 * sure.readout[0]
        assert sure.spectrum == ()


def test_a_spectrum_has_an_uncertainty_and_white_noise_but_that_of_its_level() -> None:
    _, sure = known_of(blurred)
    assert 0.1 < sure.spectrum[0] < 0.6
    assert sure.gain == sure.readout == ()
    _, sure = known_of(white)
    assert sure.gain == sure.readout == sure.spectrum == ()


def test_more_pixels_tell_more() -> None:
    """Up to 256 x 256; of a larger image no more are read."""
    sizes = (64, 200)
    flat = [
        np.mean([known(100 + white(s, n) - clean(n))[1].level[0] for s in (0, 1)]) for n in sizes
    ]
    assert flat[1] < flat[0] / 1.5


def test_it_follows_the_units() -> None:
    noise, sure = known_of(photons)
    other, same = known(1000 * photons(0))
    assert same.level == pytest.approx(sure.level)
    assert same.gain == pytest.approx(sure.gain)
    assert same.readout == pytest.approx([1000 * each for each in sure.readout], rel=1e-3)
    assert other.level_uncertainty == pytest.approx(1000 * (noise.level_uncertainty or 0))


def test_channels_and_pages_and_gaps() -> None:
    colours = np.stack([white(0), 2 * white(1), white(2)], axis=-1)
    _, sure = known(colours)
    assert len(sure.level) == 3
    gaps = white(0)
    gaps[40:80, 30:90] = np.nan
    assert known(gaps)[1].level[0] < 0.1


def test_noise_that_follows_the_signal_but_is_taken_for_white_is_in_doubt() -> None:
    """Not by chance, which the parts would tell, but by another curve that fits as well."""
    grey = np.full((160, 160), 100.0)
    slope = np.linspace(80, 160, 160)[:, None] + np.zeros(160)
    rng = np.random.default_rng(0)
    weak = slope + 0.2 * rng.normal(size=slope.shape) * slope**0.5 * 10**0.5
    noise, sure = known(weak)
    _, flat = known(grey + noise.level * rng.normal(size=grey.shape))
    assert noise.kind is NoiseKind.WHITE
    assert sure.level[0] > flat.level[0]


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((80, 80), 7.0),
        white(0)[:60, :90],
        np.where(np.arange(160 * 160).reshape(160, 160) % 160 < 140, np.nan, white(0)),
    ],
    ids=["constant", "small", "few pixels"],
)
def test_where_too_little_is_seen_nothing_is_said(pixels: Floats) -> None:
    noise = estimate_noise(pixels)
    assert noise.uncertainty is noise.level_uncertainty is None


def test_readings_that_disagree_are_in_doubt() -> None:
    """The uncertainty spans fine and coarse detail."""
    pages = white(0)[None, ..., None]
    noise, _ = known_of(white)
    doubtful = replace(noise, coarse_std=2 * noise.std, consistent=False)
    found = read_uncertainty(pages, np.zeros(pages.shape[:3], bool), doubtful)
    assert found is not None
    assert found.level[0] == pytest.approx(np.log(2), rel=0.01)


def test_noise_that_is_hardly_coloured_may_be_white_and_grain() -> None:
    """What the finest waves say less is in doubt, unless it is so much that there is no doubt."""
    pages = blurred(0)[None, ..., None]
    doubts = []
    for ratio in (1.0, 0.8, 0.1):
        noise, _ = known_of(blurred)
        noise = replace(noise, wavelet_std=ratio * noise.std)
        found = read_uncertainty(pages, np.zeros(pages.shape[:3], bool), noise)
        assert found is not None
        doubts.append(found.level[0])
    assert doubts[1] > 1.5 * doubts[0]
    assert doubts[2] == pytest.approx(doubts[0], rel=0.01)
