"""Do a job: read an image, check it, denoise it, write it, measure it.

Nothing here waits for torch before an image has been read, so that refusals come at once.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import ConfigError, ImageError
from evodenoise.evaluation.metrics import Quality, check_reference, measure_pages
from evodenoise.images import Array, Image, check_output, read_image, write_image
from evodenoise.images.conversion import Conversion
from evodenoise.jobs.job import (
    Job,
    PreparedJob,
    Reference,
    RunSettings,
    configure,
)
from evodenoise.jobs.job_result import JobResult
from evodenoise.jobs.sidecars import (
    check_figure,
    check_floats,
    check_new_file,
    make_folder,
    residual,
    write_figure,
    write_floats,
    write_new_file,
)
from evodenoise.jobs.tiles import TilesElsewhere
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.record_file import read_noise_file

if TYPE_CHECKING:
    from evodenoise.denoising.checkpoint import Checkpoint
    from evodenoise.denoising.pace import OnShare
    from evodenoise.denoising.result import DenoiseResult
    from evodenoise.denoising.tools import OnEpoch

WRITING_SHARE = 0.02
"""Share of the time limit that is kept for writing the file."""

MANY_MISSING = 0.5
"""Share of missing pixels beyond which the user is warned."""

MUCH_IS_MISSING = (
    "more than half of the pixels are missing, and little is left to learn from; check that the "
    "mask marks the missing ones"
)


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

    from evodenoise.denoising.checks import check_image, check_seed
    from evodenoise.system.device import resolve_device

    name, pages = str(job.source), image.pages
    for page in pages:
        check_image(page, name=name)
    if image.is_stack and not settings.joint:
        _check_pages(conversion, name)
    config = configure(settings.preset, pages[0], settings.overrides)
    model = None if settings.model is None else _read_model(settings.model)
    noise = None if settings.noise_file is None else read_noise_file(settings.noise_file)
    if model is not None and settings.overrides.get("epochs") is None:
        config = replace(config, epochs=0)
    check_image(pages[0], config, name=name)
    if noise is not None:
        _check_noise(noise, conversion, settings)
    losses = _check_outputs(job, conversion, settings)
    resolve_device(config.device)
    check_seed(settings.seed)
    reference = _read_reference(job.reference, image, settings)
    prepared = PreparedJob(job, conversion, config, reference, started, model=model, noise=noise)
    caution = (MUCH_IS_MISSING,) if prepared.missing_share > MANY_MISSING else ()
    return replace(prepared, warnings=(*image.warnings, *conversion.warnings, *losses, *caution))


def _read_model(path: Path) -> "Checkpoint":
    from evodenoise.denoising.checkpoint import read_model

    return read_model(path)


def _check_noise(noise: NoiseEstimate, conversion: Conversion, settings: RunSettings) -> None:
    """Refuse a record of the noise of other channels than the image has, or one of its pages."""
    from evodenoise.denoising.channels import ChannelPlan
    from evodenoise.denoising.noise_level import check_channels

    image, missing = conversion.image, conversion.missing
    pages = image.pages if image.pages.ndim == 4 else image.pages[..., None]
    gaps = missing if missing is None or image.is_stack else missing[None]
    parts = [slice(None)] if settings.joint else [slice(k, k + 1) for k in range(len(pages))]
    for part in parts:
        hidden = None if gaps is None else gaps[part]
        try:
            check_channels(noise, ChannelPlan.of(pages[part], hidden))
        except ConfigError as error:
            raise ConfigError(f"{settings.noise_file}: {error}") from error


def _check_outputs(job: Job, conversion: Conversion, settings: RunSettings) -> tuple[str, ...]:
    """Refuse, before any work, outputs that could not be written; name what they will not keep."""
    image, replaces = conversion.image, settings.overwrite or settings.resume
    for path in job.outputs() if settings.make_folders else ():
        make_folder(path.parent)
    blank = image.blank(conversion.dtype)
    if job.has_page:
        blank = replace(blank, uncertainty=image.blank(np.dtype(np.float32)).pixels)
    losses = check_output(
        job.target,
        blank,
        source=job.source,
        overwrite=settings.overwrite,
        options=settings.files.writing,
    )
    for beside in (job.residual, job.beside):
        if beside is not None:
            check_floats(beside, image, source=job.source, overwrite=replaces)
    if job.figure is not None:
        check_figure(job.figure, source=job.source, overwrite=replaces)
    if job.model is not None:
        if image.is_stack and not settings.joint:
            raise ConfigError(
                f"{job.source}: each page has a model of its own; --save-model needs --stack joint"
            )
        check_new_file(job.model, overwrite=replaces)
    return losses


def _check_pages(conversion: Conversion, name: str) -> None:
    """Refuse a stack with a page that has nothing to learn from."""
    if conversion.missing is None:
        return
    for number, gaps in enumerate(conversion.missing, 1):
        if gaps.all():
            raise ImageError(
                f"{name}: every pixel of page {number} is missing; "
                "--stack joint fills it with what the other pages teach"
            )


def _read_reference(path: Path | None, image: Image, settings: RunSettings) -> Reference | None:
    data_range = settings.data_range
    if path is None:
        return None
    pixels = read_image(path, settings.files.reading).pixels
    return Reference(pixels, check_reference(pixels, image.pixels, data_range, name=str(path)))


def run(
    prepared: PreparedJob,
    settings: RunSettings,
    *,
    on_page: Callable[[int], object] | None = None,
    on_epoch: "OnEpoch | None" = None,
    on_reconstruction: "OnShare | None" = None,
    on_refinement: "OnShare | None" = None,
    on_ready: Callable[[JobResult], object] | None = None,
    elsewhere: TilesElsewhere | None = None,
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
    on_epoch, on_reconstruction, on_refinement : callable, optional
        As in `evodenoise.denoise`.
    on_ready : callable, optional
        Called with the outcome when all of the file is on the disk but its name.
    elsewhere : TilesElsewhere, optional
        Where the tiles of a large image are denoised; by default here.

    Returns
    -------
    JobResult
        What came of it.

    Raises
    ------
    RunError
        If training diverges or the result cannot be written.
    """
    from evodenoise.system.meter import Meter

    meter, image = Meter(), prepared.image
    denoised = _choose_method(image, settings, on_page)(
        prepared.conversion.noisy,
        _within_the_limit(prepared),
        missing=prepared.conversion.missing,
        noise=prepared.noise,
        model=prepared.model,
        rng=settings.seed,
        on_epoch=on_epoch,
        on_reconstruction=on_reconstruction,
        on_refinement=on_refinement,
        **({} if elsewhere is None else {"map_tiles": elsewhere}),
    )
    written = prepared.conversion.result(denoised.image)
    if prepared.job.has_page:
        std = prepared.conversion.shown_std(denoised.std, written=True)
        written = replace(written, uncertainty=std)
    noise_uncertainty = _noise_uncertainty(prepared, settings, denoised)
    result = JobResult(
        prepared=prepared,
        denoised=denoised,
        written=written,
        noisy_quality=_quality(prepared, image.pixels),
        quality=_quality(prepared, prepared.conversion.in_units_of_input(written.pixels)),
        wall_seconds=time.perf_counter() - prepared.started,
        cpu_seconds=meter.cpu_seconds() + (elsewhere.cpu_seconds if elsewhere else 0.0),
        peak_memory=meter.peak_memory(denoised.device),
        threads=meter.threads(),
        noise_uncertainty=noise_uncertainty,
    )
    _write_extras(result)
    write_image(
        prepared.job.target,
        written,
        settings.files.writing,
        on_ready=None if on_ready is None else lambda: on_ready(result),
    )
    return result


