"""What of an array is denoised, and how the result finds back into it."""

import numpy as np
import pytest

from evodenoise.denoising.channels import DistinctChannels, fill_missing

PAGES = np.random.default_rng(0).normal(100, 20, (2, 9, 11, 3))


def test_there_and_back() -> None:
    frames = DistinctChannels.of(PAGES)
    assert not frames.missing.any()
    np.testing.assert_array_equal(frames.restore(frames.values), PAGES)


def test_channels_that_say_nothing_new_are_left_out() -> None:
    pages = PAGES[..., [0, 1, 0, 0]].copy()
    pages[..., 3] = 5
    frames = DistinctChannels.of(pages)
    assert frames.values.shape == (2, 9, 11, 2)
    assert frames.plan.sources == (0, 1, 0, None)
    changed = frames.restore(frames.values + 1)
    np.testing.assert_array_equal(changed[..., :3], pages[..., :3] + 1)
    assert (changed[..., 3] == 5).all()


def test_missing_are_nan_and_what_the_mask_says() -> None:
    pages, mask = PAGES.copy(), np.zeros(PAGES.shape[:-1], bool)
    pages[0, 2, 3, 1] = np.nan
    mask[1, 4, 5] = True
    frames = DistinctChannels.of(pages, mask)
    assert sorted(zip(*np.nonzero(frames.missing), strict=True)) == [(0, 2, 3), (1, 4, 5)]
    assert np.isfinite(frames.values).all()
    seen = ~frames.missing
    np.testing.assert_array_equal(frames.values[seen], pages[seen])


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300])
def test_constant(value: float) -> None:
    pages = np.full((1, 5, 6, 2), value)
    assert DistinctChannels.of(pages).constant
    pages[0, 0, 0] = np.nan
    frames = DistinctChannels.of(pages)
    assert frames.constant
    assert (frames.restore(frames.values) == value).all()
    assert not DistinctChannels.of(PAGES).constant


@pytest.mark.parametrize("factor", [1.0, 1e200, 1e-200])
def test_gaps_are_filled_from_near_by(factor: float) -> None:
    y, x = np.mgrid[:40, :50].astype(float)
    image = np.stack([y, x], axis=2) * factor
    missing = np.random.default_rng(0).random((40, 50)) < 0.5
    missing[10:30, 10:30] = True
    filled = image.copy()
    filled[missing] = np.nan
    fill_missing(filled, missing)
    np.testing.assert_array_equal(filled[~missing], image[~missing])
    assert np.abs(filled - image).max() < 12 * factor
    assert np.median(np.abs(filled - image)[missing]) < 3 * factor


def test_nothing_is_known() -> None:
    image = np.full((4, 4, 1), np.nan)
    fill_missing(image, np.ones((4, 4), bool))
    assert (image == 0).all()


def test_a_single_known_pixel_fills_all_others() -> None:
    """Averages however wide give it next to no weight, which must do."""
    image, missing = np.full((96, 80, 1), np.nan), np.ones((96, 80), bool)
    image[30, 50], missing[30, 50] = 7.0, False
    fill_missing(image, missing)
    np.testing.assert_allclose(image, 7.0, rtol=1e-6)
