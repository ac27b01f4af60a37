"""What the spectrum of noise looks like: white, striped, or texture that is none.

Of waves, in the DCT of patches, whose variances are taken from the flattest of them.

Dimensions: C channels, p patch size.
"""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from evodenoise.noise.colour import orders_of

Floats = npt.NDArray[np.float64]

MIDDLE, HIGH = (0.3, 0.55), 0.8
"""Orders, of the side of a patch, that are compared: in lower ones structure is in the way."""

WHITE_RATIO = (0.7, 1.5)
"""Variance in the middle over that in the highest orders, of noise that may be white."""

BANDS = (0.3, 0.45, 0.6, 0.75, 0.9)
"""Where bands of orders begin, of the side of a patch."""

LEVELLING, LEAST_FLOOR = 1.25, 0.25
"""How much more of the fall from the first band to the last, both in logarithms, has to lie in its
first half than in its second for a spectrum to level off; and the level of the finest waves, over
that of all, below which that is structure that was left. In pictures of gravel, grass, bricks and
tissue with white noise the first is 1.27 to 13, in noise blurred by half a pixel or more and in
that of cameras 0.6 to 0.9, by 0.4 pixels up to 1.2; blurred by 1.5 pixels it is anything, and the
second below 0.15."""

MOST_ALONG_AXES = 1.2
"""Logarithm of the variance of waves along an axis over others; what has more is striped."""


def looks_white(variances: Floats, most: float = WHITE_RATIO[1]) -> bool:
    """Tell whether wave variances (C, p, p) are those of white noise, as far as can be seen.

    The ratio of those of middle and of high orders is then at least `WHITE_RATIO[0]`, and below
    `most`, and none of the channels has stripes.
    """
    side = variances.shape[-1]
    orders = orders_of(side)
    middle = (orders >= MIDDLE[0] * side) & (orders < MIDDLE[1] * side)
    ratio = variances[:, middle].mean() / variances[:, orders >= HIGH * side].mean()
    return bool(WHITE_RATIO[0] < ratio < most) and not any(map(is_striped, variances))


def is_flat(variances: Floats) -> bool:
    """Tell whether wave variances (p, p) are those of white noise but for stripes."""
    bands = _bands(variances)
    return math.log(WHITE_RATIO[0]) < bands[0] - bands[-1] < math.log(WHITE_RATIO[1])


def is_striped(variances: Floats) -> bool:
    """Tell whether wave variances (p, p) are those of stripes along an axis, too."""
    coarse = np.arange(len(variances)) >= BANDS[0] * len(variances)
    along = [np.median(axis[coarse]) for axis in (variances[0], variances[:, 0])]
    return float(np.log(max(along))) - float(np.mean(_bands(variances))) > MOST_ALONG_AXES


def levels_off(variances: Floats) -> bool:
    """Tell whether wave variances (p, p) are those of texture over white noise.

    Noise that was blurred or interpolated falls ever more steeply towards the finest waves. What a
    picture shows falls like a power of the order, down to the noise, and levels off there. So does
    white noise alone. Stripes do not count.
    """
    bands = _bands(variances)
    first, middle, last = bands[0], bands[len(bands) // 2], bands[-1]
    falls_first = first - middle > LEVELLING * max(middle - last, 0)
    is_seen = math.exp(last) > LEAST_FLOOR**2 * float(variances[1:, 1:].mean())
    return is_flat(variances) or (falls_first and is_seen)


def stripes_alone(variances: Floats) -> Floats:
    """Return the variance of the finest waves for all (p, p), and that of stripes if there are."""
    side = len(variances)
    floor = finest(variances)
    alone = np.full_like(variances, floor)
    if is_striped(variances):
        for axis, own in zip((alone[0], alone[:, 0]), (variances[0], variances[:, 0]), strict=True):
            axis[:] = max(float(own[int(BANDS[-1] * side) :].mean()), floor)
        alone[0, 0] = max(alone[0, 1], alone[1, 0])
    return alone


def finest(variances: Floats) -> float:
    """Return the variance (p, p) of the finest waves, stripes left out."""
    return math.exp(_bands(variances)[-1])


def _bands(variances: Floats) -> list[float]:
    """Return the logarithms of what wave variances (p, p) are in `BANDS`, off the axes."""
    side = len(variances)
    orders = orders_of(side) / side
    off_axes = np.indices((side, side)).min(0) > 0
    return [
        float(np.log(variances[off_axes & (orders >= first) & (orders < last)].mean()))
        for first, last in pairwise((*BANDS, math.inf))
    ]
