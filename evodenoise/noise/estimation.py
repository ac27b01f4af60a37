"""The noise level of an image, read blindly; how it is read off one channel `readings` knows.

Dimensions: Y, X height and width, C channels.
"""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ImageError
from evodenoise.noise.readings import fine_level, read_plane
from evodenoise.noise.record import NoiseEstimate, root_mean_square

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

SMALLEST_SIDE = 4


def estimate_white_noise(image: Array, *, missing: Mask | None = None) -> NoiseEstimate:
    """Estimate the standard deviation of white Gaussian noise from the image alone.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float. It is not modified.
    missing : ndarray of bool, shape (Y, X), optional
        Pixels that do not count; they hold anything finite.

    Returns
    -------
    NoiseEstimate
        The level in the image's own units; 0 for a constant image.

    Raises
    ------
    ImageError
        If the array is no image of finite numbers, or smaller than 4 x 4 pixels.

    Notes
    -----
    An orthonormal DCT leaves white noise white, so that in one patch low frequencies tell
    nothing about the noise in high ones. Patches are therefore called flat by their low
    frequencies and measured by their high ones, which removes the bias of picking quiet patches.
    Of the high frequencies, the quieter half counts: the smallest entries of a variance spectrum,
    as in Pyatykh et al. and Chen et al., where they are eigenvalues. Smallest of many would be
    biased too, by the spread of sample variances, so that each half of the image chooses
    the frequencies in which the other half is measured.

    A channel of two values, a drawing, has no noise, nor has one whose patches recur exactly eight
    times or more, a regular texture.

    Patches with several pixels at the image's extremes, where noise was clipped, or at the value
    of a blank area (a mask, a letterbox) are left out.

    One channel takes less than 0.1 s with 256 x 256 pixels and 0.3 s with 12 million, of which an
    even sample is read, and 100 MB at most.

    References
    ----------
    .. [1] S. Pyatykh, J. Hesser, L. Zheng, "Image noise level estimation by principal component
       analysis", IEEE Trans. Image Processing 22(2), 2013.
    .. [2] G. Chen, F. Zhu, P. A. Heng, "An efficient statistical method for image noise level
       estimation", ICCV 2015.
    .. [3] N. N. Ponomarenko et al., "An automatic approach to lossy compression of AVIRIS
       images", IGARSS 2007: low DCT frequencies select, high ones measure.
    .. [4] D. L. Donoho, I. M. Johnstone, "Ideal spatial adaptation by wavelet shrinkage",
       Biometrika 81(3), 1994: the wavelet reading.

    Examples
    --------
    >>> import numpy as np
    >>> from evodenoise.noise.estimation import estimate_white_noise
    >>> noisy = np.random.default_rng(0).normal(100.0, 5.0, (128, 128))
    >>> round(estimate_white_noise(noisy).std, 1)
    5.0
    """
    _check(image)
    planes = np.atleast_3d(image)  # (Y, X, C)
    if missing is not None and not missing.any():
        missing = None
    readings = [read_plane(planes[:, :, channel], missing) for channel in range(planes.shape[2])]
    levels = [reading.fine for reading in readings]
    return NoiseEstimate(
        std=root_mean_square(levels),
        per_channel=tuple(levels),
        correlation=_correlation(planes, levels, missing),
        wavelet_std=root_mean_square([reading.wavelet for reading in readings]),
        coarse_std=root_mean_square([reading.coarse for reading in readings]),
        consistent=all(reading.agree for reading in readings),
    )


def _check(image: Array) -> None:
    if image.ndim not in (2, 3) or min(image.shape[:2]) < SMALLEST_SIDE or not image.size:
        raise ImageError(
            f"shape {image.shape} is not an image of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} "
            "pixels; give (Y, X) or (Y, X, C)"
        )
    if image.dtype.kind not in "uif" or not np.isfinite(image).all():
        raise ImageError("the noise level needs finite integers or floats; replace other values")


def _correlation(
    planes: Array, levels: list[float], missing: Mask | None
) -> tuple[tuple[float, ...], ...]:
    """Estimate how the noise of the channels of (Y, X, C) correlates, from their differences.

    What the channels share, most of the picture, is not in the differences.
    """
    correlation = np.eye(len(levels))
    for first, second in itertools.combinations(range(len(levels)), 2):
        scale = levels[first] * levels[second]
        if scale > 0:
            # Each over its level: neither product nor difference can over- or underflow.
            one, other = (planes[:, :, each] / levels[each] for each in (first, second))
            common = 1 - fine_level(one - other, missing) ** 2 / 2
            correlation[first, second] = correlation[second, first] = np.clip(common, -1, 1)
    return tuple(tuple(row) for row in correlation.tolist())
