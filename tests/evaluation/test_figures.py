"""Figures show what they should, where they should."""

import numpy as np
import pytest
from pictures import add_noise, as_dtype, wave

from evodenoise.evaluation.figures import (
    GAP,
    PANEL,
    THUMBNAILS_ON_A_SHEET,
    Tones,
    choose_detail,
    draw_comparison,
    draw_sheets,
    make_thumbnail,
)
from evodenoise.evaluation.metrics import Quality


def test_the_detail_is_where_most_is_to_be_seen() -> None:
    image = np.full((100, 160), 7.0)
    image[60:80, 100:120] = np.indices((20, 20)).sum(axis=0) % 2 * 50
    top, left, side = choose_detail(image)
    assert side == 24
    assert top <= 60
    assert left <= 100
    assert top + side >= 80
    assert left + side >= 120


@pytest.mark.parametrize("shape", [(5, 4), (12, 90), (64, 64, 3), (30, 30, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_detail_lies_within(shape: tuple[int, ...], dtype: str) -> None:
    image = np.random.default_rng(0).uniform(0, 200, shape).astype(dtype)
    top, left, side = choose_detail(image)
    assert 0 <= top <= shape[0] - side
    assert 0 <= left <= shape[1] - side


@pytest.mark.parametrize(("with_reference", "panels"), [(False, 3), (True, 5)])
@pytest.mark.parametrize("channels", [None, 3])
def test_panels(with_reference: bool, panels: int, channels: int | None) -> None:
    clean = as_dtype(wave(40, 60, channels=channels), "uint8")
    noisy = as_dtype(add_noise(clean), "uint8")
    picture = draw_comparison(
        noisy,
        clean,
        noise_std=25.0,
        caption="a picture",
        reference=clean if with_reference else None,
        qualities=(Quality(20.0, 0.5, 25.0), Quality(30.0, 0.9, 8.0)),
    )
    assert picture.dtype == np.uint8
    assert picture.shape[1] == panels * (PANEL + GAP) + GAP
    with_bars = draw_comparison(
        noisy,
        clean,
        noise_std=25.0,
        caption="",
        std=np.linspace(0, 9, clean.size).reshape(clean.shape),
    )
    assert with_bars.shape[1] == 4 * (PANEL + GAP) + GAP
    bars = with_bars[60:200, -GAP - PANEL // 2 - 20 : -GAP - PANEL // 2].mean((1, 2))
    assert bars[-1] > bars[0] + 40  # from black to white, as they grow
    # The difference to the reference is zero here: mid-gray in the last panel's middle.
    if with_reference:
        last = picture[60:200, -GAP - PANEL // 2 - 20 : -GAP - PANEL // 2]
        assert np.median(last) in (127, 128)


def test_tones() -> None:
    assert Tones.of(np.zeros((4, 4), np.uint8)) == Tones(0, 255)
    assert Tones.of(np.full((4, 4), 9.0)).white > 9
    assert Tones.around_zero(0.0).white > 0
    ramp = Tones.of(np.arange(65536, dtype=np.uint16).reshape(256, 256))
    assert 0 <= ramp.black < 200
    assert 65335 < ramp.white <= 65535


def test_missing_pixels_are_gray() -> None:
    picture = Tones(0.0, 1.0).draw(np.array([[0.0, np.nan], [1.0, np.inf]]))
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], [[0, 128], [255, 255]])


def test_contact_sheets_have_pages() -> None:
    image = as_dtype(wave(8, 8), "uint8")
    cells = (
        make_thumbnail(image, image, (f"{number}.png", ""))
        for number in range(THUMBNAILS_ON_A_SHEET + 1)
    )
    first, second = draw_sheets(cells)
    assert first.shape[0] > 10 * second.shape[0]
