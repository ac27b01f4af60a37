"""What holds for every image of a run and can be refused once, before the first is begun."""

from pathlib import Path

import numpy as np

from evodenoise.errors import ImageError
from evodenoise.images import read_image
from evodenoise.jobs.job import RunSettings, configure

NOMINAL_SHAPE = (256, 256)
"""Of an image by which settings are judged before there is one."""

EVIDENT_SEEDS = range(2**31)
"""In order on any machine, as the CPU is: only what could be refused waits for torch to load."""


def check_settings(settings: RunSettings) -> None:
    """Refuse, before any work, settings that no image could be denoised with.

    Raises
    ------
    InvalidInputError
        If one is out of range, the device is not there, or the mask is none.
    """
    if settings.files.mask is not None:
        check_mask(settings.files.mask)
    config = configure(settings.preset, np.empty(NOMINAL_SHAPE), settings.overrides)
    if settings.seed not in EVIDENT_SEEDS:
        from evodenoise.denoising.checks import check_seed

        check_seed(settings.seed)
    if config.device != "cpu":
        from evodenoise.system.device import resolve_device

        resolve_device(config.device)


def check_mask(path: Path) -> None:
    """Refuse, before any work, a mask whose channels do not agree on what is missing.

    Raises
    ------
    ImageError
        If so, or if it cannot be read.
    """
    mask = read_image(path)
    if mask.channels > 1:
        marked = mask.pixels != 0
        if (marked != marked[..., :1]).any():
            raise ImageError(
                f"{path}: its {mask.channels} channels mark different pixels; save the mask as a "
                "gray image that is zero where the pixels are good"
            )
