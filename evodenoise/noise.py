"""The noise level of an image, read blindly off its flattest patches.

Three readings share the work. The *fine* one, the answer, is the variance of high-frequency
coefficients of flat patches. The *wavelet* one is scikit-image's. The *coarse* one is the level
of middle frequencies in the flattest patches of all. White noise looks the same to all three;
blur, compression or a level that follows the signal set them apart.

Dimensions: Y, X height and width, C channels, p patch size, N patches, D = p*p coefficients,
M flat patches, F fine coefficients.
"""

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ImageError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

PATCH_SIZE = 8
SMALLEST_SIDE = 4
# Sampled evenly; of 8 x 8 doubles 34 MB, and the estimate still varies by some 0.4 % only.
MOST_PATCHES = 65_536
MOST_WAVELET_PIXELS = 2_000_000
BAND_ROWS = 128

# A quarter of the patches counts as flat: more let texture in, fewer cost precision. From 0.2 to
# 0.4 the error hardly changes (0.8 % rms over 14 pictures, sigma 5 to 75).
FLAT_SHARE = 0.25
FLATTEST_SHARE = 0.02
FEWEST_PATCHES = 64  # for a mean over patches to be worth anything
# Of the pixels of a patch; so few clipped ones still leave its noise nearly Gaussian.
STUCK_SHARE = 1 / 16
ROUNDING = 1e-12  # of the value range; less than this is arithmetic, not noise

# What white noise gives, sigma 5 to 75 on 16 pictures: wavelet / fine 0.98 to 1.34, coarse / fine
# 1.00 to 1.25, median / fine 0.96 to 1.02; texture without a flat patch (grass, gravel) raises
# coarse / fine to 1.9 at sigma 5, where the level is wrong too. Noise blurred by half a pixel
# gives coarse / fine above 1.65, a JPEG quality that moves the level by a tenth median / fine
# below 0.9, a level that follows the signal often coarse / fine below 0.8.
WAVELET_RATIOS = (0.8, 2.0)
COARSE_RATIOS = (0.8, 1.5)
LEAST_GAUSSIAN = 0.9
# Beyond any texture measured; noise of two processed camera images has 3.3 and 6.3.
BLURRED_RATIO = 3.0
FEWEST_JUDGED = 1024  # patches; the ratios scatter too much in images below about 40 x 40
GAUSSIAN_MEDIAN = 0.6744897501960817  # of the absolute value of a standard normal variable


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
        in pixel units.
    consistent : bool
        Whether the readings agree in every channel. If not, the noise may be correlated, not
        Gaussian or not of one level everywhere, and `std` may be far off.
    """

    std: float
    per_channel: tuple[float, ...]
    correlation: tuple[tuple[float, ...], ...]
    wavelet_std: float
    coarse_std: float
    consistent: bool

    @property
    def blurred(self) -> bool:
        """Whether the noise is stronger by far in coarser detail: a camera's or JPEG's work."""
        return self.coarse_std > BLURRED_RATIO * self.std

    @property
    def level(self) -> float:
        """The level to denoise by: `std`, or `coarse_std` where that says next to nothing."""
        return self.coarse_std if self.blurred else self.std

    @classmethod
    def none(cls, channels: int) -> "NoiseEstimate":
        """Say that there is no noise."""
        identity = tuple(tuple(row) for row in np.eye(channels).tolist())
        return cls(0.0, (0.0,) * channels, identity, 0.0, 0.0, consistent=True)


class _Reading(NamedTuple):
    """One channel: standard deviations in pixel units, and whether they agree."""

    fine: float
    wavelet: float
    coarse: float
    agree: bool


def estimate_noise(image: Array, *, missing: Mask | None = None) -> NoiseEstimate:
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
    >>> from evodenoise.noise import estimate_noise
    >>> noisy = np.random.default_rng(0).normal(100.0, 5.0, (128, 128))
    >>> round(estimate_noise(noisy).std, 1)
    5.0
    """
    _check(image)
    planes = np.atleast_3d(image)  # (Y, X, C)
    if missing is not None and not missing.any():
        missing = None
    readings = [_read(planes[:, :, channel], missing) for channel in range(planes.shape[2])]
    levels = [reading.fine for reading in readings]
    return NoiseEstimate(
        std=_root_mean_square(levels),
        per_channel=tuple(levels),
        correlation=_correlation(planes, levels, missing),
        wavelet_std=_root_mean_square([reading.wavelet for reading in readings]),
        coarse_std=_root_mean_square([reading.coarse for reading in readings]),
        consistent=all(reading.agree for reading in readings),
    )


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
        std=_root_mean_square([each.std for each in estimates]),
        per_channel=tuple(_root_mean_square(levels) for levels in channels),
        correlation=tuple(tuple(row) for row in correlation.tolist()),
        wavelet_std=_root_mean_square([each.wavelet_std for each in estimates]),
        coarse_std=_root_mean_square([each.coarse_std for each in estimates]),
        consistent=all(each.consistent for each in estimates),
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
            common = 1 - _fine_level(one - other, missing) ** 2 / 2
            correlation[first, second] = correlation[second, first] = np.clip(common, -1, 1)
    return tuple(tuple(row) for row in correlation.tolist())


