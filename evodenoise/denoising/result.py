"""What comes of denoising."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.noise.record import NoiseEstimate, NoiseKind
from evodenoise.system.scratch import pieces
from evodenoise.tvae.schedule import StopReason
from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DenoiseResult:
    """A denoised image and how it came about.

    Attributes
    ----------
    image : ndarray
        The estimate, of the input's shape and dtype.
    std : ndarray of float32, of the same shape
        Predicted standard deviation of the error of each pixel, in pixel units; see
        `evodenoise.denoising.error_bars`; where values were clipped and that is kept, of the mean
        of what is recorded. Zeros where nothing was changed, or nothing is known of errors since
        no covariance was learned.
    noise_std : float
        Noise level used, in pixel units: given, or estimated from the image; 0: it has none, and
        comes back as it is but for missing pixels.
    noise_estimate : NoiseEstimate
        What is known of its noise: given, or read off the image.
    free_energy : float
        Mean over all patches, in nats per patch of pixel values; nan where nothing was trained.
    structured : float
        Share of the picture, from 0 to 1, in which what was taken away is not white noise, see
        `evodenoise.denoising.whiteness`; nan where the noise itself is not, or there is none.
    history : tuple of EpochReport
        One report an epoch.
    stop_reason : StopReason
        Why training ended.
    patch_size : int or None
        Side of the patches, in pixels; None where there were none, or pages differ in it.
    device : str
        Where it was computed.
    impulses : int
        Pixels that were taken for impulses, and filled like missing ones.
    clipped : bool
        Whether noisy values were clipped at an end of their range.
    model : Checkpoint or None
        What was learned; None where nothing was, or each page has a model of its own.
    training_seconds, reconstruction_seconds, refinement_seconds : float
        Wall time of the three parts.
    """

    image: Array
    std: Array
    noise_std: float
    noise_estimate: NoiseEstimate
    free_energy: float
    history: tuple[EpochReport, ...]
    stop_reason: StopReason
    patch_size: int | None
    device: str
    structured: float = math.nan
    impulses: int = 0
    clipped: bool = False
    model: Checkpoint | None = None
    training_seconds: float = 0.0
    reconstruction_seconds: float = 0.0
    refinement_seconds: float = 0.0

    @property
    def estimated_rmse(self) -> float:
        """Root mean square of the errors, as predicted, in pixel units; nan: nothing is known.

        Too little is known where the noise is coloured: there it was up to 3 dB off.
        """
        if not self.noise_std or self.noise_estimate.kind is NoiseKind.COLOURED:
            return math.nan
        total = 0.0
        for place in pieces(self.std):
            total += float(np.square(self.std[place], dtype=np.float64).sum())
        return math.sqrt(total / self.std.size) or math.nan

    def estimated_psnr(self, data_range: float | None = None) -> float:
        """Estimate the PSNR of the result in dB, without the truth; nan: nothing is known.

        Parameters
        ----------
        data_range : float, optional
            Peak value, in pixel units; by default the span of the image's integer type, or
            max - min of the estimate.
        """
        if data_range is None:
            data_range = integer_span(self.image.dtype) or float(np.ptp(self.image))
        rmse = self.estimated_rmse
        known = rmse > 0 and data_range > 0
        return 20 * math.log10(data_range / rmse) if known else math.nan


def finite_mean(values: Sequence[float]) -> float:
    """Average what is known; nan: nothing is."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def integer_span(dtype: np.dtype[Any]) -> float | None:
    """Return the difference of the largest and the least integer of a type; None: it has none."""
    if dtype.kind not in "ui":
        return None
    limits = np.iinfo(dtype)
    return float(limits.max) - float(limits.min)


def why_stopped(history: Sequence[EpochReport], *, learned: bool) -> StopReason:
    """Say why training ended: after none, no more was wanted or there was nothing to learn.

    Parameters
    ----------
    history : sequence of EpochReport
        Of the training.
    learned : bool
        Whether there is a model, trained or brought.
    """
    if not history:
        return StopReason.EPOCHS if learned else StopReason.CONVERGED
    return history[-1].stop_reason or StopReason.STOPPED
