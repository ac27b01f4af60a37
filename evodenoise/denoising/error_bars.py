"""How far a refined estimate may be off: the variance of its error, pixel by pixel.

Dimensions: Y, X height and width, C channels.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from evodenoise.config.settings import Refinement
from evodenoise.noise.record import noise_to_signal

LEVELS: Mapping[Refinement, float] = {
    Refinement.NONE: 1.0,
    Refinement.GAUSSIAN: 1.05,
    Refinement.QUICK: 0.97,
    Refinement.FULL: 1.09,
}
"""Of the mean squared error; see `error_variance`."""

TRUST, FIT, DISTRUST = 1.1, 0.1, 0.3
"""Exponents of the posterior variance, of what the residual lacks, and of the ratio by which this
is the larger one: then the model promises too much, as of photons on black."""

BY_HEART, USUAL, SIZES = 0.2, 2**16, (2**14, 2**18)
"""Exponent of the number of pixels, over the usual one, and between what numbers it was measured:
the fewer patches there are, the more the model knows of their noise by heart. In colour, where a
patch has more values, this was not seen."""

FURTHEST = 4.0
"""Times that what the residual lacks may be the posterior variance, or that this may be it."""

POWER, NOISY_POWER, MOST_NOISY = 1.1, 0.8, 1.2
"""Errors differ more from place to place than posterior variances do, the more so the more noise
there is: the exponent, and its growth with the ratio of noise to signal up to the largest one."""

WINDOW, STEADINESS = 49, 0.3
"""Pixels around a pixel that tell its level, and the weight of the whole picture beside them."""

MOST_CHANGE = 2.0
"""Between the level of a place and that of the picture."""

LEAST_LEVEL = 0.3
"""Of a place, over the posterior variance; patches that differ by more do so for their noise."""

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
    Two figures tell of the mean squared error of a picture, in units of sigma^2. One is the mean
    posterior variance V of the patches: right if the model is, but a model of a small picture knows
    its patches by heart, and promises too much. The other is what the residual lacks, R = 1 - <r^2>
    / sigma^2: it is twice what the estimate took of the noise, less the error (C. Stein, Ann.
    Statist. 9(6), 1981), and as both are the same in posterior means, R is the error, too. It
    suffers from noise levels that are a little off. Their mixture, with c of `LEVELS`,

        c V^1.1 R^0.1 max(1, R / V)^0.3 (N / 2^16)^-0.2 sigma^2

    for N pixels, is 0.4 dB off the error in the mean of 30 cells, 1.5 dB at most (astronaut,
    camera, chelsea, coffee, coins and rocket of scikit-image, halved, and barbara, cameraman, house
    and peppers at sigma 15, 25 and 50). Of seven other halved pictures it is 1.1 dB off, at most
    2.5: too little on gravel, moon and tissue, too much on clock, which is smooth.

    The squared error of an average is the average of the squared errors less the variance of what
    is averaged, exactly (A. Krogh, J. Vedelsby, "Neural network ensembles, cross validation, and
    active learning", NIPS 1994): places differ like l = v - d, averaged over a window and, with
    less weight, over the picture. How errors differ within it follows the posterior variance, s =
    (v / sigma^2)^g, g above 1:

        E[error^2] = s <l> / <s>

    A model that has hardly been trained does not know what it misses, but its residual is larger
    than the noise: what it exceeds sigma^2 and the prediction by is added, less `DOUBT`.
    """
    there = torch.ones_like(residual) if missing is None else (~missing).to(residual)[..., None]
    squares = residual.square() * there
    share = there.mean((0, 1)).clamp(min=LEAST_SEEN)
    promised = (variance * there).mean((0, 1)) / share / noise_variance  # V, (C,)
    lacking = 1 - squares.mean((0, 1)) / share / noise_variance  # R, (C,)
    lacking = lacking.clamp(min=promised / FURTHEST, max=promised * FURTHEST)
    pixels = min(max(int(there[..., 0].sum()), SIZES[0]), SIZES[1])
    if variance.shape[2] > 1:
        pixels = USUAL
    known = math.exp(-BY_HEART * math.log(pixels / USUAL))
    mixture = promised.pow(TRUST) * lacking.pow(FIT)
    mixture = mixture * (lacking / promised).clamp(min=1).pow(DISTRUST)
    expected = LEVELS[refinement] * known * mixture * noise_variance
    level = (variance - disagreement).maximum(LEAST_LEVEL * variance)
    level = level * (expected * share / (level * there).mean((0, 1)))
    whole = level.mean((0, 1))
    relative = variance / noise_variance
    power = POWER + NOISY_POWER * min(noise_to_signal(noise_variance), MOST_NOISY)
    # What is missing may be less certain than noise is; nothing is known of powers there.
    shape = relative.pow(power).where(relative < 1, relative)
    shape = shape * (whole / shape.mean((0, 1)))
    change = (_mean_around(level) + STEADINESS * whole) / (_mean_around(shape) + STEADINESS * whole)
    shape = shape * change.clamp(1 / MOST_CHANGE, MOST_CHANGE)
    predicted = TAILS * shape * (whole / shape.mean((0, 1)))
    seen = _mean_around(squares) / _mean_around(there).clamp(min=LEAST_SEEN)
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
