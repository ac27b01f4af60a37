"""What comes of a run: layers, and what there is to say of them."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evodenoise.jobs.job_result import describe_findings
from evodenoise.noise.record import NoiseKind
from evodenoise.noise.uncertainty import NoiseSource
from evodenoise.noise.words import describe_doubt
from evodenoise.viewer.layers import (
    Array,
    LayerImage,
    LayerTuple,
    Mask,
    Pixels,
    denoised_layer,
    describe_result,
    residual_layer,
    uncertainty_layer,
)
from evodenoise.viewer.wanted import Wanted

if TYPE_CHECKING:
    from evodenoise.denoising.result import DenoiseResult


class Outcome(NamedTuple):
    """What came of a run: layers, a sentence on it, and what the user should know."""

    layers: list[LayerTuple]
    said: str
    cautions: tuple[str, ...]

    @classmethod
    def of(
        cls,
        image: LayerImage,
        wanted: Wanted,
        pixels: Pixels,
        result: "DenoiseResult",
        seconds: float,
    ) -> "Outcome":
        """Make it of what the library found.

        Parameters
        ----------
        image : LayerImage
            The noisy layer.
        wanted : Wanted
            What was wanted of it.
        pixels : Pixels
            Its pixels.
        result : DenoiseResult
            Of them, as a stack.
        seconds : float
            What it took.
        """
        about = describe_result(result, wanted.taken_down())
        data = pixels.put_back(result.image)
        layers = [denoised_layer(image, data, about)]
        noise, std, clean = result.noise_estimate, result.std, result.image
        if pixels.invisible is not None:  # there nothing was changed
            hidden = _like(pixels.invisible, std)
            std, clean = np.where(hidden, np.float32(0), std), np.where(hidden, pixels.pages, clean)
        if wanted.uncertainty and std.any():
            layers.append(uncertainty_layer(image, pixels, std))
        if wanted.residual:
            layers.append(residual_layer(image, pixels, clean))
        kind = noise.kind if result.noise_std else NoiseKind.NONE
        given = NoiseSource.ESTIMATED if wanted.sigma is None else NoiseSource.GIVEN
        found = describe_findings(
            result.noise_std,
            given if result.noise_std else NoiseSource.NONE,
            kind,
            result.impulses,
            None,
            None,
        )
        if math.isfinite(result.estimated_rmse):
            found.append(f"errors of about {result.estimated_rmse:.3g} left")
        cautions = [] if noise.consistent else [f"the noise {describe_doubt(noise)}"]
        if not result.noise_std:
            cautions.append("no noise was found; nothing but missing pixels was changed")
        elif wanted.uncertainty and not std.any():
            cautions.append("nothing is known of the errors; there is no uncertainty")
        said = ", ".join([*found, f"{seconds:.1f} s"])
        return cls(layers, said, tuple(cautions))


def _like(mask: Mask, values: Array) -> Mask:
    """Give a mask (T, Y, X) an axis for the channels of values, if they have any."""
    return mask[..., None] if values.ndim > mask.ndim else mask
