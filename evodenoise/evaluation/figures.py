"""Pictures for people: before and after side by side, and contact sheets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont  # noqa: TID251 - draws, reads no files

from evodenoise.evaluation.metrics import Quality

Array = npt.NDArray[Any]

PANEL = 340
"""Side of a panel, in pixels; its image fits into it."""
GAP = 14
FONT_SIZE = 15
LINE = 20
INK, PAPER, FRAME = (20, 20, 20), (255, 255, 255), (235, 120, 20)
DETAIL_SHARE = 0.2
"""Side of the detail over the shorter side of the image."""
SMALLEST_DETAIL = 24
NOISE_SPAN = 3.0
"""Standard deviations of the noise from mid-gray to black or white in a difference."""
UNCERTAIN = 99.5
"""Percentile of the standard deviations that is white."""
THUMBNAIL_SIDE = 150
THUMBNAILS_IN_A_ROW = 4
THUMBNAILS_ON_A_SHEET = 80


@dataclass(frozen=True)
class Tones:
    """Which pixel values are black and white."""

    black: float
    white: float

    @classmethod
    def of(cls, image: Array) -> "Tones":
        """Choose them so that an image shows: all of 8 bits, else but few values cut off."""
        if image.dtype == np.uint8:
            return cls(0.0, 255.0)
        black, white = np.percentile(image.astype(np.float64), (0.2, 99.8))
        return cls(float(black), float(white) if white > black else float(black) + 1.0)

    @classmethod
    def around_zero(cls, noise_std: float) -> "Tones":
        """Choose them for a difference."""
        span = NOISE_SPAN * noise_std or 1.0
        return cls(-span, span)

    def draw(self, pixels: Array) -> Image.Image:
        """Turn pixel values into a picture, gray or RGB; missing ones are mid-gray."""
        scaled = (pixels.astype(np.float64) - self.black) / (self.white - self.black)
        tones = np.rint(np.nan_to_num(scaled, nan=0.5).clip(0, 1) * 255).astype(np.uint8)
        if tones.ndim == 3:
            tones = tones[..., :3] if tones.shape[2] >= 3 else tones[..., 0]
        return Image.fromarray(tones).convert("RGB")


@dataclass(frozen=True)
class Panel:
    """One image of a figure."""

    title: str
    note: str
    pixels: Array
    tones: Tones


def draw_comparison(
    noisy: Array,
    denoised: Array,
    *,
    noise_std: float,
    caption: str,
    reference: Array | None = None,
    qualities: tuple[Quality | None, Quality | None] = (None, None),
    std: Array | None = None,
) -> Array:
    """Draw an image before and after, the difference, and the reference and errors if known.

    Parameters
    ----------
    noisy, denoised : ndarray, shape (Y, X) or (Y, X, C)
        Before and after.
    noise_std : float
        Noise level in pixel units; the contrast of the differences.
    caption : str
        Below the panels.
    reference : ndarray, optional
        The clean image.
    qualities : tuple of Quality or None
        Of the noisy and of the denoised image.
    std : ndarray, shape (Y, X) or (Y, X, C), optional
        Predicted standard deviation of the errors, in pixel units.

    Returns
    -------
    ndarray of uint8, shape (Y, X, 3)
        The picture: a row of panels, and below each a detail that is enlarged.
    """
    tones = Tones.of(denoised if reference is None else reference)
    differences = Tones.around_zero(noise_std)
    span = f"black to white: ±{differences.white:.3g}"
    panels = [
        Panel("noisy", _describe(qualities[0]), noisy, tones),
        Panel("denoised", _describe(qualities[1]), denoised, tones),
        Panel("noisy - denoised", span, _subtract(noisy, denoised), differences),
    ]
    if std is not None:
        panels.append(_uncertainty_panel(std))
    if reference is not None:
        panels += [
            Panel("reference", "", reference, tones),
            Panel("denoised - reference", span, _subtract(denoised, reference), differences),
        ]
    detail = choose_detail(denoised)
    columns = [_draw_panel(panel, detail) for panel in panels]
    width = GAP + sum(column.width + GAP for column in columns)
    picture = Image.new("RGB", (width, columns[0].height + 2 * GAP + LINE), PAPER)
    left = GAP
    for column in columns:
        picture.paste(column, (left, GAP))
        left += column.width + GAP
    _write(picture, (GAP, columns[0].height + GAP + 4), caption, width - 2 * GAP)
    return np.asarray(picture)


def _uncertainty_panel(std: Array) -> Panel:
    """Show where errors are likely: black where there is none, white for the largest."""
    most = float(np.nanpercentile(std, UNCERTAIN))
    tones = Tones(0.0, most or 1.0)
    return Panel("uncertainty", f"black to white: 0 to {tones.white:.3g}", std, tones)


def choose_detail(image: Array, side: int | None = None) -> tuple[int, int, int]:
    """Choose the square of an image where most is to be seen: of the largest variance.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, C)
        Best without noise.
    side : int, optional
        Of the square, in pixels, not above those of the image; by default it follows from them.

    Returns
    -------
    top, left, side : int
        In pixels.
    """
    gray = image.astype(np.float64)
    gray = gray.mean(axis=2) if gray.ndim == 3 else gray
    shorter = min(gray.shape)
    if side is None:
        side = min(shorter, max(SMALLEST_DETAIL, round(shorter * DETAIL_SHARE)))
    gray = np.nan_to_num(gray - np.nanmean(gray))
    mean, square = _box_means(gray, side), _box_means(gray**2, side)
    top, left = np.unravel_index(np.argmax(square - mean**2), mean.shape)
    return int(top), int(left), side


def _box_means(values: Array, side: int) -> Array:
    """Average over all squares of a side; shape (Y - side + 1, X - side + 1)."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.asarray(total / side**2)