def _root_mean_square(values: list[float]) -> float:
    return math.hypot(*values) / math.sqrt(len(values))


def _read(plane: Array, missing: Mask | None) -> _Reading:
    """Read the noise level of one channel, shape (Y, X)."""
    low, span = _extent(plane)
    if span == 0:
        return _Reading(0.0, 0.0, 0.0, True)
    spectra, orders, half = _sample_spectra(plane, missing, low, span)
    if len(spectra) < FEWEST_PATCHES and missing is not None:
        level = _sparse_level(plane, missing)
        return _Reading(level, level, level, True)
    fine = _fine_std(spectra, orders, half)
    coarse, robustness = _read_flattest(spectra, orders, fine)
    whole = plane if missing is None else np.where(missing, 0, plane)
    wavelet = _wavelet_std(_bands(whole) / span)
    agree = len(spectra) < FEWEST_JUDGED or (
        (missing is not None or _within(wavelet, fine, WAVELET_RATIOS))
        and _within(coarse, fine, COARSE_RATIOS)
        and robustness >= LEAST_GAUSSIAN
    )
    return _Reading(span * fine, span * wavelet, span * coarse, agree)


def _fine_level(plane: Array, missing: Mask | None) -> float:
    """Read the level of one plane, (Y, X), without the cross-checks."""
    low, span = _extent(plane)
    if span == 0:
        return 0.0
    spectra, orders, half = _sample_spectra(plane, missing, low, span)
    if len(spectra) < FEWEST_PATCHES and missing is not None:
        return _sparse_level(plane, missing)
    return span * _fine_std(spectra, orders, half)


def _extent(plane: Array) -> tuple[float, float]:
    """Return the smallest value and the distance to the largest."""
    low, high = float(plane.min()), float(plane.max())
    return low, high - low


def _sparse_level(plane: Array, missing: Mask) -> float:
    """Read the level of a plane with so many gaps that no patch is whole, off pairs of pixels.

    Of second differences over 2 x 2 pixels, and of pairs where there are none of those, the
    quieter ones of smooth surroundings count, by their median: textures are rare among them.
    """
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

    steepness = gaussian_filter(gaussian_gradient_magnitude(plane.astype(np.float64), 2.0), 2.0)
    values, seen = plane.astype(np.float64), ~missing
    blocks = (values[1:, 1:] - values[1:, :-1] - values[:-1, 1:] + values[:-1, :-1]) / 2
    whole = seen[1:, 1:] & seen[1:, :-1] & seen[:-1, 1:] & seen[:-1, :-1]
    steep = steepness[1:, 1:]
    if np.count_nonzero(whole) < FEWEST_PATCHES:
        blocks, whole = np.diff(values, axis=1) / math.sqrt(2), seen[:, 1:] & seen[:, :-1]
        steep = steepness[:, 1:]
    if not whole.any():
        return float(values[seen].std()) if seen.any() else 0.0
    flat = whole & (steep <= np.quantile(steep[whole], FLAT_SHARE))
    return float(np.median(np.abs(blocks[flat]))) / GAUSSIAN_MEDIAN


def _sample_spectra(
    plane: Array, missing: Mask | None, low: float, span: float
) -> tuple[Floats, Indices, Mask]:
    """Transform a sample of the patches: coefficients, their orders, and each patch's half."""
    patches, half = _sample_patches(plane, missing, low, span)
    return *_transform(patches), half


