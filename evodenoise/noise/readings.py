"""The noise of one plane of an image, read off its flattest patches.

Three readings share the work. The *fine* one, the answer, is the variance of high-frequency
coefficients of flat patches. The *wavelet* one is the median of the finest wavelet coefficients.
The *coarse* one is the level of middle frequencies in the flattest patches of all. White noise
looks the same to all three; blur, compression or a level that follows the signal set them apart.

Two kinds of planes need no reading, for what varies in them cannot be noise: those of two values,
and those whose patches recur exactly.

Dimensions: Y, X height and width, p patch size, N patches, D = p*p coefficients,
M flat patches, F fine coefficients.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pywt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

PATCH_SIZE = 8
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
FEWEST_JUDGED = 1024  # patches; the ratios scatter too much in images below about 40 x 40
# A regular texture without a flat patch: nearly all of its middle frequencies stand in a few of the
# coefficients (their median over rms is below 0.1 of a Gaussian's; blurred noise has above 0.35),
# and they are as strong as the whole plane (0.7 to 2.6 of its deviation). A JPEG of strong noise
# can have the former, never the latter.
LEAST_SPREAD_OUT = 0.2
TEXTURE_SHARE = 0.5
# Noise never recurs, and a picture that consists of two or three copies of a noisy one is noisy.
RECURRENCES = 8
SAME = 1e-9  # of the value range; closer patches are equal but for arithmetic
GAUSSIAN_MEDIAN = 0.6744897501960817  # of the absolute value of a standard normal variable


class Reading(NamedTuple):
    """One channel: standard deviations in pixel units, and whether they agree."""

    fine: float
    wavelet: float
    coarse: float
    agree: bool


def read_plane(plane: Array, missing: Mask | None) -> Reading:
    """Read the noise level of one channel, shape (Y, X)."""
    low, span = _extent(plane)
    if _has_two_values(plane, missing):
        return Reading(0.0, 0.0, 0.0, True)
    spectra, orders, half = _sample_spectra(plane, missing, low, span)
    if len(spectra) < FEWEST_PATCHES and missing is not None:
        level = _sparse_level(plane, missing)
        return Reading(level, level, level, True)
    if _recurs(spectra):
        return Reading(0.0, 0.0, 0.0, True)
    fine = _fine_std(spectra, orders, half)
    coarse, spread_out, robustness = _read_flattest(spectra, orders, fine)
    whole = plane if missing is None else np.where(missing, 0, plane)
    wavelet = _wavelet_std(_bands(whole) / span)
    if spread_out < LEAST_SPREAD_OUT and span * coarse > TEXTURE_SHARE * _deviation(plane, missing):
        return Reading(span * fine, span * wavelet, span * fine, False)
    agree = len(spectra) < FEWEST_JUDGED or (
        (missing is not None or _within(wavelet, fine, WAVELET_RATIOS))
        and _within(coarse, fine, COARSE_RATIOS)
        and robustness >= LEAST_GAUSSIAN
    )
    return Reading(span * fine, span * wavelet, span * coarse, agree)


def fine_level(plane: Array, missing: Mask | None) -> float:
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


def _has_two_values(plane: Array, missing: Mask | None) -> bool:
    """Tell whether there are but two values, or one: a drawing, whose edges are no noise."""
    seen = plane if missing is None else plane[~missing]
    return not seen.size or bool(((seen == seen.min()) | (seen == seen.max())).all())


def _deviation(plane: Array, missing: Mask | None) -> float:
    seen = plane if missing is None else plane[~missing]
    return float(seen.std(dtype=np.float64))


def _recurs(spectra: Floats) -> bool:
    """Tell whether the patches that are not blank recur exactly, time and again."""
    lively = spectra[np.abs(spectra[:, 1:]).max(axis=1, initial=0.0) > SAME]
    if len(lively) < FEWEST_PATCHES:
        return False
    # One number a patch, that of different patches being different.
    signatures = np.sort(lively @ np.cos(np.arange(spectra.shape[1])))
    different = 1 + np.count_nonzero(np.diff(signatures) > SAME)
    return bool(len(lively) >= RECURRENCES * different)


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
    from scipy.fft import dct

    size = math.isqrt(patches.shape[1])
    frequencies = np.arange(size)
    cosines = dct(np.eye(size), norm="ortho", axis=0)  # (p, p)
    orders = (frequencies[:, None] + frequencies).ravel()  # (D,)
    # One product of matrices takes three quarters of the time of `dctn` on 8 x 8 pixels.
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


def _read_flattest(spectra: Floats, orders: Indices, fine: float) -> tuple[float, float, float]:
    """Measure middle frequencies of the flattest patches, and how Gaussian all of these are.

    Returns the standard deviation of the middle frequencies, and of these and of the high ones the
    ratio of the standard deviation that fits the median to their own, 1 for a Gaussian.
    """
    last = orders.max() // 2
    even, between = orders % 2 == 0, (orders >= 2) & (orders < last)
    flattest = spectra[_flattest(spectra, even & between, FLATTEST_SHARE)]
    middle, high = flattest[:, ~even & between], flattest[:, orders >= last]
    coarse = _significant(math.sqrt(np.mean(middle**2))) if middle.size else fine
    return coarse, _gaussianity(middle), _gaussianity(high)


def _gaussianity(values: Floats) -> float:
    """Compare the spread that fits the median of centred values to their own; 1 if there is none.

    It falls short of 1 where few of them make up most of their squares.
    """
    spread = math.sqrt(np.mean(values**2)) if values.size else 0.0
    return float(np.median(np.abs(values))) / GAUSSIAN_MEDIAN / spread if spread else 1.0


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
    """Estimate from the finest wavelet coefficients; exact zeros are masked areas.

    Donoho, Johnstone, "Ideal spatial adaptation by wavelet shrinkage" (Biometrika 81, 1994).
    It is scikit-image's `estimate_sigma`, to the last digits, which takes 0.3 s more to import
    (0.26, after torch and scipy.fft) than the 0.01 s of PyWavelets: more than to read the noise.
    """
    details = pywt.dwtn(plane, "db2")["dd"]
    sizes = np.abs(details[details != 0])
    return _significant(float(np.median(sizes)) / GAUSSIAN_MEDIAN) if sizes.size else 0.0


def _significant(std: float) -> float:
    return std if std > ROUNDING else 0.0


def _within(std: float, fine: float, ratios: tuple[float, float]) -> bool:
    return ratios[0] * fine <= std <= ratios[1] * fine
