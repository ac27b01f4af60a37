"""One model for many images: a sample of them is read, cropped, and trained on as a stack."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evodenoise.errors import ConfigError, EvodenoiseError, ImageError
from evodenoise.images import Array
from evodenoise.images.conversion import Conversion
from evodenoise.jobs.job import Job, RunSettings, configure
from evodenoise.jobs.sidecars import middle_page
from evodenoise.noise.record_file import read_noise_file

if TYPE_CHECKING:
    from evodenoise.denoising.checkpoint import Checkpoint
    from evodenoise.denoising.tools import OnEpoch

MOST_IMAGES = 64
MOST_SIDE = 256
"""Pixels of the side of a crop: together a sample fits into a few hundred MB."""


def train_shared_model(
    jobs: Sequence[Job], settings: RunSettings, *, on_epoch: "OnEpoch | None" = None
) -> "Checkpoint":
    """Train a model on crops of some of the images, evenly chosen.

    Parameters
    ----------
    jobs : sequence of Job
        All images of a run, done ones too, so that a restart trains the same model.
    settings : RunSettings
        What holds for the run.
    on_epoch : callable, optional
        As in `evodenoise.denoise`.

    Returns
    -------
    Checkpoint
        For all of them.

    Raises
    ------
    ConfigError
        If the images are not of one kind, or none can be read.
    """
    from evodenoise.denoising.checks import check_image
    from evodenoise.denoising.denoise import train_model

    places = np.linspace(0, len(jobs) - 1, min(len(jobs), MOST_IMAGES)).round().astype(int)
    pages: list[tuple[Path, Array]] = []
    for job in (jobs[place] for place in np.unique(places)):
        try:
            conversion = Conversion.read(job.source, settings.files)
            page = middle_page(conversion.image, conversion.noisy)
            check_image(page, name=str(job.source))
        except EvodenoiseError:
            continue  # its own turn will tell
        if conversion.missing is None:
            pages.append((job.source, page))
    stack = _stack(pages)
    config = configure(settings.preset, stack[0], settings.overrides)
    check_image(stack[0], config, name="crops for --share-model")
    noise = None if settings.noise_file is None else read_noise_file(settings.noise_file)
    return train_model(stack, config, noise=noise, rng=settings.seed, on_epoch=on_epoch)


def _stack(pages: Sequence[tuple[Path, Array]]) -> Array:
    """Crop pages to the size that all of them have, from the middle: (T, Y, X[, C])."""
    if not pages:
        raise ConfigError("--share-model: no image to learn from; all are damaged or have gaps")
    (first, model), *others = pages
    for path, page in others:
        if page.dtype != model.dtype or page.shape[2:] != model.shape[2:]:
            raise ConfigError(
                f"--share-model: {first} and {path} differ in channels or type of values; "
                "denoise them in separate runs"
            )
    height = min(MOST_SIDE, *(page.shape[0] for _, page in pages), MOST_SIDE)
    width = min(MOST_SIDE, *(page.shape[1] for _, page in pages), MOST_SIDE)
    crops = []
    for _, page in pages:
        top, left = (page.shape[0] - height) // 2, (page.shape[1] - width) // 2
        crops.append(page[top : top + height, left : left + width])
    stack = np.stack(crops)
    if (stack == stack.flat[0]).all():
        raise ImageError("--share-model: the images are constant; there is nothing to learn from")
    return stack
