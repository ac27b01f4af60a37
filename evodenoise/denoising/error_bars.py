"""How far a refined estimate may be off: the variance of its error, pixel by pixel.

Dimensions: Y, X height and width, C channels.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from evodenoise.config.settings import Refinement
from evodenoise.noise.record import noise_to_signal

LEVELS: Mapping[Refinement, tuple[float, float]] = {
    Refinement.NONE: (1.11, 0.0),
    Refinement.GAUSSIAN: (1.18, 2.9),
    Refinement.QUICK: (1.2, 2.0),
    Refinement.FULL: (1.3, 2.0),
}
"""Variance of the error over that of the first estimate, and over the squared distance that the
refinement has moved it; see `error_variance`."""

POWER, NOISY_POWER, MOST_NOISY = 1.0, 0.8, 1.2
"""Errors differ more from place to place than posterior variances do, the more so the more noise
there is: the exponent, and its growth with the ratio of noise to signal up to the largest one."""

WINDOW, STEADINESS = 49, 0.3
"""Pixels around a pixel that tell its level, and the weight of the whole picture beside them."""

MOST_CHANGE = 2.0
"""Between the level of a place and that of the picture."""

LEAST_LEVEL = 0.1
"""Of the posterior variance; less is not believed."""

DOUBT = 0.1
"""Of sigma^2: by so much the residuals of a window may exceed it by chance, or because the level of
the noise was read too low."""

LEAST_SEEN = 0.1
"""Share of a window; of fewer pixels nothing is concluded."""

TAILS = 0.97
"""Squared errors over their predicted variances have a mean of one with so much of the variance
that has the right sum: where it is small it is a little too large."""


def error_variance(
    variance: Tensor,
    disagreement: Tensor,
    moved: Tensor,
    residual: Tensor,
    noise_variance: float,
    refinement: Refinement,
    missing: Tensor | None = None,
) -> Tensor:
    """Predict the variance of the errors of an estimate.

    Parameters
    ----------
    variance : Tensor, shape (Y, X, C)
        Mean posterior variance v of the patches that cover a pixel.
    disagreement : Tensor, shape (Y, X, C)
        Variance d of their estimates of it.
    moved : Tensor, shape (Y, X, C)
        Refined less first estimate, m.
    residual : Tensor, shape (Y, X, C)
        Noisy image less refined estimate, r.
    noise_variance : float
        sigma^2.
    refinement : Refinement
        What the first estimate was refined by.
    missing : Tensor of bool, shape (Y, X), optional
        Missing pixels, where there is no residual.

    Returns
    -------
    Tensor, shape (Y, X, C)
        E[(estimate - clean)^2].

    Notes
    -----
    The squared error of an average is the average of the squared errors less the variance of what
    is averaged, exactly (A. Krogh, J. Vedelsby, "Neural network ensembles, cross validation, and
    active learning", NIPS 1994). So the first estimate has the error v - d, if patches have the
    error that their posterior says. What refinement removes of it shows in how far it moves the
    estimate: of an error in a random direction it would remove m^2. With a and b of `LEVELS`, that
    is the level of a place,

        l = a (v - d) - b m^2

    averaged over the picture and, with less weight, over a window. How errors differ within it
    follows the posterior variance, s = (v / sigma^2)^g, g above 1:

        E[error^2] = s <l> / <s>

    All of that trusts the model. One that has hardly been trained does not know what it misses, but
    its residual is larger than the noise. By Stein's unbiased estimate of the risk (C. Stein, Ann.
    Statist. 9(6), 1981) the mean squared error is <r^2> - sigma^2 + 2 sigma^2 <df/dy>, the last of
    which is positive: what the first two exceed the prediction by is added, less `DOUBT`.

    a and b were fitted to five pictures at sigma 15 to 50 (coins, moon, astronaut, chelsea, brick
    of scikit-image) and are the same, within 0.03 and 0.1, if fitted to house, cameraman, peppers
    and barbara.
    """
    own, removed = LEVELS[refinement]
    level = own * (variance - disagreement) - removed * moved.square()
    least = LEAST_LEVEL * variance.mean((0, 1))
    whole = level.mean((0, 1)).maximum(least)  # (C,)
    relative = variance / noise_variance
    power = POWER + NOISY_POWER * min(noise_to_signal(noise_variance), MOST_NOISY)
    # What is missing may be less certain than noise is; nothing is known of powers there.
    shape = relative.pow(power).where(relative < 1, relative)
    shape = shape * (whole / shape.mean((0, 1)))
    change = (_mean_around(level) + STEADINESS * whole) / (_mean_around(shape) + STEADINESS * whole)
    shape = shape * change.clamp(1 / MOST_CHANGE, MOST_CHANGE)
    predicted = TAILS * shape * (whole / shape.mean((0, 1)))
    there = torch.ones_like(residual) if missing is None else (~missing).to(residual)[..., None]
    seen = _mean_around(residual.square() * there) / _mean_around(there).clamp(min=LEAST_SEEN)
    beyond = seen - (1 + DOUBT) * noise_variance - _mean_around(predicted)
    return predicted + beyond.clamp(min=0)


def _mean_around(values: Tensor) -> Tensor:
    """Average (Y, X, C) over squares around each pixel, as far as they lie in the image."""
    planes = values.movedim(2, 0)[None]
    # Along one axis after the other: the squares are large.
    for axis in (2, 3):
        side = min(WINDOW, 2 * planes.shape[axis] - 1)
        side -= 1 - side % 2
        window = (side, 1) if axis == 2 else (1, side)
        padding = (side // 2, 0) if axis == 2 else (0, side // 2)
        planes = avg_pool2d(planes, window, 1, padding, count_include_pad=False)
    return torch.movedim(planes[0], 0, 2)
