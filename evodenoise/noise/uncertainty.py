"""How well noise is known, and where that comes from.

Dimensions: C channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class NoiseSource(StrEnum):
    """Where what is known of noise comes from."""

    GIVEN = "given"
    FILE = "file"
    ESTIMATED = "estimated"
    NONE = "none"


@dataclass(frozen=True)
class NoiseUncertainty:
    """One standard deviation of the error of each part of a record of noise.

    Attributes
    ----------
    level : tuple of float, length C
        Of the level of each channel, relative.
    gain : tuple of float, length C
        Of the gain of photons, relative; empty: it is not noise of photons.
    readout : tuple of float, length C
        Of the read-out noise of photons, in pixel units, for it may be 0; as long as `gain`.
    spectrum : tuple of float, length C
        Of the density of each opponent channel, root mean square over its frequencies, relative to
        the root mean square of the density; empty: there is no spectrum.

    Raises
    ------
    ValueError
        If they are not finite, negative, or of several numbers of channels.
    """

    level: tuple[float, ...]
    gain: tuple[float, ...] = ()
    readout: tuple[float, ...] = ()
    spectrum: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        values = (*self.level, *self.gain, *self.readout, *self.spectrum)
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise ValueError("uncertainties must be finite and at least 0")
        count = len(self.level)
        if not count or len(self.gain) != len(self.readout):
            raise ValueError("uncertainties are of the level, and of gain and read-out or neither")
        if any(len(part) not in (0, count) for part in (self.gain, self.spectrum)):
            raise ValueError("uncertainties must be of as many channels as the level")

    def rescaled(self, factor: float) -> "NoiseUncertainty":
        """Return that of noise whose standard deviation is so many times as high."""
        return replace(self, readout=tuple(factor * each for each in self.readout))


def mean_uncertainty(known: Sequence[NoiseUncertainty | None]) -> NoiseUncertainty | None:
    """Average over several images with the same noise; None: it is not known of all.

    That of the mean is not less: structure misleads alike in all of them.
    """
    sure = [each for each in known if each is not None]
    if not sure or len(sure) < len(known):
        return None
    levels = zip(*(each.level for each in sure), strict=True)
    return NoiseUncertainty(tuple(math.hypot(*own) / math.sqrt(len(sure)) for own in levels))
