"""What came of an image of a run, and how it is told."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evodenoise.config.settings import Clipped
from evodenoise.errors import plural
from evodenoise.evaluation.metrics import Quality
from evodenoise.images import Image
from evodenoise.jobs.job import PreparedJob
from evodenoise.noise.record import NoiseKind, root_mean_square
from evodenoise.noise.uncertainty import NoiseSource
from evodenoise.noise.words import describe_doubt

if TYPE_CHECKING:
    from evodenoise.denoising.result import DenoiseResult

PHOTON_COLUMNS = ("gain", "readout")
"""What records tell of noise of photons."""

CLIPPED_WORDS = {Clipped.KEEP: "kept", Clipped.RESTORE: "restored"}


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
    noise_uncertainty : float or None
        One standard deviation of the error of the noise level that was used, in pixel units; None:
        it was given, each page has its own, the image is too small to tell, or nobody asked.
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
    noise_uncertainty: float | None = None

    @property
    def noise_source(self) -> NoiseSource:
        """Where the noise level that was used comes from."""
        if not self.denoised.noise_std:
            return NoiseSource.NONE
        if self.prepared.noise is not None:
            return NoiseSource.FILE
        if self.prepared.config.noise_std or self.prepared.config.gain:
            return NoiseSource.GIVEN
        return NoiseSource.ESTIMATED

    @property
    def noise_kind(self) -> NoiseKind:
        """What sort of noise it is taken for."""
        return self.denoised.noise_estimate.kind if self.denoised.noise_std else NoiseKind.NONE

    @property
    def photons(self) -> tuple[float, float] | None:
        """Gain and read-out noise, root mean square over the channels; None: other noise."""
        if self.noise_kind is not NoiseKind.PHOTON:
            return None
        photons = self.denoised.noise_estimate.photons or ()
        gains, readouts = ([getattr(each, name) for each in photons] for name in PHOTON_COLUMNS)
        return root_mean_square(gains), root_mean_square(readouts)

    @property
    def clipped(self) -> Clipped | None:
        """What became of clipped values; None: there were none, or a model decided."""
        known = self.denoised.clipped and self.prepared.model is None
        return self.prepared.config.clipped if known else None

    @property
    def estimated_psnr(self) -> float | None:
        """PSNR of the result as the model predicts it, in dB; None: nothing is known of errors."""
        from evodenoise.denoising.result import integer_span

        reference = self.prepared.reference
        kind = self.prepared.image.pixels.dtype
        span = integer_span(kind) if reference is None else reference.data_range
        psnr = self.denoised.estimated_psnr(span)
        return psnr if math.isfinite(psnr) else None

    def describe(self) -> str:
        """Say in a few words what was found."""
        found = describe_findings(
            self.denoised.noise_std,
            self.noise_source,
            self.noise_kind,
            self.denoised.impulses,
            self.clipped,
            self.estimated_psnr,
        )
        return ", ".join([self.prepared.describe(), *found])

    def findings(self) -> tuple[str, ...]:
        """List what the user should know and only the run has shown, in plain sentences."""
        noise, found = self.denoised.noise_estimate, []
        if self.prepared.job.model is not None and self.denoised.model is None:
            found.append("an image without noise teaches nothing; no model was written")
        if self.prepared.noise is not None and self.prepared.noise.kind is NoiseKind.NONE:
            found.append("the file of the noise says that there is none; nothing was removed")
        if not noise.consistent:
            estimated = self.noise_source in (NoiseSource.ESTIMATED, NoiseSource.NONE)
            advice = "; --sigma sets its level" if estimated else ""
            found.append(f"the noise {describe_doubt(noise)}{advice}")
        return tuple(found)

    def warnings(self) -> tuple[str, ...]:
        """List all that the user should know: of the files, and what the run has shown."""
        return self.prepared.warnings + self.findings()


def describe_findings(
    std: float,
    source: str,
    kind: str,
    impulses: int,
    clipped: str | None,
    psnr: float | None,
) -> list[str]:
    """Say what was found in an image.

    Parameters
    ----------
    std : float
        Noise level, in pixel units.
    source : str
        A `NoiseSource`.
    kind : str
        A `NoiseKind`; white noise needs no word.
    impulses : int
        Pixels that were found to be impulses.
    clipped : str or None
        What became of clipped values, if there were any: a `Clipped`.
    psnr : float or None
        Estimated of the result, in dB, if anything is known of its errors.

    Returns
    -------
    list of str
        A few words each, the noise first.
    """
    known = [source] if source != NoiseSource.NONE else []
    if kind not in (NoiseKind.NONE, NoiseKind.WHITE):
        known.append(kind)
    words = f" ({', '.join(known)})" if known else ""
    found = [f"noise level {std:.4g}{words}"]
    if impulses:
        found.append(plural(impulses, "impulse"))
    if clipped is not None:
        found.append(f"clipped values {CLIPPED_WORDS[Clipped(clipped)]}")
    if psnr is not None:
        found.append(f"PSNR about {psnr:.1f} dB (estimated)")
    return found
