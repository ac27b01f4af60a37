"""What is wanted of a layer, as the widget's user says it."""

from dataclasses import dataclass
from typing import Any

from evodenoise.config.presets import DEFAULT_PRESET
from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import ConfigError
from evodenoise.jobs.job import configure
from evodenoise.viewer.layers import Array, Pages

AUTO = "auto"
"""Written where a number may stand, but need not."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a layer.

    Attributes
    ----------
    preset : str
        Name of the preset.
    sigma : float or None
        Noise level, in the units of the layer; None: it is read off it.
    strength : float
        Times that level.
    device : str
        Where to compute.
    pages : Pages
        What becomes of a stack.
    uncertainty, residual : bool
        Which layers are wanted beside the result.
    preview : bool
        Whether estimates are made on the way.
    """

    preset: str = DEFAULT_PRESET
    sigma: float | None = None
    strength: float = 1.0
    device: str = "auto"
    pages: Pages = Pages.PAGES
    uncertainty: bool = True
    residual: bool = True
    preview: bool = True

    def configure(self, page: Array) -> DenoiseConfig:
        """Make settings for a page (Y, X) or (Y, X, C)."""
        given = {"noise_std": self.sigma, "strength": self.strength, "device": self.device}
        return configure(self.preset, page, given)

    def taken_down(self) -> dict[str, Any]:
        """List the settings that decide the result."""
        return {
            "preset": self.preset,
            "sigma": self.sigma,
            "strength": self.strength,
            "pages": self.pages.value,
        }


def read_level(text: str) -> float | None:
    """Read a noise level; None: it is to be read off the image.

    Raises
    ------
    ConfigError
        If it is neither a number nor `AUTO`.
    """
    if text.strip().lower() in ("", AUTO):
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"noise level {text!r} is no number; write one in the units of the image, or {AUTO}"
        ) from None
