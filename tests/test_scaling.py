"""Pixel values to unit variance and back."""

import numpy as np
import pytest
from scenes import wave

from evodenoise.scaling import Scaling
from evodenoise.tvae.training import EpochReport


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e6, 1e200, 1e-200])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_there_and_back(factor: float, offset: float) -> None:
    image = (wave() + offset) * factor
    scaling = Scaling.of(image)
    scaled = scaling.apply(image)
    assert scaled.mean() == pytest.approx(0, abs=1e-3)
    assert scaled.std() == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(scaling.undo(scaled)[..., 0], image, rtol=1e-4)
    assert scaling.std == pytest.approx((wave() + offset).std() * factor)


@pytest.mark.parametrize("value", [0.0, 7.0, -1e-300, 1e300])
def test_constant(value: float) -> None:
    assert Scaling.of(np.full((5, 6), value)).constant


def test_reports_in_pixel_units() -> None:
    image = wave()
    report = EpochReport(1, 0.5, 10, -50.0, 0.5, 1.0, 0.1, 1e-3, 0.2)
    scaled = Scaling.of(image).in_pixel_units(report, pixels=64)
    assert scaled.noise_std == pytest.approx(0.5 * image.std())
    assert scaled.free_energy == pytest.approx(-50 - 64 * np.log(image.std()))
