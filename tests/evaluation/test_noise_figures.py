"""The picture of the noise shows what the record says, where it should."""

from dataclasses import replace

import numpy as np
import pytest
from pictures import add_noise, as_dtype, wave

from evodenoise.evaluation.noise_figures import (
    ALONE,
    CURVES,
    LEFT,
    MARGIN,
    PLOT_HEIGHT,
    SHADE,
    WIDTH,
    _pale,
    draw_noise,
)
from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.spectrum import FREQUENCIES, NoiseSpectrum
from evodenoise.noise.uncertainty import NoiseUncertainty

PIXELS = as_dtype(add_noise(wave(40, 60)), "uint8")
COARSE = np.add.outer(np.arange(FREQUENCIES), np.arange(FREQUENCIES)) < 12


def record(channels: int, **changes: object) -> NoiseEstimate:
    identity = tuple(tuple(row) for row in np.eye(channels).tolist())
    white = NoiseEstimate(5.0, (5.0,) * channels, identity, 5.0, 5.0, consistent=True)
    return replace(white, **changes)


def draw(noise: NoiseEstimate, pixels: np.ndarray = PIXELS, title: str = "a.png") -> np.ndarray:
    return draw_noise(noise, pixels, title=title, lines=["what it is", "how strong"])


def places(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """List rows and columns of a colour, but for legends, which are outside of the axes."""
    found = np.argwhere((picture == colour).all(-1))
    return found[(found[:, 0] > frame(picture)[0]) & (found[:, 0] < frame(picture)[1])]


def frame(picture: np.ndarray) -> tuple[int, int]:
    """Find the first and the last row of the plot, by its left border."""
    dark = (picture[:, LEFT] < 60).all(-1)
    top = int(np.flatnonzero(dark)[np.flatnonzero(dark) > 100][0])
    return top, top + PLOT_HEIGHT


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["none", "white", "photon", "coloured"])
@pytest.mark.parametrize("title", ["a.png", "a very long name " * 20 + ".png"])
def test_nothing_is_cut_off(channels: int, kind: str, title: str) -> None:
    curves = (LevelCurve.of_photons(2.0, 3.0, 10.0),) * channels
    spectrum = NoiseSpectrum.of(np.stack([COARSE + 0.01] * channels))
    noise = {
        "none": NoiseEstimate.none(channels),
        "white": record(channels),
        "photon": record(channels, curves=curves),
        "coloured": record(channels, curves=curves, spectrum=spectrum),
    }[kind]
    picture = draw(noise, title=title)
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (WIDTH, 3)
    edge = MARGIN - 8
    for strip in (picture[:edge], picture[-edge:], picture[:, :edge], picture[:, -edge:]):
        assert (strip == 255).all()


def test_a_curve_rises_where_the_noise_does() -> None:
    curve = LevelCurve.of_knots((0, 255), (10, 20))
    picture = draw(record(1, curves=(curve,)))
    rows = places(picture, ALONE)
    top, bottom = frame(picture)
    left = rows[rows[:, 1] < LEFT + 20, 0].mean()
    right = rows[rows[:, 1] > WIDTH - MARGIN - 20, 0].mean()
    low, high = PIXELS.min(), PIXELS.max()
    ratio = (bottom - left) / (bottom - right)
    assert ratio == pytest.approx(float(curve.std(low) / curve.std(high)), rel=0.05)
    assert top < right < left < bottom


def test_each_channel_has_a_curve_of_its_own_at_its_own_height() -> None:
    noise = record(3, per_channel=(2.0, 4.0, 6.0))
    picture = draw(noise)
    bottom = frame(picture)[1]
    heights = [bottom - places(picture, colour)[:, 0].mean() for colour in CURVES[:3]]
    np.testing.assert_allclose(np.array(heights) / heights[0], [1, 2, 3], rtol=0.05)


def test_a_band_tells_how_far_the_level_may_be_off() -> None:
    sure = NoiseUncertainty((0.2,))
    plain, banded = draw(record(1)), draw(record(1, uncertainty=sure))
    assert not len(places(plain, _pale(ALONE)))
    rows, line = places(banded, _pale(ALONE))[:, 0], places(banded, ALONE)[:, 0].mean()
    bottom = frame(banded)[1]
    ends = np.array([bottom - rows.max(), bottom - rows.min()]) / (bottom - line)
    np.testing.assert_allclose(ends, [0.8, 1.2], atol=0.03)


def test_white_noise_has_maps_of_one_colour_and_coarse_noise_is_bright_at_the_lower_left() -> None:
    def the_map(noise: NoiseEstimate) -> np.ndarray:
        picture = draw(noise)
        side = 6 * FREQUENCIES
        borders = np.flatnonzero((picture[:, LEFT] < 60).all(-1))
        bottom = int(borders[-1])
        return picture[bottom - side + 4 : bottom - 3, LEFT + 4 : LEFT + side - 4].mean(-1)

    assert np.ptp(the_map(record(1))) == 0
    spectrum = NoiseSpectrum.of(COARSE[None] + 0.01)
    coarse = the_map(record(1, curves=(LevelCurve.constant(5.0),), spectrum=spectrum))
    assert coarse[-5, 5] > coarse[5, 5] + 50
    assert coarse[5, 5] == coarse[-5, -5] == coarse[5, -5]


@pytest.mark.parametrize(
    "pixels", [np.arange(40, 190).repeat(10).astype(np.uint8), np.linspace(0, 1, 11000)]
)
def test_brightness_that_many_pixels_have_is_shaded(pixels: np.ndarray) -> None:
    """Evenly, for whole numbers too: no comb of bins with one value more than others."""
    picture = draw(record(1, std=1e-3, per_channel=(1e-3,)), pixels)
    shaded = (picture == SHADE).all(-1)[:, LEFT + 4 : WIDTH - MARGIN - 12].sum(0)
    assert shaded.min() > 0.8 * shaded.max() > 0


def test_a_picture_of_one_value_can_be_drawn() -> None:
    assert draw(NoiseEstimate.none(1), np.full((5, 5), 7.0)).shape[1] == WIDTH
