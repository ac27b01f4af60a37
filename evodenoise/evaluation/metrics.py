"""PSNR, SSIM and RMSE against a reference, as scikit-image computes them."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evodenoise.errors import ReferenceImageError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Quality:
    """How close an image is to its reference.

    Attributes
    ----------
    psnr : float
        Peak signal-to-noise ratio in dB; infinite for identical images.
    ssim : float
        Mean structural similarity, at most 1.
    rmse : float
        Root of the mean squared error, in pixel units.
    """

    psnr: float
    ssim: float
    rmse: float


def check_reference(
    reference: Array, image: Array, data_range: float | None, *, name: str
) -> float:
    """Refuse a reference that cannot be compared with the image.

    Their types may differ: the mean of many frames is no integer, and both are compared as they
    are, in floating point.

    Parameters
    ----------
    reference, image : ndarray
        To be compared.
    data_range : float or None
        Peak value in pixel units; None: the span of the image's integer type, else that of the
        reference's, or max - min of the reference if both are floats.
    name : str
        What to call the reference in the message.

    Returns
    -------
    float
        The data range to use; positive.

    Raises
    ------
    ReferenceImageError
        If shapes differ, a value of the reference is not finite, or the data range is not
        positive.
    """
    if reference.shape != image.shape:
        raise ReferenceImageError(
            f"{name}: shape {reference.shape}, but the image has {image.shape}; "
            "the reference must show the same pixels"
        )
    for each in (reference, image):
        if each.dtype.kind == "c":
            raise ReferenceImageError(f"{name}: {each.dtype} values cannot be compared")
    bad = reference.size - np.count_nonzero(np.isfinite(reference))
    if bad:
        values = "1 value is" if bad == 1 else f"{bad} values are"
        raise ReferenceImageError(f"{name}: {values} NaN or infinite; replace them first")
    span = _span(reference, image) if data_range is None else data_range
    if not 0 < span < np.inf:
        raise ReferenceImageError(f"{name}: data range {span:g}; give a positive --data-range")
    return span


def _span(reference: Array, image: Array) -> float:
    for each in (image, reference):
        if each.dtype.kind in "ui":
            limits = np.iinfo(each.dtype)
            return float(limits.max) - float(limits.min)
    return float(reference.max()) - float(reference.min())


def measure(reference: Array, image: Array, *, data_range: float) -> Quality:
    """Compare an image with its reference, without normalising either.

    Parameters
    ----------
    reference, image : ndarray, shape (Y, X) or (Y, X, C)
        Of one shape.
    data_range : float
        Peak value of PSNR and SSIM, in pixel units; positive.

    Returns
    -------
    Quality
        PSNR, SSIM and RMSE.
    """
    from skimage.metrics import (
        mean_squared_error,
        peak_signal_noise_ratio,
        structural_similarity,
    )

    first, second = reference.astype(np.float64), image.astype(np.float64)
    # scikit-image's default window is 7 pixels; smaller images get the largest odd one that fits.
    window = min(7, (min(image.shape[:2]) - 1) // 2 * 2 + 1)
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        # The PSNR of identical images is infinite; that is an answer, not an accident.
        warnings.simplefilter("ignore", RuntimeWarning)
        psnr = peak_signal_noise_ratio(first, second, data_range=data_range)
    ssim = structural_similarity(
        first,
        second,
        win_size=window,
        data_range=data_range,
        channel_axis=2 if image.ndim == 3 else None,
    )
    return Quality(float(psnr), float(ssim), float(mean_squared_error(first, second) ** 0.5))


def measure_pages(reference: Array, image: Array, *, data_range: float) -> Quality:
    """Compare a stack with its reference.

    Parameters
    ----------
    reference, image : ndarray, shape (T, Y, X) or (T, Y, X, C)
        Of one shape.
    data_range : float
        Peak value of PSNR and SSIM, in pixel units; positive.

    Returns
    -------
    Quality
        PSNR and RMSE over all values, and the mean SSIM of the pages.
    """
    pages = [
        measure(clean, page, data_range=data_range)
        for clean, page in zip(reference, image, strict=True)
    ]
    # Mean squared errors may be averaged, decibels may not.
    error = np.mean([10 ** (-page.psnr / 10) for page in pages])
    psnr = -10 * np.log10(error) if error else np.inf
    rmse = np.sqrt(np.mean([page.rmse**2 for page in pages]))
    return Quality(float(psnr), float(np.mean([page.ssim for page in pages])), float(rmse))
