"""One image of a run: read it, check it, denoise it, write it, measure it.

Nothing here waits for torch before an image has been read, so that refusals come at once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evodenoise.config import DenoiseConfig
from evodenoise.conversion import Conversion, FileSettings
from evodenoise.errors import ConfigError
from evodenoise.images import Array, Image, check_output, read_image, write_image
from evodenoise.metrics import Quality, check_reference, measure_pages
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
    files : FileSettings
        How files are read, converted and written.
    """

    preset: str = DEFAULT_PRESET
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int | None = None
    data_range: float | None = None
    overwrite: bool = False
    files: FileSettings = field(default_factory=FileSettings)


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
    conversion : Conversion
        The noisy image, and how it becomes the result.
    config : DenoiseConfig
        Settings, fitted to the image.
    truth : Truth or None
        The reference.
    started : float
        When the work on this image began, by `time.perf_counter`.
    warnings : tuple of str
        What the user should know about the files, in plain sentences.
    """

    job: Job
    conversion: Conversion
    config: DenoiseConfig
    truth: Truth | None
    started: float
    warnings: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        """The noisy image, as in its file."""
        return self.conversion.image


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
    conversion = Conversion.read(job.source, settings.files)
    image = conversion.image

    from evodenoise.device import resolve_device
    from evodenoise.pipeline import check_image, check_seed

    name, pages = str(job.source), image.pages
    for page in pages:
        check_image(page, name=name)
    config = configure(settings.preset, pages[0], settings.overrides)
    check_image(pages[0], config, name=name)
    losses = check_output(
        job.target,
        conversion.result(image.pixels),
        source=job.source,
        overwrite=settings.overwrite,
        options=settings.files.writing,
    )
    resolve_device(config.device)
    check_seed(settings.seed)
    truth = _read_truth(job.reference, image, settings)
    return PreparedJob(job, conversion, config, truth, started, (*image.warnings, *losses))


def _read_truth(path: Path | None, image: Image, settings: RunSettings) -> Truth | None:
    data_range = settings.data_range
    if path is None:
        if data_range is not None:
            raise ConfigError("--data-range says how to measure; it needs --reference")
        return None
    pixels = read_image(path, settings.files.reading).pixels
    return Truth(pixels, check_reference(pixels, image.pixels, data_range, name=str(path)))


def run(
    prepared: PreparedJob,
    settings: RunSettings,
    *,
    on_page: Callable[[int], object] | None = None,
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
    on_page : callable, optional
        Called with the number of each page of a stack, from 1, before it is denoised.
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
    from evodenoise import pipeline, stacks

    cpu = time.process_time()
    image, target = prepared.image, prepared.job.target
    noisy, config = prepared.conversion.noisy, _within_the_limit(prepared)
    of_pages = partial(stacks.denoise_pages, on_page=on_page)
    denoised = (of_pages if image.is_stack else pipeline.denoise)(
        noisy,
        config,
        rng=settings.seed,
        on_epoch=on_epoch,
        on_reconstruction=on_reconstruction,
    )
    written = prepared.conversion.result(denoised.image)
    result = JobResult(
        prepared=prepared,
        denoised=denoised,
        noisy_quality=_quality(prepared, image),
        quality=_quality(prepared, written),
        wall_seconds=time.perf_counter() - prepared.started,
        cpu_seconds=time.process_time() - cpu,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(
        target,
        written,
        settings.files.writing,
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


def _quality(prepared: PreparedJob, image: Image) -> Quality | None:
    truth = prepared.truth
    if truth is None:
        return None
    clean = truth.pixels if image.is_stack else truth.pixels[None]
    return measure_pages(clean, image.pages, data_range=truth.data_range)
