"""How long an image will take, roughly, by what others have taken.

All rates are of one core of a shared server on a slow day, when what README.md measures took up to
a third longer. The sizes of an image and a few settings are looked at, its contents are not:
settings of the model other than those of the presets, and what the image is of, can make it twice
as long or half.
"""

from dataclasses import dataclass

from evodenoise.config.presets import default_patch_size
from evodenoise.config.settings import DenoiseConfig, Refinement
from evodenoise.jobs.job import PreparedJob

START_SECONDS = 3.0
"""Of a run, for Python and torch to be loaded."""

EPOCH_SECONDS = 0.51
"""Of an epoch over `LATTICE` patches, gray, with `STATES` states each: 45 of them on House."""

LATTICE, STATES = 16_384, 6

REBUILD_SECONDS = 60e-6
"""Of a pixel: 40e-6 on House, 77e-6 on House tiled to 1024 x 1024 pixels."""

GAUSSIAN_SECONDS = 12e-6
"""Of a pixel, for groups of patches of one size around every `GROUP_STEP`th pixel."""

LOW_RANK_SECONDS, QUICK_SECONDS = 55e-6, 14e-6
"""What low-rank models add to that: all of them, and those of the quick refinement."""

AGAIN_SECONDS, QUICK_AGAIN_SECONDS = 26e-6, 12e-6
"""What the last groups and mixing add to these."""

GROUP_STEP = 3

COLOUR = 1.8
"""Times what gray takes: kodim02 and kodim19."""

GAPS = 13.0
"""Times the share of missing or of known pixels, whichever is less, what gaps add to training and
rebuilding: `fast` with full refinement takes 72 seconds on House with half of it missing."""


@dataclass(frozen=True)
class StageSeconds:
    """How long the stages of an image will take on one core.

    Attributes
    ----------
    training, rebuilding, refining : float
        Seconds, for all of its pages.
    visit : float
        Seconds that the training takes for one patch of an epoch.
    """

    training: float
    rebuilding: float
    refining: float
    visit: float

    @classmethod
    def unknown(cls) -> "StageSeconds":
        """Forecast nothing: each stage counts once it has been measured."""
        return cls(0.0, 0.0, 0.0, 0.0)

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return self.training + self.rebuilding + self.refining


def forecast_seconds(prepared: PreparedJob, *, joint: bool) -> float:
    """Guess how long it will take to denoise an image.

    Parameters
    ----------
    prepared : PreparedJob
        The image.
    joint : bool
        Whether one model serves all pages of a stack.

    Returns
    -------
    float
        Seconds on one core beside `START_SECONDS`; no more than the time limit.
    """
    seconds, limit = forecast_job(prepared, joint=joint).total, prepared.config.time_limit
    return seconds if limit is None else min(seconds, limit)


def forecast_job(prepared: PreparedJob, *, joint: bool) -> StageSeconds:
    """Guess how long each stage of an image will take; parameters as in `forecast_seconds`."""
    pages, height, width = map(int, prepared.image.pages.shape[:3])
    return forecast_stages(
        prepared.config,
        (pages, height, width, prepared.image.channels),
        models=1 if joint else pages,
        missing_share=prepared.missing_share,
    )


def forecast_stages(
    config: DenoiseConfig,
    shape: tuple[int, int, int, int],
    *,
    models: int = 1,
    missing_share: float = 0.0,
) -> StageSeconds:
    """Guess how long each stage will take, whatever the time limit.

    Parameters
    ----------
    config : DenoiseConfig
        Settings.
    shape : tuple of int
        (T, Y, X, C) of all pages.
    models : int
        How many are trained.
    missing_share : float
        Of the pixels.

    Returns
    -------
    StageSeconds
        On one core.
    """
    pages, height, width, channels = shape
    pixels = pages * height * width
    colour = COLOUR if channels > 1 else 1.0
    learning = colour * (1 + GAPS * min(missing_share, 1 - missing_share))
    visit = learning * EPOCH_SECONDS / LATTICE * config.states / STATES
    return StageSeconds(
        training=models * config.epochs * visit * _visited(config, height, width),
        rebuilding=learning * pixels * REBUILD_SECONDS * config.rebuilt_share,
        refining=pixels * _grouping(config, channels),
        visit=visit,
    )


def _visited(config: DenoiseConfig, height: int, width: int) -> int:
    """Guess how many patches of a page are visited in an epoch."""
    side = config.patch_size or default_patch_size(0.0, (height, width))
    patches = (height - side + 1) * (width - side + 1)
    return min(patches, config.lattice_patches or patches)


def _grouping(config: DenoiseConfig, channels: int) -> float:
    """Guess the seconds that a pixel takes in groups of similar patches."""
    if config.refinement is Refinement.NONE:
        return 0.0
    density: float = (GROUP_STEP / config.group_step) ** 2
    seconds = GAUSSIAN_SECONDS * density * (COLOUR if channels > 1 else 1.0)
    if config.refinement is Refinement.FULL:
        seconds += (LOW_RANK_SECONDS + AGAIN_SECONDS) * density
    if config.refinement is Refinement.QUICK:
        seconds += QUICK_SECONDS + QUICK_AGAIN_SECONDS
    return seconds * len(config.group_sizes)


def describe_seconds(seconds: float) -> str:
    """Name a time of which little more than the magnitude is known."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h"
