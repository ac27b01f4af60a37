"""What is known of the noise of an image: the record that reading leaves and denoising takes.

Dimensions: C channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from evodenoise.noise.curves import LevelCurve, PhotonNoise
from evodenoise.noise.spectrum import NoiseSpectrum
from evodenoise.noise.uncertainty import NoiseSource, NoiseUncertainty, mean_uncertainty

BLURRED_RATIO = 3.0
"""Coarse over fine; beyond any texture measured, and below the 3.3 and 6.3 of processed camera
images."""


class NoiseKind(StrEnum):
    """Sorts of noise."""

    NONE = "none"
    WHITE = "white"
    PHOTON = "photon"
    SIGNAL = "signal-dependent"
    COLOURED = "coloured"


@dataclass(frozen=True)
class NoiseEstimate:
    """A noise level, and what speaks for it.

    Attributes
    ----------
    std : float
        Standard deviation of the noise in pixel units, root mean square over channels.
    per_channel : tuple of float
        The same for each channel.
    correlation : tuple of tuple of float, shape (C, C)
        Of the noise of the channels; the identity where they are independent.
    wavelet_std : float
        What scikit-image's wavelet estimate reads, root mean square over channels, in pixel
        units. Texture raises it, so it serves as a check only.
    coarse_std : float
        What middle frequencies of the flattest patches read, root mean square over channels,
        in pixel units; of a channel that is one regular texture they tell nothing, and its level
        stands in.
    consistent : bool
        Whether the readings agree in every channel. If not, the noise may be correlated, not
        Gaussian or not of one level everywhere, and `std` may be far off.
    curves : tuple of LevelCurve, length C
        The level of each channel over its brightness; empty: `per_channel` serves everywhere.
    spectrum : NoiseSpectrum or None
        How the noise is spread over frequency, in opponent channels (see `mixing_matrix`), once
        it has one level; None: it is white. With a spectrum there are curves.
    uncertainty : NoiseUncertainty or None
        How well all this is known; None: it was told, or nobody asked, or the image is too small
        to tell. Records that differ in it only are equal.
    source : NoiseSource
        Where all this comes from; no matter for equality either.
    """

    std: float
    per_channel: tuple[float, ...]
    correlation: tuple[tuple[float, ...], ...]
    wavelet_std: float
    coarse_std: float
    consistent: bool
    curves: tuple[LevelCurve, ...] = ()
    spectrum: NoiseSpectrum | None = None
    uncertainty: NoiseUncertainty | None = field(default=None, compare=False)
    source: NoiseSource = field(default=NoiseSource.ESTIMATED, compare=False)

    @property
    def kind(self) -> NoiseKind:
        """What sort of noise it is, in one word."""
        if not self.std:
            return NoiseKind.NONE
        if self.spectrum is not None:
            return NoiseKind.COLOURED
        if not self.curves:
            return NoiseKind.WHITE
        return NoiseKind.SIGNAL if self.photons is None else NoiseKind.PHOTON

    @property
    def photons(self) -> tuple[PhotonNoise, ...] | None:
        """Gain, read-out and black level of each channel, if all of it is noise of photons."""
        photons = tuple(curve.photon for curve in self.curves if curve.photon is not None)
        return photons if photons and len(photons) == len(self.curves) else None

    @property
    def blurred(self) -> bool:
        """Whether the noise is stronger by far in coarser detail: a camera's or JPEG's work."""
        return 0 < BLURRED_RATIO * self.std < self.coarse_std

    @property
    def level(self) -> float:
        """The level to denoise by: `std`, or `coarse_std` where that says next to nothing."""
        return self.coarse_std if self.blurred else self.std

    @property
    def level_uncertainty(self) -> float | None:
        """One standard deviation of the error of `level`, in pixel units; None: it is not known.

        That of all channels together: what misleads in one does so in the others.
        """
        if self.uncertainty is None:
            return None
        shares = [std / self.std if self.std else 0.0 for std in self.per_channel]
        parts = zip(shares, self.uncertainty.level, strict=True)
        relative = sum(share**2 * each for share, each in parts) / len(shares)
        return relative * self.level

    def of_level(self, std: float) -> "NoiseEstimate":
        """Return the estimate for channels whose level is known and the same: the rest stays.

        Nothing is said of how well the level is known.
        """
        levels = (std,) * len(self.per_channel)
        return replace(self, std=std, per_channel=levels, coarse_std=std, uncertainty=None)

    def rescaled(self, factor: float) -> "NoiseEstimate":
        """Return the estimate of noise whose standard deviation is so many times as high."""
        return replace(
            self,
            std=factor * self.std,
            per_channel=tuple(factor * level for level in self.per_channel),
            wavelet_std=factor * self.wavelet_std,
            coarse_std=factor * self.coarse_std,
            curves=tuple(curve.scaled(factor) for curve in self.curves),
            uncertainty=self.uncertainty and self.uncertainty.rescaled(factor),
        )

    @classmethod
    def none(cls, channels: int) -> "NoiseEstimate":
        """Say that there is no noise."""
        identity = tuple(tuple(row) for row in np.eye(channels).tolist())
        zeros, source = (0.0,) * channels, NoiseSource.NONE
        return cls(0.0, zeros, identity, 0.0, 0.0, consistent=True, source=source)


def noise_to_signal(noise_variance: float) -> float:
    """Noise over signal, as standard deviations, of an image of unit variance in all."""
    return math.sqrt(noise_variance / max(1 - noise_variance, 1e-3))


def mean_estimate(estimates: Sequence[NoiseEstimate]) -> NoiseEstimate:
    """Average what several images with the same noise say: mean squares and mean correlations."""
    first = estimates[0]
    if len(estimates) == 1:
        return first
    channels = [
        [each.per_channel[place] for each in estimates] for place in range(len(first.per_channel))
    ]
    correlation = np.mean([each.correlation for each in estimates], axis=0)
    return NoiseEstimate(
        std=root_mean_square([each.std for each in estimates]),
        per_channel=tuple(root_mean_square(levels) for levels in channels),
        correlation=tuple(tuple(row) for row in correlation.tolist()),
        wavelet_std=root_mean_square([each.wavelet_std for each in estimates]),
        coarse_std=root_mean_square([each.coarse_std for each in estimates]),
        consistent=all(each.consistent for each in estimates),
        uncertainty=mean_uncertainty([each.uncertainty for each in estimates]),
        source=first.source,
    )


def root_mean_square(values: Sequence[float]) -> float:
    """Return the root of the mean square; neither over- nor underflows."""
    return math.hypot(*values) / math.sqrt(len(values))
