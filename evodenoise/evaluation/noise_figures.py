"""A picture of the noise for people: level over brightness, and spectrum of each channel.

Dimensions: C channels, F frequencies along one axis.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont  # noqa: TID251 - draws, reads no files

from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.spectrum import FREQUENCIES

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

WIDTH = 960
"""Pixels; all other measures are, too."""

MARGIN, LINE, FONT_SIZE, TITLE_SIZE = 24, 20, 14, 18
LEFT = 84
"""Of the axes: numbers stand beside them."""

PLOT_HEIGHT, BAR_WIDTH, GAP = 260, 18, 24
FINER = 2
"""Times as finely all is drawn, and then averaged: no edge is jagged."""

BAND = 0.75
"""Of the colour of a band of uncertainty, paper."""

INK, FAINT, GRID, PAPER = (25, 25, 25), (105, 105, 105), (226, 226, 226), (255, 255, 255)
SHADE = (232, 236, 243)
CURVES: Sequence[Colour] = ((200, 40, 40), (20, 135, 60), (45, 85, 205), (150, 60, 160))
ALONE: Colour = (45, 85, 205)
DARK_TO_LIGHT = np.array(
    [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64
)
"""Of the map of a spectrum, even for the eye."""

NAMES = {3: ("red", "green", "blue")}
OPPONENTS = {1: ("brightness",), 3: ("brightness", "red - blue", "green - magenta")}
"""What channels and their mixtures are called; others go by number."""

HEADROOM, BINS, SAMPLES = 1.12, 110, 320
LEAST_SPAN, MOST_SPAN = 1.0, 6.0
"""Octaves of deviation, up and down from the mean, that the map of a spectrum shows."""


def draw_noise(noise: NoiseEstimate, pixels: Array, *, title: str, lines: Sequence[str]) -> Array:
    """Draw what is known of the noise of an image.

    Parameters
    ----------
    noise : NoiseEstimate
        The record.
    pixels : ndarray, of any shape
        Finite values of the image, in pixel units.
    title : str
        Above all.
    lines : sequence of str
        Below the title, each broken where it is too long.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
        The picture: curves above, spectra below.
    """
    words = [piece for line in lines for piece in _break(line, WIDTH - 2 * MARGIN)]
    side = _side(len(noise.per_channel))
    top = MARGIN + 30 + LINE * len(words) + 48
    below = top + PLOT_HEIGHT + 116
    sheet = _Sheet(WIDTH, below + side + 52 + MARGIN)
    sheet.text((MARGIN, MARGIN), _cut(title), size=TITLE_SIZE)
    for number, piece in enumerate(words):
        sheet.text((MARGIN, MARGIN + 30 + LINE * number), piece)
    _draw_levels(sheet, noise, pixels, top)
    _draw_spectra(sheet, noise, below, side)
    return sheet.finish()


class _Sheet:
    """Paper to draw on, by places in pixels of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self.picture = Image.new("RGB", (FINER * width, FINER * height), PAPER)
        self.pen = ImageDraw.Draw(self.picture)

    def text(
        self,
        place: tuple[float, float],
        words: str,
        *,
        anchor: str = "la",
        size: int = FONT_SIZE,
        colour: Colour = INK,
    ) -> None:
        self.pen.text(_finer(place), words, colour, _font(size), anchor=anchor)

    def upright(self, place: tuple[float, float], words: str, colour: Colour) -> None:
        """Write from below to above, the middle of the line at a place."""
        left, top, right, bottom = map(int, self.pen.textbbox((0, 0), words, _font(FONT_SIZE)))
        label = Image.new("RGB", (right - left, bottom - top), PAPER)
        ImageDraw.Draw(label).text((-left, -top), words, colour, _font(FONT_SIZE))
        label = label.rotate(90, expand=True)
        across, down = _finer(place)
        where = (round(across - label.width / 2), round(down - label.height / 2))
        self.picture.paste(label, where)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1) -> None:
        finer = [_finer(point) for point in points]
        self.pen.line(finer, colour, round(FINER * width), joint="curve")

    def area(self, corners: Sequence[tuple[float, float]], colour: Colour) -> None:
        self.pen.polygon([_finer(corner) for corner in corners], colour)

    def box(
        self,
        corners: tuple[float, float, float, float],
        fill: Colour | None = None,
        outline: Colour | None = None,
    ) -> None:
        left, top, right, bottom = (FINER * each for each in corners)
        self.pen.rectangle((left, top, right - 1, bottom - 1), fill, outline, FINER)

    def paste(self, colours: Array, place: tuple[int, int], size: tuple[int, int]) -> None:
        """Enlarge an array (Y, X, 3), its pixels as squares."""
        wanted = (FINER * size[0], FINER * size[1])
        part = Image.fromarray(colours).resize(wanted, Image.Resampling.NEAREST)
        self.picture.paste(part, (FINER * place[0], FINER * place[1]))

    def finish(self) -> Array:
        return np.asarray(self.picture.reduce(FINER))