def _noise_uncertainty(
    prepared: PreparedJob, settings: RunSettings, denoised: "DenoiseResult"
) -> float | None:
    """Tell how far the level that was used may be off: the file of the noise says, or the image."""
    from evodenoise.denoising.noise_level import with_uncertainty

    noise, config, image = denoised.noise_estimate, prepared.config, prepared.image
    own_pages = image.is_stack and not settings.joint
    given = prepared.noise is None and (config.noise_std is not None or config.gain is not None)
    if not denoised.noise_std or given or not settings.noise_uncertainty:
        return None
    if prepared.noise is None and not own_pages:
        pages = prepared.conversion.noisy
        pages = pages if image.is_stack else pages[None]
        pages = pages if pages.ndim == 4 else pages[..., None]
        missing = prepared.conversion.missing
        gaps = missing if missing is None or image.is_stack else missing[None]
        noise = with_uncertainty(noise, pages, gaps)
    return noise.level_uncertainty


def _choose_method(
    image: Image, settings: RunSettings, on_page: Callable[[int], object] | None
) -> "Callable[..., DenoiseResult]":
    """Choose how to denoise: an image, a stack by one model, or its pages one by one."""
    from evodenoise.denoising.denoise import denoise, denoise_stack
    from evodenoise.denoising.pages import denoise_pages

    if not image.is_stack:
        return denoise
    return denoise_stack if settings.joint else partial(denoise_pages, on_page=on_page)


def _write_extras(result: JobResult) -> None:
    """Write what goes beside the output, before it: where there is an output, all is there."""
    prepared, denoised = result.prepared, result.denoised
    job, image, reference = prepared.job, prepared.image, prepared.reference
    clean = prepared.conversion.in_units_of_input(result.written.pixels)
    if job.residual is not None:
        write_floats(job.residual, image, residual(image, clean))
    if job.beside is not None:
        write_floats(job.beside, image, prepared.conversion.shown_std(denoised.std))
    if job.model is not None and denoised.model is not None:
        write_new_file(job.model, denoised.model.to_bytes())
    if job.figure is not None:
        write_figure(
            job.figure,
            image,
            clean,
            noise_std=denoised.noise_std,
            caption=f"{job.source.name}: {result.describe()}",
            reference=None if reference is None else reference.pixels,
            qualities=(result.noisy_quality, result.quality),
            std=denoised.std if denoised.std.any() else None,
        )


def _within_the_limit(prepared: PreparedJob) -> DenoiseConfig:
    """Take off the time limit what has been used already, and what writing will take."""
    config = prepared.config
    if config.time_limit is None:
        return config
    used = time.perf_counter() - prepared.started
    left = config.time_limit * (1 - WRITING_SHARE) - used
    return replace(config, time_limit=max(left, 0.01))


def _quality(prepared: PreparedJob, pixels: Array) -> Quality | None:
    reference = prepared.reference
    if reference is None:
        return None
    # What is missing in the noisy image counts as zero.
    clean, seen = reference.pixels, np.nan_to_num(pixels)
    if not prepared.image.is_stack:
        clean, seen = clean[None], seen[None]
    return measure_pages(clean, seen, data_range=reference.data_range)
