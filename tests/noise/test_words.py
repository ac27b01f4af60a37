"""Noise in words: what a newcomer reads is what the record holds."""

from dataclasses import replace

import numpy as np
import pytest

from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.noise.uncertainty import NoiseUncertainty
from evodenoise.noise.words import describe_noise_kind, gain_errors, tones_of, with_error

GRAY = NoiseEstimate(5.0, (5.0,), ((1.0,),), 5.0, 5.0, consistent=True)
COLOUR = replace(
    GRAY,
    per_channel=(5.0,) * 3,
    correlation=tuple(tuple(row) for row in np.eye(3).tolist()),
)
TONES = [10.0, 50.0, 90.0]
FREQUENCY = (np.arange(FREQUENCIES) + 0.5) / FREQUENCIES
ORDER = np.hypot(*np.meshgrid(FREQUENCY, FREQUENCY))
FLAT = np.ones((FREQUENCIES, FREQUENCIES))
LINES = FLAT + 100 * (np.arange(FREQUENCIES) == 0)  # constant across, of any fineness down


def coloured(*density: np.ndarray, curve: LevelCurve | None = None) -> str:
    """Describe noise of a spectrum; by default it has one level."""
    base = GRAY if len(density) == 1 else COLOUR
    curves = (curve or LevelCurve.constant(5.0),) * len(density)
    spectrum = NoiseSpectrum.of(np.stack(density))
    return describe_noise_kind(replace(base, curves=curves, spectrum=spectrum), TONES)


def test_white_noise_and_none() -> None:
    assert describe_noise_kind(GRAY, TONES).startswith("white: the same everywhere")
    assert describe_noise_kind(NoiseEstimate.none(1), TONES) == "none found"


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (25.123, None, "25.1"),
        (25.123, 0.0, "25.1"),
        (25.123, 0.21, "25.1 ± 0.2"),
        (25.123, 0.151, "25.12 ± 0.15"),
        (25.123, 0.0996, "25.12 ± 0.10"),
        (25.123, 3.0, "25 ± 3"),
        (25.123, 13.0, "25 ± 13"),
        (0.0, 2.4, "0 ± 2"),
        (0.00123, 0.0002, "0.0012 ± 0.0002"),
        (1.234e-9, 2e-10, "1.23e-09 ± 2e-10"),
        (12345.0, 320.0, "12300 ± 300"),
        (12345.0, 130.0, "12340 ± 130"),
        (1.2345e7, 4e5, "1.23e+07 ± 4e+05"),
    ],
)
def test_a_figure_has_as_many_places_as_its_error(
    value: float, error: float | None, said: str
) -> None:
    assert with_error(value, error) == said


def test_gain_and_read_out_have_errors_in_pixel_units() -> None:
    photon = LevelCurve.of_photons(8.0, 3.0)
    sure = NoiseUncertainty((0.1,), (0.05,), (2.0,))
    noise = replace(GRAY, curves=(photon,), uncertainty=sure)
    assert describe_noise_kind(noise, TONES) == (
        "photon noise: gain 8.0 ± 0.4, read-out 3 ± 2, black level 0 (pixel units)"
    )
    two = replace(
        noise,
        per_channel=(5.0, 5.0),
        curves=(photon, LevelCurve.of_photons(4.0, 3.0)),
        uncertainty=NoiseUncertainty((0.1, 0.1), (0.05, 0.1), (2.0, 1.0)),
    )
    assert "gain 8.0 ± 0.4 / 4.0 ± 0.4, read-out 3 ± 2, " in describe_noise_kind(two, TONES)
    assert gain_errors(GRAY) is None


def test_doubt_is_told_first_and_in_figures() -> None:
    doubtful = replace(GRAY, coarse_std=9.0, consistent=False)
    assert describe_noise_kind(doubtful, TONES) == (
        "unclear: it may be correlated or not Gaussian (level 5 in fine, 9 in coarser detail)"
    )


def test_photon_noise_has_its_figures_and_channels_that_differ_each_theirs() -> None:
    alike = replace(COLOUR, curves=(LevelCurve.of_photons(1.05, 2.1),) * 3)
    assert describe_noise_kind(alike, TONES) == (
        "photon noise: gain 1.05, read-out 2.1, black level 0 (pixel units)"
    )
    gains = (1.0, 1.5, 2.0)
    differing = replace(COLOUR, curves=tuple(LevelCurve.of_photons(gain, 2.0) for gain in gains))
    assert "gain 1 / 1.5 / 2, read-out 2, " in describe_noise_kind(differing, TONES)


def test_levels_are_told_at_three_tones() -> None:
    curve = LevelCurve.of_knots((10, 50, 90), (2.1, 4.5, 3))
    assert describe_noise_kind(replace(GRAY, curves=(curve,)), TONES) == (
        "signal-dependent: 2.1 in the shadows, 4.5 in mid tones, 3 in the lights"
    )
    said = coloured(1 / ORDER, curve=curve)
    assert said.endswith("; 2.1 in the shadows, 4.5 in mid tones, 3 in the lights")


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        (np.where(ORDER < 0.5, 16.0, 1.0), "4 times stronger in coarse than in fine detail"),
        (np.where(ORDER < 0.5, 1.0, 4.0), "2 times weaker in coarse than in fine detail"),
        (LINES, "stripes along rows"),
        (LINES.T, "stripes along columns"),
        (LINES + LINES.T, "stripes along rows, stripes along columns"),
        (FLAT, "nearly the same in coarse and in fine detail"),
    ],
)
def test_a_spectrum_is_told_by_what_stands_out(density: np.ndarray, expected: str) -> None:
    assert coloured(density) == f"coloured: {expected}"


def test_colour_is_compared_to_brightness() -> None:
    more, less = coloured(FLAT, 9 * FLAT, 9 * FLAT), coloured(9 * FLAT, FLAT, FLAT)
    assert more == "coloured: 3 times stronger in colour than in brightness"
    assert less == "coloured: 3 times weaker in colour than in brightness"


def test_tones_are_shares_of_the_way_from_dark_to_light() -> None:
    pixels = np.linspace(100, 300, 5000).reshape(50, 100)
    pixels[0, 0] = 1e9  # one pixel is no tone
    np.testing.assert_allclose(tones_of(pixels), [120, 200, 280], atol=1)
    assert tones_of(np.full((3, 3), 7, np.uint8)) == [7, 7, 7]
