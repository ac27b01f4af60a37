"""PSNR against clean images, by the protocol of the literature.

noisy = clean + sigma * N(0, 1) in floating point, neither clipped nor rounded; the result
is clipped to the range of the clean image's type, which is also the peak of PSNR and SSIM.
The denoiser is not told sigma.
"""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.config.settings import DenoiseConfig, Refinement
from evodenoise.denoising.denoise import denoise
from evodenoise.denoising.pace import OnShare
from evodenoise.denoising.tools import OnEpoch
from evodenoise.errors import ImageError
from evodenoise.evaluation.metrics import measure

Array = npt.NDArray[Any]

Z_90 = 1.645
"""Standard deviations either side of the mean that hold 90 % of a Gaussian."""


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes
    ----------
    image : str
        Name of the clean image.
    sigma : float
        Standard deviation of the added noise, in pixel units.
    preset : str
        Name of the preset.
    seed : int
        Of the noise and of the denoiser.
    """

    image: str
    sigma: float
    preset: str
    seed: int


@dataclass(frozen=True)
class Measurement:
    """What came of a case.

    Attributes
    ----------
    case : Case
        Of what.
    psnr, ssim : float
        Of the result; dB and at most 1.
    psnr_noisy, ssim_noisy : float
        Of the noisy image.
    noise_std : float
        Noise level that was found, in pixel units.
    calibration : float
        Root mean square of the errors of the result over their predicted standard deviations:
        1 if these are right, 2 if errors are twice as large; nan where none are predicted.
    coverage_68, coverage_90 : float
        Share of the errors that are within 1 and 1.645 predicted standard deviations, the intervals
        that hold so many per cent of Gaussian errors; nan where none are predicted.
    estimated_psnr : float
        What the denoiser says of `psnr` without the clean image, dB; nan where it says nothing.
    cpu_seconds, wall_seconds : float
        Of denoising, on all threads and on the clock.
    training_speed, reconstruction_speed, refinement_speed : float
        Megapixels of the image over the seconds of each stage on the clock; nan where it took none.
    """

    case: Case
    psnr: float
    ssim: float
    psnr_noisy: float
    ssim_noisy: float
    noise_std: float
    calibration: float
    coverage_68: float
    coverage_90: float
    estimated_psnr: float
    cpu_seconds: float
    wall_seconds: float
    training_speed: float = math.nan
    reconstruction_speed: float = math.nan
    refinement_speed: float = math.nan

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, in one level."""
        fields = asdict(self)
        return {**fields.pop("case"), **fields}


def check_clean(clean: Array, *, name: str) -> None:
    """Refuse clean images whose values have no known range.

    Raises
    ------
    ImageError
        If the image does not hold unsigned integers.
    """
    if clean.dtype.kind != "u":
        raise ImageError(f"{name}: {clean.dtype} values; benchmark needs an 8- or 16-bit image")


def add_noise(clean: Array, sigma: float, *, seed: int) -> Array:
    """Add Gaussian noise, neither clipped nor rounded.

    Parameters
    ----------
    clean : ndarray
        Clean image.
    sigma : float
        Standard deviation, in pixel units.
    seed : int
        Of numpy's default generator.

    Returns
    -------
    ndarray of float32
        Noisy image.
    """
    noise = np.random.default_rng(seed).standard_normal(clean.shape)
    return (clean.astype(np.float64) + sigma * noise).astype(np.float32)


def measure_case(
    clean: Array,
    config: DenoiseConfig,
    case: Case,
    *,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
    on_refinement: OnShare | None = None,
) -> Measurement:
    """Add noise to a clean image, denoise it and compare.

    Parameters
    ----------
    clean : ndarray of unsigned integers
        Clean image.
    config : DenoiseConfig
        Settings.
    case : Case
        Which noise, which seed, and for the record the names.
    on_epoch, on_reconstruction, on_refinement : callable, optional
        As in `evodenoise.denoise`.

    Returns
    -------
    Measurement
        How good the result is, and what it took.
    """
    check_clean(clean, name=case.image)
    noisy = add_noise(clean, case.sigma, seed=case.seed)
    wall, cpu = time.perf_counter(), time.process_time()
    result = denoise(
        noisy,
        config,
        rng=case.seed,
        on_epoch=on_epoch,
        on_reconstruction=on_reconstruction,
        on_refinement=on_refinement,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = float(np.iinfo(clean.dtype).max)
    after = measure(clean, result.image.clip(0, peak), data_range=peak)
    before = measure(clean, noisy, data_range=peak)
    return Measurement(
        case=case,
        psnr=after.psnr,
        ssim=after.ssim,
        psnr_noisy=before.psnr,
        ssim_noisy=before.ssim,
        noise_std=result.noise_std,
        **_error_bars(result.image - clean.astype(np.float64), result.std),
        estimated_psnr=result.estimated_psnr(peak),
        cpu_seconds=cpu,
        wall_seconds=wall,
        training_speed=_speed(clean, result.training_seconds),
        reconstruction_speed=_speed(clean, result.reconstruction_seconds),
        refinement_speed=(
            math.nan
            if config.refinement is Refinement.NONE
            else _speed(clean, result.refinement_seconds)
        ),
    )


def _speed(image: Array, seconds: float) -> float:
    """Return megapixels a second; nan if nothing was done."""
    return image.shape[0] * image.shape[1] / 1e6 / seconds if seconds > 0 else math.nan


def _error_bars(errors: Array, std: Array) -> dict[str, float]:
    """Compare errors with their predicted standard deviations."""
    if not std.all():  # none are predicted
        return dict.fromkeys(("calibration", "coverage_68", "coverage_90"), math.nan)
    relative = np.abs(errors / std)
    return {
        "calibration": float(np.sqrt(np.mean(np.square(relative)))),
        "coverage_68": float(np.mean(relative <= 1.0)),
        "coverage_90": float(np.mean(relative <= Z_90)),
    }
