"""Make the gallery, `docs/gallery.md` and its pictures, by running the command.

    python docs/make_gallery.py            # all of it, some minutes
    python docs/make_gallery.py photons    # one picture

The pictures come with scikit-image; noise is added with seed 0. Each row shows the noisy picture,
the result, what was taken away (middle gray: nothing), and the error that is expected of the result
(black: none, white: one standard deviation of what was taken away).
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.color import rgb2gray

Array = npt.NDArray[np.float64]

DOCS = Path(__file__).parent
SIDE = 256
SHOWN = 4
"""Noise levels from middle gray to black or white in the residual."""


@dataclass(frozen=True)
class Entry:
    """A row of the gallery: a picture, what happens to it, and how it is denoised."""

    title: str
    about: str
    clean: Callable[[], Array]
    spoil: Callable[[Array, np.random.Generator], Array]
    ending: str = "png"
    options: str = ""


def crop(picture: Array, top: int, left: int, side: int = SIDE) -> Array:
    """Cut out a square, as floats."""
    return picture[top : top + side, left : left + side].astype(np.float64)


def white(sigma: float) -> Callable[[Array, np.random.Generator], Array]:
    """Add white noise."""
    return lambda clean, rng: clean + sigma * rng.standard_normal(clean.shape)


def photons(peak: float) -> Callable[[Array, np.random.Generator], Array]:
    """Count photons, so many at the brightest."""
    return lambda clean, rng: rng.poisson(clean / clean.max() * peak) * (255 / peak)


def grain(sigma: float, blur: float) -> Callable[[Array, np.random.Generator], Array]:
    """Add noise that is blurred, as film grain is."""

    def spoil(clean: Array, rng: np.random.Generator) -> Array:
        coarse = gaussian_filter(rng.standard_normal(clean.shape), blur)
        return clean + sigma * coarse / coarse.std()

    return spoil


def rows(sigma: float) -> Callable[[Array, np.random.Generator], Array]:
    """Add white noise, and an offset to each row."""
    return lambda clean, rng: (
        clean
        + sigma * rng.standard_normal(clean.shape)
        + sigma * rng.standard_normal((len(clean), 1))
    )


def hot_pixels(sigma: float, share: float) -> Callable[[Array, np.random.Generator], Array]:
    """Add white noise, and set a share of the pixels to white."""

    def spoil(clean: Array, rng: np.random.Generator) -> Array:
        noisy = clean + sigma * rng.standard_normal(clean.shape)
        return np.where(rng.random(clean.shape) < share, 255.0, noisy)

    return spoil


def cells() -> Array:
    """Draw cells as fluorescence shows them: soft discs of several brightnesses, with nuclei."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:SIDE, :SIDE]
    picture = np.full((SIDE, SIDE), 8.0)
    for _ in range(34):
        row, column, radius = *rng.uniform(0, SIDE, 2), rng.uniform(9, 20)
        away = np.hypot(y - row, (x - column) * rng.uniform(0.7, 1.3)) / radius
        picture += rng.uniform(30, 110) / (1 + np.exp(12 * (away - 1)))
        picture += rng.uniform(20, 80) * np.exp(-((away * 2.5) ** 2))
    return 230 * picture / picture.max()


ENTRIES = {
    "photograph": Entry(
        "A photograph",
        "Gray, white noise of 25 gray levels.",
        lambda: crop(data.camera(), 60, 130),
        white(25),
    ),
    "colour": Entry(
        "In colour",
        "White noise of 25 gray levels in each channel.",
        lambda: crop(data.chelsea(), 20, 90),
        white(25),
    ),
    "photons": Entry(
        "Fluorescence",
        "Drawn cells, 20 photons at the brightest.",
        cells,
        photons(20),
        "tif",
    ),
    "sky": Entry(
        "The sky",
        "A part of the Hubble deep field, gray, 60 photons at the brightest.",
        lambda: 255 * crop(rgb2gray(data.hubble_deep_field()), 300, 420),
        photons(60),
        "tif",
    ),
    "grain": Entry(
        "Film grain",
        "Noise of 18 gray levels, blurred by 0.8 pixels.",
        lambda: crop(data.coins(), 40, 60),
        grain(18, 0.8),
    ),
    "rows": Entry(
        "Stripes",
        "White noise of 10 gray levels, and an offset of 10 to each row.",
        lambda: 255 * crop(rgb2gray(data.astronaut()), 0, 100),
        rows(10),
    ),
    "pixels": Entry(
        "Hot pixels",
        "White noise of 10 gray levels, and 2 % of the pixels are white.",
        lambda: 255 * crop(rgb2gray(data.coffee()), 90, 200),
        hot_pixels(10, 0.02),
    ),
}


def run(name: str, entry: Entry, folder: Path) -> str:
    """Spoil a picture, denoise it by the command, and draw the row; return its text."""
    clean = entry.clean()
    noisy = entry.spoil(clean, np.random.default_rng(0)).clip(0, 255).round().astype(np.uint8)
    source = folder / f"{name}.{entry.ending}"
    Image.fromarray(noisy).save(source)
    Image.fromarray(clean.round().clip(0, 255).astype(np.uint8)).save(folder / "truth.png")
    result, taken, error = (folder / f"{name}_{part}.tif" for part in ("clean", "taken", "error"))
    words = f"{source.name} -o {result.name} {entry.options}".split()
    more = f"--residual {taken.name} --uncertainty {error.name} --reference truth.png".split()
    command = [sys.executable, "-m", "evodenoise", *words, *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    residual, deviation = tifffile.imread(taken), tifffile.imread(error)
    level = float(residual.std())
    panels = [
        noisy,
        tifffile.imread(result),
        (127.5 + residual * (127.5 / (SHOWN * level))).clip(0, 255).astype(np.uint8),
        (deviation * (255 / level)).clip(0, 255).astype(np.uint8),
    ]
    picture = Image.new("RGB", (4 * SIDE + 3 * 6, SIDE), "white")
    for place, panel in enumerate(panels):
        picture.paste(Image.fromarray(panel).convert("RGB"), (place * (SIDE + 6), 0))
    picture.save(DOCS / "gallery" / f"{name}.png", optimize=True)
    said = "\n".join(line for line in done.stdout.splitlines() if line.strip())
    return (
        f"## {entry.title}\n\n{entry.about}\n\n"
        f"![Noisy, denoised, what was taken away, expected error](gallery/{name}.png)\n\n"
        f"```text\n$ evodenoise {' '.join(words)} --reference truth.png\n{said}\n```\n"
    )


def main(names: list[str]) -> None:
    """Make the rows that are named, or all, and write the page if all were made."""
    (DOCS / "gallery").mkdir(exist_ok=True)
    texts = []
    for name in names or ENTRIES:
        with tempfile.TemporaryDirectory() as folder:
            texts.append(run(name, ENTRIES[name], Path(folder)))
        print(texts[-1])
    if not names:
        head = (
            "# Gallery\n\nMade by `python docs/make_gallery.py`: noisy, denoised, what was taken "
            "away (black and white: four of its standard deviations), and the error that is "
            "expected (white: one of these). Nothing was told but the picture.\n\n"
        )
        (DOCS / "gallery.md").write_text(head + "\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