def _describe(quality: Quality | None) -> str:
    return "" if quality is None else f"{quality.psnr:.2f} dB, SSIM {quality.ssim:.3f}"


def _subtract(first: Array, second: Array) -> Array:
    return first.astype(np.float64) - second.astype(np.float64)


def _draw_panel(panel: Panel, detail: tuple[int, int, int]) -> Image.Image:
    """Draw title, note, the image with a frame around the detail, and the detail enlarged."""
    top, left, side = detail
    whole = panel.tones.draw(panel.pixels)
    overview, scale = _fit(whole, PANEL)
    ImageDraw.Draw(overview).rectangle(
        [(left * scale, top * scale), ((left + side) * scale - 1, (top + side) * scale - 1)],
        outline=FRAME,
        width=2,
    )
    close, _ = _fit(whole.crop((left, top, left + side, top + side)), PANEL)
    close = close.resize((PANEL, PANEL), Image.Resampling.NEAREST)
    ImageDraw.Draw(close).rectangle(
        [(0, 0), (close.width - 1, close.height - 1)], outline=FRAME, width=2
    )
    head = 2 * LINE + 4
    column = Image.new("RGB", (PANEL, head + overview.height + GAP + close.height), PAPER)
    _write(column, (0, 0), panel.title, PANEL)
    _write(column, (0, LINE), panel.note, PANEL)
    column.paste(overview, ((PANEL - overview.width) // 2, head))
    column.paste(close, (0, head + overview.height + GAP))
    return column


def _fit(picture: Image.Image, side: int) -> tuple[Image.Image, float]:
    """Scale a picture so that it fills a square; pixels stay squares when it grows."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    return picture.resize(size, method), scale


def _write(picture: Image.Image, place: tuple[int, int], text: str, width: int) -> None:
    """Write a line, cut off with dots if it is too long."""
    font = ImageFont.load_default(FONT_SIZE)
    pen = ImageDraw.Draw(picture)
    if pen.textlength(text, font) > width:
        while text and pen.textlength(text + "...", font) > width:
            text = text[:-1]
        text += "..."
    pen.text(place, text, fill=INK, font=font)


@dataclass(frozen=True)
class Thumbnail:
    """An image of a contact sheet, small already."""

    before: Image.Image
    after: Image.Image
    lines: tuple[str, str]


def make_thumbnail(noisy: Array, denoised: Array, lines: tuple[str, str]) -> Thumbnail:
    """Shrink an image before and after for a contact sheet.

    Parameters
    ----------
    noisy, denoised : ndarray, shape (Y, X) or (Y, X, C)
        Before and after.
    lines : tuple of two str
        Below them.
    """
    tones = Tones.of(denoised)
    before, after = (_fit(tones.draw(each), THUMBNAIL_SIDE)[0] for each in (noisy, denoised))
    return Thumbnail(before, after, lines)


def draw_sheets(thumbnails: Iterable[Thumbnail]) -> Iterable[Array]:
    """Draw contact sheets, noisy and denoised side by side for each image.

    Parameters
    ----------
    thumbnails : iterable of Thumbnail
        The images; only those of one sheet are kept at a time.

    Yields
    ------
    ndarray of uint8, shape (Y, X, 3)
        A sheet.
    """
    page: list[Thumbnail] = []
    for thumbnail in thumbnails:
        page.append(thumbnail)
        if len(page) == THUMBNAILS_ON_A_SHEET:
            yield _draw_sheet(page)
            page = []
    if page:
        yield _draw_sheet(page)


def _draw_sheet(thumbnails: Sequence[Thumbnail]) -> Array:
    columns = min(THUMBNAILS_IN_A_ROW, len(thumbnails))
    rows = -(-len(thumbnails) // columns)
    width, height = 2 * THUMBNAIL_SIDE + 2, THUMBNAIL_SIDE + 2 * LINE + 3
    size = (GAP + columns * (width + GAP), GAP + rows * (height + GAP))
    sheet = Image.new("RGB", size, PAPER)
    for place, thumbnail in enumerate(thumbnails):
        left = GAP + place % columns * (width + GAP)
        top = GAP + place // columns * (height + GAP)
        for number, picture in enumerate((thumbnail.before, thumbnail.after)):
            middle = (THUMBNAIL_SIDE - picture.height) // 2
            sheet.paste(picture, (left + number * (THUMBNAIL_SIDE + 2), top + middle))
        for number, line in enumerate(thumbnail.lines):
            _write(sheet, (left, top + THUMBNAIL_SIDE + 3 + number * LINE), line, width)
    return np.asarray(sheet)
