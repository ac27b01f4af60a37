"""Whether an image has been compressed as JPEG: most fine waves of its blocks are missing.

Dimensions: T pages, Y, X height and width.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SIDE = 8
"""Pixels of a block."""

FINE = 8
"""Sum of the frequencies u + v from which on JPEG keeps next to nothing."""

ROUNDED = 1.0
"""Amplitude of a wave that rounding to whole numbers may have left."""

MORE = 0.2
"""Share of such waves by which the blocks of a JPEG file exceed others."""


def was_compressed(pages: Array) -> bool:
    """Tell whether values from 0 to 255 have been through JPEG, blocks from the first pixel on.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X)
        One channel.
    """
    if min(pages.shape[1:]) < 4 * SIDE or pages.min() < 0 or pages.max() > 255:
        return False
    return _missing_waves(pages) > _missing_waves(pages[:, SIDE // 2 :, SIDE // 2 :]) + MORE


def _missing_waves(pages: Array) -> float:
    """Count fine waves that are missing from blocks, as a share."""
    from scipy.fft import dctn

    rows, columns = (side // SIDE for side in pages.shape[1:])
    whole = pages[:, : SIDE * rows, : SIDE * columns].astype(np.float64)
    blocks = whole.reshape(-1, rows, SIDE, columns, SIDE)
    waves = dctn(blocks, axes=(2, 4), norm="ortho", workers=1)
    fine = np.add.outer(np.arange(SIDE), np.arange(SIDE)) >= FINE
    return float((np.abs(waves.transpose(0, 1, 3, 2, 4)[..., fine]) < ROUNDED).mean())