def _sample_patches(
    plane: Array, missing: Mask | None, low: float, span: float
) -> tuple[Floats, Mask]:
    """Cut the usable patches, (N, D), their values scaled to 0..1; and which half they are in."""
    size = min(PATCH_SIZE, *plane.shape)
    windows = np.lib.stride_tricks.sliding_window_view(plane, (size, size))
    step = math.ceil(math.sqrt(windows.shape[0] * windows.shape[1] / MOST_PATCHES))
    patches = np.array(windows[::step, ::step], dtype=np.float64)  # (rows, columns, p, p)
    patches -= low
    patches /= span
    # A chessboard of two patches' side, so that few patches straddle two halves.
    row, column = (step * np.arange(count) // (2 * size) for count in patches.shape[:2])
    half = (row[:, None] + column[None, :]).ravel() % 2 == 1
    patches = patches.reshape(-1, size * size)
    if missing is not None:
        gaps = np.lib.stride_tricks.sliding_window_view(missing, (size, size))[::step, ::step]
        whole = ~gaps.any(axis=(2, 3)).ravel()
        patches, half = patches[whole], half[whole]
    usable = _usable(patches)
    return patches[usable], half[usable]


def _usable(patches: Floats) -> Mask:
    """Tell which patches hold the noise as it was: few pixels clipped, few in a blank area."""
    stuck = (patches == 0) | (patches == 1)
    blank = patches[np.ptp(patches, axis=1) == 0, 0]
    if blank.size:
        values, counts = np.unique(blank, return_counts=True)
        stuck |= patches == values[np.argmax(counts)]
    usable: Mask = np.count_nonzero(stuck, axis=1) <= STUCK_SHARE * patches.shape[1]
    return usable if np.count_nonzero(usable) >= FEWEST_PATCHES else np.ones_like(usable)


def _transform(patches: Floats) -> tuple[Floats, Indices]:
    """Transform patches by the orthonormal 2-D DCT; return also each frequency's order u + v."""
    size = math.isqrt(patches.shape[1])
    frequencies, pixels = np.arange(size)[:, None], np.arange(size)[None, :]
    cosines = np.cos(np.pi * frequencies * (pixels + 0.5) / size) * math.sqrt(2 / size)  # (p, p)
    cosines[0] /= math.sqrt(2)
    orders = (frequencies + frequencies.T).ravel()  # (D,)
    return patches @ np.kron(cosines, cosines).T, orders


def _flattest(spectra: Floats, chosen: Mask, share: float) -> Indices:
    """Find the share of patches with the least energy in the chosen frequencies."""
    energy = np.einsum("nd,nd,d->n", spectra, spectra, chosen.astype(np.float64))
    count = min(len(energy), max(FEWEST_PATCHES, int(share * len(energy))))
    return np.argpartition(energy, count - 1)[:count]


def _fine_std(spectra: Floats, orders: Indices, half: Mask) -> float:
    """Measure the noise of flat patches in the quieter half of their high frequencies."""
    last = orders.max() // 2  # p - 1
    flat = _flattest(spectra, (orders >= 1) & (orders < last), FLAT_SHARE)
    squares = spectra[flat][:, orders >= last] ** 2  # (M, F)
    first, second = squares[half[flat]], squares[~half[flat]]
    if min(len(first), len(second)) < FEWEST_PATCHES:
        return _significant(math.sqrt(squares.mean()))
    variances = np.stack([first.mean(axis=0), second.mean(axis=0)])  # (2, F)
    quietest = np.argsort(variances, axis=1)[:, : variances.shape[1] // 2]
    crossed = np.take_along_axis(variances[::-1], quietest, axis=1)
    return _significant(math.sqrt(crossed.mean()))


def _read_flattest(spectra: Floats, orders: Indices, fine: float) -> tuple[float, float]:
    """Measure middle frequencies of the flattest patches, and how Gaussian their high ones are.

    Returns the standard deviation of the former, and the ratio of the standard deviation
    that fits the median of the latter to their own, 1 for a Gaussian.
    """
    last = orders.max() // 2
    even, between = orders % 2 == 0, (orders >= 2) & (orders < last)
    flattest = spectra[_flattest(spectra, even & between, FLATTEST_SHARE)]
    middle = flattest[:, ~even & between]
    coarse = _significant(math.sqrt(np.mean(middle**2))) if middle.size else fine
    high = np.abs(flattest[:, orders >= last])
    spread = math.sqrt(np.mean(high**2))
    return coarse, float(np.median(high)) / GAUSSIAN_MEDIAN / spread if spread else 1.0


def _bands(plane: Array) -> Floats:
    """Take evenly spaced bands of rows of an image too large to read whole.

    Zero stays zero, for the wavelet estimate leaves out masked areas by their exact zeros.
    """
    height, width = plane.shape
    count = max(1, MOST_WAVELET_PIXELS // (BAND_ROWS * width))
    if count * BAND_ROWS >= height:
        return plane.astype(np.float64)
    starts = np.linspace(0, height - BAND_ROWS, count).astype(int)
    rows = (starts[:, None] + np.arange(BAND_ROWS)).ravel()
    return plane[rows].astype(np.float64)


def _wavelet_std(plane: Floats) -> float:
    from skimage.restoration import estimate_sigma

    with warnings.catch_warnings():
        # It takes an image of four columns for a colour one, and the median of no coefficients.
        warnings.simplefilter("ignore")
        std = float(estimate_sigma(plane))
    return 0.0 if math.isnan(std) else _significant(std)


def _significant(std: float) -> float:
    return std if std > ROUNDING else 0.0


def _within(std: float, fine: float, ratios: tuple[float, float]) -> bool:
    return ratios[0] * fine <= std <= ratios[1] * fine
