"""Read noise that is known off pictures, and compare: a table in Markdown.

The pictures come with scikit-image; the noise is added, not clipped. An estimate comes with one
standard deviation of its error; the last column counts how many of these it is away from the truth.

    python examples/noise_estimates.py --pictures camera,coins,astronaut --side 256
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.color import rgb2gray

from evodenoise import estimate_noise
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.words import describe_spectrum, gain_errors, with_error

PICTURES = ("camera", "coins", "astronaut", "brick", "moon", "clock", "cat", "coffee", "grass")
PICTURES += ("gravel", "hubble_deep_field", "immunohistochemistry", "retina")
WHITE = (10.0, 25.0, 50.0)  # standard deviation, in gray levels of 255
PEAKS = (10, 30, 120)  # photons in a white pixel
BLURS = (0.7, 1.5)  # standard deviation of a Gaussian, in pixels
BLURRED_STD = 20.0
STRIPES = 10.0  # standard deviation of rows, and of pixels
HEADER = ("picture", "noise", "level", "read", "errors away", "gain", "read", "taken for")
RULES = ("---", "---", "--:", "--:", "--:", "--:", "--:", "---")


class Known(NamedTuple):
    """A noisy picture and the truth about its noise, in gray levels."""

    name: str
    noisy: np.ndarray
    level: float
    gain: float | None = None


def gray_picture(name: str, side: int) -> np.ndarray:
    """Cut the middle of a picture: gray levels from 0 to 255."""
    picture = getattr(data, name)()
    gray = 255 * rgb2gray(picture) if picture.ndim == 3 else picture.astype(np.float64)
    if min(gray.shape) < side:
        raise SystemExit(f"{name} has {gray.shape} pixels; --side must not be more")
    top, left = ((length - side) // 2 for length in gray.shape)
    return gray[top : top + side, left : left + side]


def make_noisy(clean: np.ndarray, rng: np.random.Generator) -> Iterator[Known]:
    """Add every sort of noise to a picture."""
    for std in WHITE:
        yield Known(f"white, {std:g}", clean + std * rng.normal(size=clean.shape), std)
    for peak in PEAKS:
        gain = 255 / peak
        counts = gain * rng.poisson(clean / gain)
        yield Known(f"photons, peak {peak}", counts, float(np.sqrt(gain * clean.mean())), gain)
    for blur in BLURS:
        impulse = np.zeros((65, 65))
        impulse[32, 32] = 1
        loss = np.sqrt(np.square(gaussian_filter(impulse, blur)).sum())
        noise = gaussian_filter(rng.normal(size=clean.shape), blur, mode="wrap") / loss
        yield Known(
            f"blurred by {blur} px, {BLURRED_STD:g}", clean + BLURRED_STD * noise, BLURRED_STD
        )
    rows = rng.normal(size=(len(clean), 1)) + rng.normal(size=clean.shape)
    yield Known(f"rows and white, {STRIPES:g} each", clean + STRIPES * rows, STRIPES * 2**0.5)


def compare(known: Known, found: NoiseEstimate) -> tuple[str, ...]:
    """Put truth and estimate side by side."""
    error, gain_error = found.level_uncertainty, gain_errors(found)
    away = "" if error is None else f"{(found.level - known.level) / error:+.1f}"
    gain, kind = "", found.kind.value
    if found.photons is not None:
        gain = with_error(found.photons[0].gain, gain_error and gain_error[0])
    if found.spectrum is not None:
        kind = f"{kind}: {describe_spectrum(found)}"
    read, truth = with_error(found.level, error), "" if known.gain is None else f"{known.gain:.3g}"
    return (known.name, f"{known.level:.3g}", read, away, truth, gain, kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", default="camera,coins,astronaut", help=", ".join(PICTURES))
    parser.add_argument("--side", type=int, default=256, help="of the pictures, in pixels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    names = args.pictures.split(",")
    if not set(names) <= set(PICTURES):
        parser.error(f"--pictures {args.pictures!r}: choose from {', '.join(PICTURES)}")
    for cells in (HEADER, RULES):
        print(f"| {' | '.join(cells)} |")
    rng = np.random.default_rng(args.seed)
    for name in names:
        for known in make_noisy(gray_picture(name, args.side), rng):
            cells = compare(known, estimate_noise(known.noisy))
            print(f"| {' | '.join((name, *cells))} |", flush=True)


if __name__ == "__main__":
    main()
