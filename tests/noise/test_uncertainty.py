"""What a record says of its own uncertainty goes with what is done to it."""

from dataclasses import replace

import pytest

from evodenoise.noise.curves import LevelCurve
from evodenoise.noise.record import NoiseEstimate, mean_estimate
from evodenoise.noise.uncertainty import NoiseSource, NoiseUncertainty, mean_uncertainty

IDENTITY = ((1.0, 0.0), (0.0, 1.0))
SURE = NoiseUncertainty((0.1, 0.3), (0.2, 0.4), (1.0, 2.0))
CURVES = (LevelCurve.of_photons(2.0, 3.0),) * 2
NOISE = NoiseEstimate(5.0, (3.0, 41**0.5), IDENTITY, 5.0, 5.0, True, CURVES, uncertainty=SURE)


def test_the_level_of_all_channels_is_as_uncertain_as_the_stronger_ones() -> None:
    expected = 5 * (9 * 0.1 + 41 * 0.3) / 50
    assert NOISE.level_uncertainty == pytest.approx(expected)
    assert replace(NOISE, uncertainty=None).level_uncertainty is None
    assert NoiseEstimate.none(2).level_uncertainty is None


def test_it_is_rescaled_with_the_noise() -> None:
    double = NOISE.rescaled(2).uncertainty
    assert double == replace(SURE, readout=(2.0, 4.0))
    assert NOISE.rescaled(2).level_uncertainty == 2 * (NOISE.level_uncertainty or 0)
    assert replace(NOISE, uncertainty=None).rescaled(2).uncertainty is None


def test_of_a_level_that_is_told_nothing_is_known() -> None:
    assert NOISE.of_level(4.0).uncertainty is None


def test_it_is_averaged_only_if_all_have_it() -> None:
    other = NoiseUncertainty((0.1, 0.4))
    mean = mean_uncertainty([SURE, other])
    assert mean is not None
    assert mean.level == pytest.approx((0.1, 0.125**0.5))
    assert mean_uncertainty([SURE, None]) is mean_uncertainty([]) is None
    assert mean_estimate([NOISE]).uncertainty == SURE
    averaged = mean_estimate([NOISE, NOISE]).uncertainty
    assert averaged is not None
    assert averaged.level == pytest.approx(SURE.level)


def test_where_it_comes_from_makes_no_other_noise() -> None:
    assert replace(NOISE, uncertainty=None, source=NoiseSource.FILE) == NOISE
    assert NOISE.source is NoiseSource.ESTIMATED
    assert NoiseEstimate.none(1).source is NoiseSource.NONE


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"level": ()}, "of the level"),
        ({"level": (float("nan"),)}, "finite"),
        ({"level": (-0.1,)}, "at least 0"),
        ({"level": (0.1,), "gain": (0.1,)}, "read-out or neither"),
        ({"level": (0.1,), "spectrum": (0.1, 0.2)}, "as many channels"),
    ],
)
def test_what_cannot_be_is_refused(parts: dict[str, tuple[float, ...]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason.split(",")[0]):
        NoiseUncertainty(**parts)
