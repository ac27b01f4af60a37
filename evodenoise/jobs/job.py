"""One image of a run: what is wanted, what is known before, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evodenoise.config.presets import DEFAULT_PRESET, preset_config
from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import ConfigError, plural
from evodenoise.evaluation.metrics import Quality
from evodenoise.images import Array, Image
from evodenoise.images.conversion import Conversion, FileSettings

if TYPE_CHECKING:
    from evodenoise.denoising.checkpoint import Checkpoint
    from evodenoise.denoising.result import DenoiseResult

OF_THE_MODEL = (
    *("covariance", "patch_size", "latents", "hidden"),
    *("gain", "readout", "offset", "clipped"),
)
"""Settings that a trained model brings along."""


class NoiseSource(StrEnum):
    """Where the noise level that was used comes from."""

    GIVEN = "given"
    ESTIMATED = "estimated"
    NONE = "none"


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
    joint : bool
        Whether one model serves all pages of a stack; otherwise each has its own.
    make_folders : bool
        Whether folders of outputs are made.
    resume : bool
        Whether images whose output exists are done, and residuals and figures without their
        output are leftovers of a killed run.
    model : Path or None
        A trained model; without epochs in the overrides it is used as it is.
    """

    preset: str = DEFAULT_PRESET
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int | None = None
    data_range: float | None = None
    overwrite: bool = False
    files: FileSettings = field(default_factory=FileSettings)
    joint: bool = False
    make_folders: bool = False
    resume: bool = False
    model: Path | None = None

    def __post_init__(self) -> None:
        taken = [name for name in OF_THE_MODEL if self.overrides.get(name) is not None]
        if self.model is not None and taken:
            raise ConfigError(
                f"--load-model brings its own {taken[0].replace('_', ' ')}; "
                f"leave out --{taken[0].replace('_', '-')}"
            )


@dataclass(frozen=True)
class Job:
    """The files of one image.

    Attributes
    ----------
    source : Path
        Noisy image.
    target : Path
        Where the result goes.
    inside : Path
        Path of the source inside of the folder that was searched, or its name alone.
    reference : Path or None
        Clean image to compare with.
    residual : Path or None
        Where noisy minus denoised goes.
    figure : Path or None
        Where the picture for comparison goes.
    model : Path or None
        Where the trained model goes.
    """

    source: Path
    target: Path
    inside: Path
    reference: Path | None = None
    residual: Path | None = None
    figure: Path | None = None
    model: Path | None = None

    def outputs(self) -> tuple[Path, ...]:
        """List all files that come of it."""
        beside = (self.residual, self.figure, self.model)
        return tuple(path for path in (*beside, self.target) if path)


@dataclass(frozen=True)
class Reference:
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
    reference : Reference or None
        The reference.
    started : float
        When the work on this image began, by `time.perf_counter`.
    warnings : tuple of str
        What the user should know about the files, in plain sentences.
    model : Checkpoint or None
        The model to begin with.
    """

    job: Job
    conversion: Conversion
    config: DenoiseConfig
    reference: Reference | None
    started: float
    warnings: tuple[str, ...] = ()
    model: "Checkpoint | None" = None

    @property
    def image(self) -> Image:
        """The noisy image, as in its file."""
        return self.conversion.image

    @property
    def missing_share(self) -> float:
        """Share of the pixels of which nothing is known, from 0 to 1."""
        missing = self.conversion.missing
        return 0.0 if missing is None else float(missing.mean())

    def describe_gaps(self) -> str:
        """Say how many pixels are missing and what becomes of them; nothing, if none are."""
        missing, hidden = self.conversion.missing, self.image.invisible
        if missing is None:
            return ""
        filled = missing if hidden is None else missing & ~hidden
        parts = []
        if filled.any():
            parts.append(f"{_percent(filled)} of the pixels are missing and will be filled")
        if hidden is not None:
            parts.append(f"{_percent(hidden)} of the pixels are invisible and stay as they are")
        return "; ".join(parts)

    def describe(self) -> str:
        """Tell the size of the image, for people."""
        count, height, width = self.image.pages.shape[:3]
        pages = f"{plural(count, 'page')} of " if self.image.is_stack else ""
        channels = f" in {self.image.channels} channels" if self.image.channels > 1 else ""
        return f"{pages}{width} x {height} pixels{channels}"


@dataclass(frozen=True)
class JobResult:
    """What came of a job.

    Attributes
    ----------
    prepared : PreparedJob
        What was to be done.
    denoised : DenoiseResult
        The image and what is known about it.
    written : Image
        What goes into the file: converted, and as it was where it is invisible.
    noisy_quality, quality : Quality or None
        Before and after, if there is a reference.
    wall_seconds, cpu_seconds : float
        Of the whole job so far, reading included; CPU seconds on all threads, without reading.
    peak_memory : int or None
        Most bytes that the process has had in memory so far, if the system tells; on a GPU
        the most that was allocated there for this image.
    threads : int
        CPU threads that were used.
    """

    prepared: PreparedJob
    denoised: "DenoiseResult"
    written: Image
    noisy_quality: Quality | None
    quality: Quality | None
    wall_seconds: float
    cpu_seconds: float
    peak_memory: int | None
    threads: int

    @property
    def noise_source(self) -> NoiseSource:
        """Where the noise level that was used comes from."""
        if not self.denoised.noise_std:
            return NoiseSource.NONE
        if self.prepared.config.noise_std or self.prepared.config.gain:
            return NoiseSource.GIVEN
        return NoiseSource.ESTIMATED

    def describe(self) -> str:
        """Say in a few words what was found."""
        parts = [describe_noise(self.denoised.noise_std, self.noise_source)]
        if self.denoised.impulses:
            parts.append(plural(self.denoised.impulses, "impulse"))
        return ", ".join([self.prepared.describe(), *parts])

    def findings(self) -> tuple[str, ...]:
        """List what the user should know and only the run has shown, in plain sentences."""
        noise, found = self.denoised.noise_estimate, []
        if self.prepared.job.model is not None and self.denoised.model is None:
            what = (
                "so few photons teach too little"
                if self.denoised.noise_std
                else ("an image without noise teaches nothing")
            )
            found.append(f"{what}; no model was written")
        if not noise.consistent:
            advice = "" if self.noise_source is NoiseSource.GIVEN else "; --sigma sets its level"
            found.append(
                f"the noise may be correlated or not Gaussian (level {noise.std:.3g} in fine, "
                f"{noise.coarse_std:.3g} in coarser detail){advice}"
            )
        return tuple(found)

    def warnings(self) -> tuple[str, ...]:
        """List all that the user should know: of the files, and what the run has shown."""
        return self.prepared.warnings + self.findings()


def describe_noise(std: float, source: str) -> str:
    """Name a noise level, in pixel units, and where it comes from."""
    known = "" if source == NoiseSource.NONE else f" ({source})"
    return f"noise level {std:.4g}{known}"


def _percent(marked: Array) -> str:
    """Say which share is marked; never all, since then there would be no run."""
    return f"{min(100 * float(np.mean(marked)), 99.9):.3g} %"


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
    if given.get("epochs") == 0:
        raise ConfigError("epochs is 0; train for 1 or more, or --load-model without --epochs")
    return replace(preset_config(preset, image.shape), **given)
