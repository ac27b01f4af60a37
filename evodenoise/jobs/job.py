"""One image of a run: what is wanted, and what is known before."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evodenoise.config.presets import DEFAULT_PRESET, preset_config
from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import ConfigError, plural
from evodenoise.images import Array, Image
from evodenoise.images.conversion import Conversion, FileSettings
from evodenoise.noise.record import NoiseEstimate

if TYPE_CHECKING:
    from evodenoise.denoising.checkpoint import Checkpoint

OF_THE_MODEL = (
    *("covariance", "patch_size", "latents", "hidden"),
    *("gain", "readout", "offset", "clipped"),
)
"""Settings that a trained model brings along."""

OF_THE_NOISE = {"noise_std": "sigma", "gain": "gain", "readout": "readout", "offset": "offset"}
"""Settings that a record of noise leaves nothing to say about, and their options."""


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
        Whether images whose output exists are done, and residuals and the like without their
        output are leftovers of a killed run.
    model : Path or None
        A trained model; without epochs in the overrides it is used as it is.
    noise_file : Path or None
        A record of the noise of every image.
    noise_uncertainty : bool
        Whether records tell how well an estimated noise level is known, at 0.1 to 0.3 CPU seconds
        an image.
    pictures : bool
        Whether pictures of each image are drawn for a report, at 0.07 CPU seconds a megapixel.
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
    noise_file: Path | None = None
    noise_uncertainty: bool = False
    pictures: bool = False

    def __post_init__(self) -> None:
        taken = [name for name in OF_THE_MODEL if self.overrides.get(name) is not None]
        if self.model is not None and taken:
            raise ConfigError(
                f"--load-model brings its own {taken[0].replace('_', ' ')}; "
                f"leave out --{taken[0].replace('_', '-')}"
            )
        if self.noise_file is not None:
            self._check_noise()

    def _check_noise(self) -> None:
        """Refuse what is said of the noise beside the file that says it."""
        said = [word for name, word in OF_THE_NOISE.items() if self.overrides.get(name) is not None]
        if self.overrides.get("noise") not in (None, "auto"):
            said.append("noise")
        if said:
            raise ConfigError(f"--noise-file says what the noise is; leave out --{said[0]}")


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
    uncertainty : Path or None
        Where the standard deviation of the errors goes; the target: into pages of its own there.
    model : Path or None
        Where the trained model goes.
    """

    source: Path
    target: Path
    inside: Path
    reference: Path | None = None
    residual: Path | None = None
    figure: Path | None = None
    uncertainty: Path | None = None
    model: Path | None = None

    def outputs(self) -> tuple[Path, ...]:
        """List all files that come of it."""
        beside = (self.residual, self.figure, self.beside, self.model)
        return tuple(path for path in (*beside, self.target) if path)

    @property
    def beside(self) -> Path | None:
        """Where the standard deviation of the errors goes, if that is a file of its own."""
        return None if self.has_page else self.uncertainty

    @property
    def has_page(self) -> bool:
        """Whether the standard deviation of the errors goes into the result itself."""
        return self.uncertainty is not None and self.uncertainty == self.target


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
    noise : NoiseEstimate or None
        What a file says of the noise.
    """

    job: Job
    conversion: Conversion
    config: DenoiseConfig
    reference: Reference | None
    started: float
    warnings: tuple[str, ...] = ()
    model: "Checkpoint | None" = None
    noise: NoiseEstimate | None = None

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
