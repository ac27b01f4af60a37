"""What holds for every image of a run and can be refused once, before the first is begun."""

import numpy as np

from evodenoise.images.conversion import read_mask
from evodenoise.jobs.job import RunSettings, configure
from evodenoise.noise.record_file import read_noise_file

NOMINAL_SHAPE = (256, 256)
"""Of an image by which settings are judged before there is one."""

EVIDENT_SEEDS = range(2**31)
"""In order on any machine, as the CPU is: only what could be refused waits for torch to load."""


def check_settings(settings: RunSettings, *, here: bool = True) -> None:
    """Refuse, before any work, settings that no image could be denoised with.

    Parameters
    ----------
    settings : RunSettings
        What holds for every image.
    here : bool
        Whether it is done on this machine; others have devices of their own.

    Raises
    ------
    InvalidInputError
        If one is out of range, the device is not there, or a file that all need cannot be used.
    """
    if settings.files.mask is not None:
        read_mask(settings.files.mask)
    if settings.noise_file is not None:
        read_noise_file(settings.noise_file)
    config = configure(settings.preset, np.empty(NOMINAL_SHAPE), settings.overrides)
    if settings.seed not in EVIDENT_SEEDS:
        from evodenoise.denoising.checks import check_seed

        check_seed(settings.seed)
    if here and config.device != "cpu":
        from evodenoise.system.device import resolve_device

        resolve_device(config.device)
