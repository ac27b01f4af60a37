"""Channels whose noise follows the signal, made ones of one noise level, and back.

Dimensions: C channels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.config.settings import Clipped, DenoiseConfig
from evodenoise.denoising.channels import DistinctChannels
from evodenoise.denoising.noise_level import noise_of
from evodenoise.denoising.scaling import Scaling
from evodenoise.errors import ConfigError
from evodenoise.noise.clipping import find_bounds, level_before_clipping
from evodenoise.noise.curves import Floats, LevelCurve, PhotonNoise
from evodenoise.noise.record import NoiseEstimate, NoiseKind
from evodenoise.noise.stabilisation import Stabilisation

Array = npt.NDArray[Any]

MOST_LEVEL = 4.0
"""Standard deviations of the image that noise can have which follows the signal or was clipped;
what clipping takes away from strong noise is less than this."""


@dataclass(frozen=True, eq=False)
class Levelling:
    """A stabilisation of each channel.

    Attributes
    ----------
    maps : tuple of Stabilisation, length C
        After them the noise of each channel has a standard deviation of 1.
    """

    maps: tuple[Stabilisation, ...]

    def apply(self, pixels: Array) -> Floats:
        """Map pixels (..., C), in float64."""
        return self._each(lambda one, plane: one.apply(plane), pixels)

    def undo(self, estimate: Array) -> Floats:
        """Map estimates (..., C) of clean mapped values to those of clean pixels."""
        return self._each(lambda one, plane: one.undo(plane), estimate)

    def undo_std(self, estimate: Array, std: Array) -> Floats:
        """Turn standard deviations of estimates (..., C) into those of pixels."""
        return self._each(lambda one, plane, spread: one.undo_std(plane, spread), estimate, std)

    def log_slope(self, pixels: Array) -> float:
        """Return the mean logarithm of the slope of the maps at pixels (..., C)."""
        return float(np.mean([one.log_slope(pixels[..., c]) for c, one in enumerate(self.maps)]))

    def level(self, pixels: Array) -> float:
        """Return the root mean square of the noise of pixels (..., C), in their units."""
        levels = [one.curve.level(pixels[..., c]) for c, one in enumerate(self.maps)]
        return math.hypot(*levels) / math.sqrt(len(levels))

    def to_json(self) -> list[dict[str, Any]]:
        """Take down what the maps are made of."""
        return [
            {
                "values": list(one.curve.values),
                "stds": list(one.curve.stds),
                "gain": one.curve.growth,
                "low": one.low,
                "high": one.high,
                "bounds": one.bounds
                and [end if math.isfinite(end) else None for end in one.bounds],
                "restore": one.restore,
            }
            for one in self.maps
        ]

    @classmethod
    def from_json(cls, fields: Sequence[Mapping[str, Any]]) -> "Levelling":
        """Make the maps of what `to_json` took down.

        Raises
        ------
        Exception
            Of any kind, if it is damaged.
        """
        return cls(tuple(map(_parse, fields)))

    def _each(self, of: Callable[..., Floats], *planes: Array) -> Floats:
        """Compute something of each channel of arrays (..., C)."""
        mapped = [of(one, *(each[..., c] for each in planes)) for c, one in enumerate(self.maps)]
        return np.stack(mapped, axis=-1)


@dataclass(frozen=True, eq=False)
class Levelled:
    """Channels whose noise has one level.

    Attributes
    ----------
    channels : DistinctChannels
        Their values.
    noise : NoiseEstimate
        Of these values: of level 1 if there is a levelling.
    levelling : Levelling or None
        From pixels to the values; None: they are pixels.
    unit : float
        What a deviation of 1 of the values is in pixel units, root mean square.
    log_slope : float
        Mean logarithm of the slope of the levelling at the pixels.
    """

    channels: DistinctChannels
    noise: NoiseEstimate
    levelling: Levelling | None
    unit: float = 1.0
    log_slope: float = 0.0

    @classmethod
    def of(
        cls,
        channels: DistinctChannels,
        noise: NoiseEstimate,
        levelling: Levelling | None,
        *,
        brought: bool = False,
    ) -> "Levelled":
        """Apply a levelling, if there is one; `brought` with the model of other images.

        Raises
        ------
        ConfigError
            If the noise would be far more than the image varies.
        """
        if levelling is None:
            return cls(channels, noise, None)
        seen = channels.values[~channels.missing]
        unit = levelling.level(seen)
        if not brought:
            _check_unit(unit, seen)
        applied = replace(channels, values=levelling.apply(channels.values))
        own = NoiseEstimate.none(len(levelling.maps))
        if noise.spectrum is None and not brought:
            own = noise_of(applied, NoiseKind.WHITE)  # for the correlation of the channels
        own = replace(own.of_level(1.0), spectrum=noise.spectrum)
        return cls(applied, own, levelling, unit, levelling.log_slope(seen))

    def to_pixels(self, values: Array, std: Array) -> tuple[Array, Array]:
        """Turn estimates (T, Y, X, C) and deviations into those of pixels."""
        if self.levelling is None:
            return values, std
        return self.levelling.undo(values), self.levelling.undo_std(values, std)


def choose_levelling(
    channels: DistinctChannels, config: DenoiseConfig, noise: NoiseEstimate
) -> Levelling | None:
    """Find the maps that images need.

    Parameters
    ----------
    channels : DistinctChannels
        Values that are not constant.
    config : DenoiseConfig
        Settings: what is known of the noise, and what is wanted of clipped values.
    noise : NoiseEstimate
        What is known of it.

    Returns
    -------
    Levelling or None
        None: the noise has one level, and no values are to be restored.
    """
    restore = config.clipped is Clipped.RESTORE
    if not noise.curves and not (restore and noise.level):
        return None
    curves = noise.curves or _constant_curves(config, noise)
    seen = ~channels.missing
    planes = [channels.values[..., c][seen] for c in range(len(curves))]
    bounds = [find_bounds(plane, curve) for plane, curve in zip(planes, curves, strict=True)]
    if not noise.curves and not any(bounds):
        return None
    if not noise.curves and config.noise_std is None:
        curves = _before_clipping(channels, curves, bounds)
    return Levelling(
        tuple(
            Stabilisation.of(curve, plane.min(), plane.max(), bounds=ends, restore=restore)
            for curve, plane, ends in zip(curves, planes, bounds, strict=True)
        )
    )


def _before_clipping(
    channels: DistinctChannels,
    curves: tuple[LevelCurve, ...],
    bounds: list[tuple[float, float] | None],
) -> tuple[LevelCurve, ...]:
    """Return the levels that channels had before they were clipped, read off the first page."""
    found = []
    for place, (curve, ends) in enumerate(zip(curves, bounds, strict=True)):
        plane, missing = channels.values[0, ..., place], channels.missing[0]
        level = 0.0 if ends is None else level_before_clipping(plane, missing, ends)
        found.append(LevelCurve.constant(level) if level else curve)
    return tuple(found)


def _constant_curves(config: DenoiseConfig, noise: NoiseEstimate) -> tuple[LevelCurve, ...]:
    """Say that the noise of each channel has the same level everywhere."""
    if config.noise_std is not None:
        return (LevelCurve.constant(config.noise_std),) * len(noise.per_channel)
    return tuple(LevelCurve.constant(level or noise.level) for level in noise.per_channel)


def _check_unit(level: float, pixels: Array) -> None:
    """Refuse levels of noise far beyond what the pixels (N, C) vary in all."""
    own = Scaling.of(pixels).std
    if level > MOST_LEVEL * own:
        raise ConfigError(
            f"noise of {level:.4g} at the mean of the image is far more than it varies in all, by "
            f"a standard deviation of {own:.4g}; give gain, read-out and sigma in the units of "
            "the pixels"
        )


def _parse(fields: Mapping[str, Any]) -> Stabilisation:
    """Make the map of a channel of what was taken down; damage raises whatever it may."""
    values, stds = (tuple(map(float, fields[name])) for name in ("values", "stds"))
    gain, low, high = (float(fields[name]) for name in ("gain", "low", "high"))
    photon = PhotonNoise(gain, stds[0], values[0]) if gain else None
    bounds = fields["bounds"]
    if bounds is not None:
        first, last = bounds
        bounds = (
            -math.inf if first is None else float(first),
            math.inf if last is None else float(last),
        )
    if not (math.isfinite(high - low) and low <= high):
        raise ValueError("a range of means that is none")
    return Stabilisation.of(
        LevelCurve(values, stds, photon), low, high, bounds=bounds, restore=bool(fields["restore"])
    )
