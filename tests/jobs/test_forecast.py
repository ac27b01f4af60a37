"""The forecast against what README.md says was measured: right within a factor of two."""

from pathlib import Path

import numpy as np
import pytest

from evodenoise.config.presets import preset_config
from evodenoise.config.settings import Refinement
from evodenoise.images import Image
from evodenoise.images.conversion import Conversion
from evodenoise.jobs.forecast import START_SECONDS, describe_seconds, forecast_seconds
from evodenoise.jobs.job import Job, PreparedJob

HOUSE, BARBARA, KODAK, TILED = (256, 256), (512, 512), (512, 768, 3), (1024, 1024)


def forecast(shape: tuple[int, ...], preset: str = "balanced", **settings: object) -> float:
    """Forecast a whole run over an image, or over a stack if `pages` is given."""
    pages, gaps = int(str(settings.pop("pages", 0))), float(str(settings.pop("gaps", 0)))
    joint = bool(settings.pop("joint", False))
    axes = "YXC" if len(shape) == 3 else "YX"
    pixels = np.zeros((pages, *shape) if pages else shape, np.uint8)
    missing = np.zeros(pixels.shape[:2], bool)
    missing[: round(gaps * len(missing))] = True
    config = preset_config(preset, shape)
    job = Job(Path("a"), Path("b"), Path("a"))
    image = Image.plain(pixels, f"T{axes}" if pages else axes)
    conversion = Conversion(image, pixels.dtype, missing if gaps else None)
    for name, value in settings.items():
        object.__setattr__(config, name, value)
    prepared = PreparedJob(job, conversion, config, None, started=0.0)
    return START_SECONDS + forecast_seconds(prepared, joint=joint)


@pytest.mark.parametrize(
    ("measured", "shape", "settings"),
    [
        (28, HOUSE, {}),
        (11, HOUSE, {"preset": "fast"}),
        (178, HOUSE, {"preset": "best"}),
        (20, HOUSE, {"epochs": 6}),
        (17, HOUSE, {"epochs": 0}),
        (72, HOUSE, {"preset": "fast", "refinement": Refinement.FULL, "gaps": 0.5}),
        (66, BARBARA, {}),
        (95, KODAK, {}),
        (325, KODAK, {"preset": "best"}),
        (45, TILED, {}),
        (65 * 500, HOUSE, {"preset": "paper"}),
    ],
)
def test_it_is_right_within_a_factor_of_two(
    measured: float, shape: tuple[int, ...], settings: dict[str, object]
) -> None:
    assert measured / 2 < forecast(shape, **settings) < measured * 2


def test_pages_cost_each_as_much_as_an_image_and_less_with_one_model() -> None:
    apart = forecast(HOUSE, pages=4) - START_SECONDS
    assert apart == pytest.approx(4 * (forecast(HOUSE) - START_SECONDS))
    assert forecast(HOUSE, pages=4, joint=True) - START_SECONDS < 0.7 * apart


def test_a_time_limit_ends_it() -> None:
    assert forecast(TILED, time_limit=20.0) == START_SECONDS + 20


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "5 s"), (42, "40 s"), (100, "2 min"), (3600, "60 min"), (4 * 3600, "4 h")],
)
def test_it_is_said_no_more_exactly_than_it_is_known(seconds: float, said: str) -> None:
    assert describe_seconds(seconds) == said
