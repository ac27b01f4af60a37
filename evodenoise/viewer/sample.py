"""A picture to try things on: cells in faint light, drawn and counted photon by photon."""

from typing import Any

import numpy as np

SIDE, CELLS = 256, 34
PHOTONS, GAIN, OFFSET, READOUT = 30.0, 12.0, 100.0, 1.5
"""At the brightest; grey levels a photon; grey levels without light; photons of reading out."""

PIXEL = 0.2
"""Micrometres."""


def noisy_cells() -> list[tuple[Any, dict[str, Any], str]]:
    """Draw cells as a camera sees them in faint light, always the same.

    Returns
    -------
    list of tuple
        One image layer, as napari takes it: uint16, shape (256, 256), pixels of 0.2 micrometres.
    """
    rng = np.random.default_rng(16)
    y, x = np.mgrid[:SIDE, :SIDE]
    light = np.full((SIDE, SIDE), 0.04)
    for _ in range(CELLS):
        row, column = rng.uniform(0, SIDE, 2)
        wide, high = rng.uniform(9, 22, 2)
        away = np.hypot((y - row) / high, (x - column) / wide)
        body, nucleus = rng.uniform(0.15, 0.5), rng.uniform(0.1, 0.5)
        light += body / (1 + np.exp(12 * (away - 1))) + nucleus * np.exp(-((2.5 * away) ** 2))
    photons = rng.poisson(PHOTONS * light / light.max())
    levels = OFFSET + GAIN * (photons + rng.normal(0, READOUT, photons.shape))
    data = levels.round().clip(0, 65535).astype(np.uint16)
    about = {
        "name": "noisy cells",
        "scale": (PIXEL, PIXEL),
        "units": ("um", "um"),
        "contrast_limits": (OFFSET, float(np.percentile(data, 99.8))),
        "metadata": {"photons_at_the_brightest": PHOTONS, "gain": GAIN, "offset": OFFSET},
    }
    return [(data, about, "image")]
