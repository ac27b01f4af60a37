"""How long an image will take, roughly, by what others have taken.

All rates are of one core of a shared server on a slow day, when what README.md measures took up to
a third longer. The sizes of an image and a few settings are looked at, its contents are not:
settings of the model other than those of the presets, and what the image is of, can make it twice
as long or half.
"""

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

LOW_RANK_SECONDS, QUICK_SECONDS = 75e-6, 14e-6
"""What low-rank models add to that: all of them, and those of the quick refinement."""

GROUP_STEP = 3

COLOUR = 1.8
"""Times what gray takes: kodim02 and kodim19."""

GAPS = 13.0
"""Times the share of missing or of known pixels, whichever is less, what gaps add to training and
rebuilding: `fast` with full refinement takes 72 seconds on House with half of it missing."""


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
    config, image = prepared.config, prepared.image
    pages, height, width = map(int, image.pages.shape[:3])
    pixels = pages * height * width
    models = 1 if joint else pages
    rebuilding = pixels * REBUILD_SECONDS / config.patch_step**2
    learning = models * _training(config, height, width) + rebuilding
    share = min(prepared.missing_share, 1 - prepared.missing_share)
    gapped = learning * (1 + GAPS * share)
    colour = COLOUR if image.channels > 1 else 1.0
    seconds = colour * (gapped + pixels * _grouping(config))
    return seconds if config.time_limit is None else min(seconds, config.time_limit)


def _training(config: DenoiseConfig, height: int, width: int) -> float:
    """Guess the seconds of the training on a gray page without gaps."""
    side = config.patch_size or default_patch_size(0.0, (height, width))
    patches = (height - side + 1) * (width - side + 1)
    visited = min(patches, config.lattice_patches or patches)
    return config.epochs * EPOCH_SECONDS * visited / LATTICE * config.states / STATES


def _grouping(config: DenoiseConfig) -> float:
    """Guess the seconds that a gray pixel takes in groups of similar patches."""
    if config.refinement is Refinement.NONE:
        return 0.0
    density: float = (GROUP_STEP / config.group_step) ** 2
    seconds = GAUSSIAN_SECONDS * density
    if config.refinement is Refinement.FULL:
        seconds += LOW_RANK_SECONDS * density
    if config.refinement is Refinement.QUICK:
        seconds += QUICK_SECONDS
    return seconds * len(config.group_sizes)


def describe_seconds(seconds: float) -> str:
    """Name a time of which little more than the magnitude is known."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h"
