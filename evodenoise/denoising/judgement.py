"""What can be said of an estimate without the truth."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from evodenoise.config.settings import Refinement
from evodenoise.denoising.denoiser import Denoiser, Fitted, Rebuilt
from evodenoise.denoising.error_bars import error_variance
from evodenoise.denoising.whiteness import structured_share
from evodenoise.patches.source import PatchSource


class Judgement(NamedTuple):
    """What is said of an estimate.

    Attributes
    ----------
    variance : Tensor, shape (Y, X, C)
        Of its errors; 0: nothing is known of them.
    structured : float
        Share of the image in which its residual is not white, as its noise is; nan: the noise is
        not white, or there is none.
    """

    variance: Tensor
    structured: float


def judge(
    denoiser: Denoiser, source: PatchSource, fitted: Fitted, first: Rebuilt, refined: Tensor
) -> Judgement:
    """Judge an estimate of one image.

    Parameters
    ----------
    denoiser : Denoiser
        Whose it is.
    source : PatchSource
        The noisy image.
    fitted : Fitted
        From `Denoiser.train`.
    first : Rebuilt
        From `Denoiser.rebuild`.
    refined : Tensor, shape (Y, X, C)
        From `Denoiser.refine`.
    """
    if denoiser.noise_variance == 0:  # but for gaps, all stays as it is
        return Judgement(first.variance, math.nan)
    residual = source.image - refined
    white = denoiser.spectrum is None
    structured = structured_share(residual, source.missing) if white else math.nan
    if not fitted.model.decoder.unlocked:
        return Judgement(torch.zeros_like(first.variance), structured)
    is_refined = refined is not first.image
    variance = error_variance(
        first.variance,
        first.disagreement,
        residual,
        denoiser.noise_variance,
        denoiser.config.refinement if is_refined else Refinement.NONE,
        source.missing,
    )
    return Judgement(variance, structured)
