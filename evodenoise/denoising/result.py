"""What comes of denoising."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.noise.record import NoiseEstimate
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
        Predicted standard deviation of the error of the first estimate, in pixel units; zeros
        where no covariance was learned.
    noise_std : float
        Noise level used, in pixel units: given, or estimated from the image; 0: it has none, and
        comes back as it is but for missing pixels.
    noise_estimate : NoiseEstimate
        What is known of its noise: given, or read off the image.
    free_energy : float
        Mean over all patches, in nats per patch of pixel values; nan where nothing was trained.
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
    impulses: int = 0
    clipped: bool = False
    model: Checkpoint | None = None
    training_seconds: float = 0.0
    reconstruction_seconds: float = 0.0
    refinement_seconds: float = 0.0


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
