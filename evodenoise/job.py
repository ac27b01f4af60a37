"""One image of a run: read it, check it, denoise it, write it, measure it.

Nothing here waits for torch before an image has been read, so that refusals come at once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evodenoise.config import DenoiseConfig
from evodenoise.errors import ConfigError
from evodenoise.images import Array, Image, check_output, read_image, write_image
from evodenoise.metrics import Quality, check_reference, measure
from evodenoise.presets import DEFAULT_PRESET, preset_config

if TYPE_CHECKING:
    from evodenoise.pipeline import DenoiseResult, OnEpoch
    from evodenoise.session import OnShare

WRITING_SHARE = 0.02
"""Share of the time limit that is kept for writing the file."""


@dataclass(frozen=True)
class RunSettings:
    """What holds for every image of a run.

    Attributes
    ----------
    preset : str
        Name of the preset.
    overrides : mapping
        Fields of `DenoiseConfig` that win over the preset; those that are None do not.
    seed : int
        Of each image.
    threads : int or None
        CPU threads; None: all cores.
    data_range : float or None
        Peak value for PSNR and SSIM, in pixel units.
    overwrite : bool
        Whether existing outputs may be replaced.
    """

    preset: str = DEFAULT_PRESET
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int | None = None
    data_range: float | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Job:
    """The files of one image.

    Attributes
    ----------
    source : Path
        Noisy image.
    target : Path
        Where the result goes.
    reference : Path or None
        Clean image to compare with.
    """

    source: Path
    target: Path
    reference: Path | None = None


@dataclass(frozen=True)
class Truth:
    """A clean image that fits the noisy one, and the peak value to compare by."""

    pixels: Array
    data_range: float


@dataclass(frozen=True)
class PreparedJob:
    """A job that has been read and checked; nothing is known that would keep it from ending well.

    Attributes
    ----------
    job : Job
        Its files.
    image : Image
        The noisy image.
    config : DenoiseConfig
        Settings, fitted to the image.
    truth : Truth or None
        The reference.
    started : float
        When the work on this image began, by `time.perf_counter`.
    """

    job: Job
    image: Image
    config: DenoiseConfig
    truth: Truth | None
    started: float


@dataclass(frozen=True)
class JobResult:
    """What came of a job.

    Attributes
    ----------
    prepared : PreparedJob
        What was to be done.
    denoised : DenoiseResult
        The image and what is known about it.
    noisy_quality, quality : Quality or None
        Before and after, if there is a reference.
    wall_seconds, cpu_seconds : float
        Of the whole job so far, reading included; CPU seconds on all threads, without reading.
    """

    prepared: PreparedJob
    denoised: "DenoiseResult"
    noisy_quality: Quality | None
    quality: Quality | None
    wall_seconds: float
    cpu_seconds: float


def configure(preset: str, image: Array, overrides: Mapping[str, Any]) -> DenoiseConfig:
    """Fit a preset to an image and apply the options that were given.

    Parameters
    ----------
    preset : str
        Its name.
    image : ndarray, shape (Y, X) or (Y, X, C)
        The image.
    overrides : mapping
        Fields of `DenoiseConfig`; those that are None are not given.

    Returns
    -------
    DenoiseConfig
        The settings.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    return replace(preset_config(preset, image.shape), **given)


def prepare(job: Job, settings: RunSettings, *, started: float | None = None) -> PreparedJob:
    """Read the image and refuse, before any training, what could not end well.

    Parameters
    ----------
    job : Job
        The files.
    settings : RunSettings
        What holds for the whole run.
    started : float, optional
        When the work began, by `time.perf_counter`; now, unless told.

    Returns
    -------
    PreparedJob
        Ready for `run`.

    Raises
    ------
    InvalidInputError
        If a file cannot be read, does not fit the settings, or could not be written.
    """
    started = time.perf_counter() if started is None else started
    image = read_image(job.source)

    from evodenoise.device import resolve_device
    from evodenoise.pipeline import check_image, check_seed

    name = str(job.source)
    check_image(image.pixels, name=name)
    config = configure(settings.preset, image.pixels, settings.overrides)
    check_image(image.pixels, config, name=name)
    check_output(job.target, image.pixels, source=job.source, overwrite=settings.overwrite)
    resolve_device(config.device)
    check_seed(settings.seed)
    truth = _read_truth(job.reference, image, settings.data_range)
    return PreparedJob(job, image, config, truth, started)


def _read_truth(path: Path | None, image: Image, data_range: float | None) -> Truth | None:
    if path is None:
        if data_range is not None:
            raise ConfigError("--data-range says how to measure; it needs --reference")
        return None
    pixels = read_image(path).pixels
    return Truth(pixels, check_reference(pixels, image.pixels, data_range, name=str(path)))


def run(
    prepared: PreparedJob,
    settings: RunSettings,
    *,
    on_epoch: "OnEpoch | None" = None,
    on_reconstruction: "OnShare | None" = None,
    on_ready: Callable[[JobResult], object] | None = None,
) -> JobResult:
    """Denoise an image, measure the result and write it.

    Parameters
    ----------
    prepared : PreparedJob
        From `prepare`.
    settings : RunSettings
        The same as there.
    on_epoch, on_reconstruction : callable, optional
        As in `evodenoise.denoise`.
    on_ready : callable, optional
        Called with the outcome when all of the file is on the disk but its name.

    Returns
    -------
    JobResult
        What came of it.

    Raises
    ------
    RunError
        If training diverges or the result cannot be written.
    """
    from evodenoise import pipeline

    cpu = time.process_time()
    image, truth, target = prepared.image, prepared.truth, prepared.job.target
    denoised = pipeline.denoise(
        image.pixels,
        _within_the_limit(prepared),
        rng=settings.seed,
        on_epoch=on_epoch,
        on_reconstruction=on_reconstruction,
    )
    result = JobResult(
        prepared=prepared,
        denoised=denoised,
        noisy_quality=_quality(truth, image.pixels),
        quality=_quality(truth, denoised.image),
        wall_seconds=time.perf_counter() - prepared.started,
        cpu_seconds=time.process_time() - cpu,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(
        target,
        replace(image, pixels=denoised.image),
        on_ready=None if on_ready is None else lambda: on_ready(result),
    )
    return result


def _within_the_limit(prepared: PreparedJob) -> DenoiseConfig:
    """Take off the time limit what has been used already, and what writing will take."""
    config = prepared.config
    if config.time_limit is None:
        return config
    used = time.perf_counter() - prepared.started
    left = config.time_limit * (1 - WRITING_SHARE) - used
    return replace(config, time_limit=max(left, 0.01))


def _quality(truth: Truth | None, pixels: Array) -> Quality | None:
    return None if truth is None else measure(truth.pixels, pixels, data_range=truth.data_range)
