"""Pixel values to the unit-variance values of the engine, and back."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scaling:
    """An affine map to zero mean and unit variance.

    Values are first divided by their peak, so that the variance neither over- nor underflows.

    Attributes
    ----------
    peak : float
        Largest absolute value, in pixel units; 1 for an image of zeros.
    offset, deviation : float
        Mean and standard deviation, in units of the peak.
    """

    peak: float
    offset: float
    deviation: float

    @classmethod
    def of(cls, image: Array) -> "Scaling":
        """Find the map for an image."""
        peak = float(np.abs(image.astype(np.float64)).max()) or 1.0
        unit = image.astype(np.float64) / peak
        return cls(peak, float(unit.mean()), float(unit.std()))

    @property
    def constant(self) -> bool:
        """Whether the image has one value only, up to rounding."""
        return bool(self.deviation <= 16 * np.finfo(np.float64).eps)

    @property
    def std(self) -> float:
        """Standard deviation in pixel units."""
        return self.deviation * self.peak

    def apply(self, image: Array) -> Array:
        """Map an image (Y, X) or (Y, X, C) to float32 values (Y, X, C)."""
        unit = np.atleast_3d(image).astype(np.float64) / self.peak
        scaled: Array = ((unit - self.offset) / self.deviation).astype(np.float32)
        return scaled

    def undo(self, scaled: Array) -> Array:
        """Map values back to pixel units, in float64."""
        pixels: Array = (scaled.astype(np.float64) * self.deviation + self.offset) * self.peak
        return pixels

    def in_pixel_units(self, report: EpochReport, pixels: int) -> EpochReport:
        """Rescale a report on patches of so many pixels."""
        return dataclasses.replace(
            report,
            noise_std=report.noise_std * self.std,
            free_energy=self.log_density(report.free_energy, pixels),
        )

    def log_density(self, nats: float, pixels: int) -> float:
        """Turn the log-density of a patch of so many scaled pixels into one of pixel values."""
        return nats - pixels * (math.log(self.deviation) + math.log(self.peak))