def _draw_levels(sheet: _Sheet, noise: NoiseEstimate, pixels: Array, top: int) -> None:
    """Draw the curve of each channel over the values that the image has."""
    low, high = _span(pixels)
    means = np.linspace(low, high, SAMPLES)
    levels = _levels(noise, means)
    errors = levels * _errors(noise)
    most = HEADROOM * float((levels + errors).max()) or 1.0
    right, bottom = WIDTH - MARGIN, top + PLOT_HEIGHT

    def across(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (right - LEFT)

    def down(level: float) -> float:
        return bottom - level / most * PLOT_HEIGHT

    sheet.text((LEFT, top - 26), "noise level: standard deviation, in pixel units")
    counts, edges = _count(pixels, low, high)
    for count, first, last in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = 0.9 * PLOT_HEIGHT * math.sqrt(count / counts.max()) + 1
            sheet.box((across(first), bottom - height, across(last), bottom), SHADE)
    bands = zip(_colours(len(levels)), levels - errors, levels + errors, strict=True)
    for colour, lower, upper in bands if noise.uncertainty else ():
        edge = [(across(x), down(y)) for x, y in zip(means, upper, strict=True)]
        back = [(across(x), down(max(y, 0))) for x, y in zip(means, lower, strict=True)]
        sheet.area(edge + back[::-1], _pale(colour))
    for level in _ticks(0, most, 6):
        sheet.line([(LEFT, down(level)), (right, down(level))], GRID)
        sheet.text((LEFT - 8, down(level)), f"{level:g}", anchor="rm")
    for value in _ticks(low, high, 9):
        sheet.line([(across(value), bottom), (across(value), bottom + 5)], INK)
        sheet.text((across(value), bottom + 9), f"{value:g}", anchor="ma")
    for colour, curve in zip(_colours(len(levels)), levels, strict=True):
        points = [(across(x), down(y)) for x, y in zip(means, curve, strict=True)]
        sheet.line(points, colour, 2)
    sheet.box((LEFT, top, right, bottom), outline=INK)
    sheet.text((LEFT, bottom + 30), "brightness, in pixel units")
    words = "shaded: how many pixels have it"
    if noise.uncertainty:
        words = f"band: how far it may be off; {words}"
    sheet.text((right, bottom + 30), words, anchor="ra", colour=FAINT)
    _draw_legend(sheet, len(levels), right, top - 26)


def _draw_legend(sheet: _Sheet, count: int, right: float, top: float) -> None:
    """Name the curves, from right to left."""
    if count == 1:
        return
    for name, colour in reversed(list(zip(_names(count), _colours(count), strict=True))):
        sheet.text((right, top), name, anchor="ra")
        right -= sheet.pen.textlength(name, _font(FONT_SIZE)) / FINER + 8
        sheet.line([(right - 22, top + 8), (right, top + 8)], colour, 3)
        right -= 40


def _draw_spectra(sheet: _Sheet, noise: NoiseEstimate, top: int, side: int) -> None:
    """Draw the map of each channel, of one brightness if the noise is white, and what it means."""
    count = len(noise.per_channel)
    density = np.ones((count, FREQUENCIES, FREQUENCIES))
    if noise.spectrum is not None:
        density = noise.spectrum.density
    octaves = np.log2(density) / 2
    span = float(np.clip(np.ceil(np.abs(octaves).max()), LEAST_SPAN, MOST_SPAN))
    sheet.text((LEFT, top - 46), "spectrum: how strong the noise is in coarse and in fine detail")
    step = side + GAP
    if not noise.std:
        sheet.text((LEFT, top - 22), "there is none", colour=FAINT)
        return
    for place, (name, values) in enumerate(zip(_opponents(count), octaves, strict=True)):
        left = LEFT + place * step
        sheet.text((left, top - 22), name)
        # Coarse detail is at the lower left.
        sheet.paste(_paint(values[::-1], span), (left, top), (side, side))
        sheet.box((left, top, left + side, top + side), outline=INK)
        _label_axis(sheet, left, top + side + 6, side)
    sheet.upright((LEFT - 18, top + side / 2), "down", INK)
    sheet.upright((LEFT - 18, top + side - 22), "coarse", FAINT)
    sheet.upright((LEFT - 18, top + 14), "fine", FAINT)
    _draw_bar(sheet, LEFT + count * step, top, side, span)


def _label_axis(sheet: _Sheet, left: int, top: int, side: int) -> None:
    sheet.text((left, top), "coarse", colour=FAINT)
    sheet.text((left + side / 2, top), "across", anchor="ma")
    sheet.text((left + side, top), "fine", anchor="ra", colour=FAINT)


def _draw_bar(sheet: _Sheet, left: int, top: int, side: int, span: float) -> None:
    """Say what the colours of the maps stand for."""
    shades = np.linspace(span, -span, side)[:, None]
    sheet.paste(_paint(shades, span), (left, top), (BAR_WIDTH, side))
    sheet.box((left, top, left + BAR_WIDTH, top + side), outline=INK)
    octaves = [round(each) for each in _ticks(-span, span, 6) if each == round(each)]
    for octave in octaves:
        place = top + side / 2 * (1 - octave / span)
        factor = f"{2**octave}" if octave >= 0 else f"1/{2**-octave}"
        inside = min(max(place, top + 6), top + side - 6)
        sheet.text((left + BAR_WIDTH + 7, inside), f"{factor} x", anchor="lm")
    sheet.text((left, top - 22), "of the mean")


def _levels(noise: NoiseEstimate, means: Floats) -> Floats:
    """Return the level of each channel at some means: (C, M)."""
    if noise.curves:
        return np.stack([curve.std(means) for curve in noise.curves])
    return np.outer(noise.per_channel, np.ones(len(means)))


def _errors(noise: NoiseEstimate) -> Floats:
    """Return how far the level of each channel may be off, relative: (C, 1); 0 if not known."""
    sure = noise.uncertainty
    known = np.zeros(len(noise.per_channel)) if sure is None else np.array(sure.level)
    return known[:, None]


def _pale(colour: Colour) -> Colour:
    """Mix a colour with that of paper."""
    red, green, blue = (
        round(BAND * paper + (1 - BAND) * own) for own, paper in zip(colour, PAPER, strict=True)
    )
    return red, green, blue


def _span(pixels: Array) -> tuple[float, float]:
    """Find the lowest and the highest value, or some around the only one."""
    low, high = float(pixels.min()), float(pixels.max())
    return (low, high) if high > low else (low - 1, high + 1)


def _count(pixels: Array, low: float, high: float) -> tuple[Array, Floats]:
    """Count values in bins; of whole numbers each bin has as many as the next."""
    if pixels.dtype.kind not in "ui":
        return np.histogram(pixels, BINS, (low, high))
    width = math.ceil((high - low + 1) / BINS)
    bins = math.ceil((high - low + 1) / width)
    counts, edges = np.histogram(pixels, bins, (low - 0.5, low + bins * width - 0.5))
    return counts, edges.clip(low, high)


def _paint(octaves: Floats, span: float) -> Array:
    """Turn deviations (Y, X), as logarithms, into colours (Y, X, 3)."""
    shares = (octaves / span).clip(-1, 1) / 2 + 0.5
    knots = np.linspace(0, 1, len(DARK_TO_LIGHT))
    channels = [np.interp(shares, knots, channel) for channel in DARK_TO_LIGHT.T]
    painted: Array = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return painted


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Choose round numbers within a range."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _side(count: int) -> int:
    """Return the side of the maps, of whole pixels for each frequency."""
    return FREQUENCIES * (6 if count <= 3 else 5)


def _names(count: int) -> Sequence[str]:
    return NAMES.get(count, [f"channel {number}" for number in range(1, count + 1)])


def _opponents(count: int) -> Sequence[str]:
    others = [f"difference {number}" for number in range(1, count)]
    return OPPONENTS.get(count, ["mean of channels", *others])


def _colours(count: int) -> Sequence[Colour]:
    return (ALONE,) if count == 1 else CURVES[:count]


def _finer(place: tuple[float, float]) -> tuple[float, float]:
    return FINER * place[0], FINER * place[1]


def _font(size: int) -> Any:
    return ImageFont.load_default(FINER * size)


def _cut(title: str) -> str:
    """Shorten a title that is too long, in its middle, where names differ least."""
    whole = title
    while _font(TITLE_SIZE).getlength(title) > FINER * (WIDTH - 2 * MARGIN):
        whole = whole[:-1]
        title = f"{whole}..."
    return title


def _break(line: str, width: int) -> list[str]:
    """Break a line between words."""
    pieces = [""]
    for word in line.split():
        longer = f"{pieces[-1]} {word}".strip()
        if pieces[-1] and _font(FONT_SIZE).getlength(longer) > FINER * width:
            pieces.append(word)
        else:
            pieces[-1] = longer
    return pieces
