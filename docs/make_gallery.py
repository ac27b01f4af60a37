"""Make the gallery, `docs/gallery.md` and its pictures, by running the command.

    python docs/make_gallery.py                 # all of it, some minutes on one core
    python docs/make_gallery.py sky scan        # some of its pictures, to look at
    python docs/make_gallery.py --noisy FOLDER  # only what is denoised, and the truths
    python docs/make_gallery.py --texts         # only the page, around what is printed there

The pictures come with scikit-image or are drawn here; noise is added with seed 0. The picture in
the README, `docs/before_after.jpg`, is made of two of them.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from gallery_pictures import (
    SIDE,
    Array,
    Spoil,
    camera,
    cells,
    crop,
    grain,
    photons,
    scan,
    white,
)
from PIL import Image
from skimage import data
from skimage.color import rgb2gray

DOCS = Path(__file__).parent
PAGE = DOCS / "gallery.md"
PICTURES = DOCS / "gallery"
README_PICTURE, README_ENTRIES = DOCS / "before_after.jpg", ("iso", "cells")

GAP = 6
"""Pixels between two panels."""

SHOWN = 4
"""Standard deviations from middle gray to black or white in what was taken away."""

BRIGHTEST = 0.995
"""Share of the pixels whose expected error is less than what is shown as white."""

BLOCK = re.compile(
    r"^```text\n\$ evodenoise (\w+)\S* .*?\n\n(.*?)\n```\n\n(\d+) %", re.MULTILINE | re.DOTALL
)
"""On the page: a command, what it prints, and the share of pixels within the expected error."""

Outcome = tuple[str, int]
"""What a command printed, and how many pixels of a hundred err by less than is expected."""

HEAD = """# Gallery

Made by `python docs/make_gallery.py`. Nothing was told but the noisy picture; the truth served to
measure the result. Each picture has four parts:

| noisy | denoised |
|---|---|
| **what was taken away**: gray is nothing, black and white are four standard deviations | \
**expected error** of each pixel: the lighter, the larger |

What was taken away should look like noise, and like nothing else. Where expected errors are
right, 68 % of the pixels err by less; fine detail and noise that is not white make them too small.

To try the commands, `python docs/make_gallery.py --noisy FOLDER` writes the noisy pictures and
their truths.
"""


@dataclass(frozen=True)
class Entry:
    """A picture of the gallery, and what happens to it.

    Attributes
    ----------
    title, about, look : str
        What it is, where it comes from, and what there is to see.
    clean : callable
        Returns the truth, shape (Y, X) or (Y, X, 3), from 0 to 255.
    spoil : callable
        Takes the truth and a generator, and returns the noisy picture.
    ending : str
        Of the files.
    gamma : float
        Exponent by which it is shown; dark parts are lightened below 1.
    """

    title: str
    about: str
    look: str
    clean: Callable[[], Array]
    spoil: Spoil
    ending: str = "png"
    gamma: float = 1.0


ENTRIES = {
    "photograph": Entry(
        "A photograph",
        "`skimage.data.camera()`, white noise of 25 gray levels.",
        "Outlines and the face stay. The grass and the cloth of the coat come out smoother than "
        "they are. Errors are expected along outlines and in fine detail.",
        lambda: crop(data.camera(), 60, 130),
        white(25),
    ),
    "iso": Entry(
        "High ISO",
        "`skimage.data.astronaut()` with the noise of a colour camera in dim light.",
        "Coloured blotches go, eyes and outlines stay. The pattern that can just be recognised in "
        "what was taken away, on top of her head, is hair.",
        lambda: crop(data.astronaut(), 0, 100),
        camera(0.02, 0.012),
    ),
    "cells": Entry(
        "Fluorescence",
        "Drawn cells, 20 photons where they are brightest, one or two in the background.",
        "Fibres that stand alone stay; where many cross, only their brightness is left. More is "
        "taken away where it is brighter, for the noise of photons grows with the light.",
        cells,
        photons(20),
        "tif",
    ),
    "sky": Entry(
        "The sky",
        "A part of `skimage.data.hubble_deep_field()`, gray, 60 photons where it is white. Shown "
        "with lightened shadows.",
        "Stars and galaxies stay and are not taken for wrong pixels. Bright peaks keep nine tenths "
        "of their height, the faintest about half. The threads in the background are noise that "
        "was left.",
        lambda: 255 * crop(rgb2gray(data.hubble_deep_field()), 440, 620),
        photons(60),
        "tif",
        0.5,
    ),
    "film": Entry(
        "Film grain",
        "`skimage.data.coins()`, noise of 18 gray levels, blurred by 0.8 pixels.",
        "What stands out from the grain stays; finer relief goes with it, and some blotches are "
        "left in the background.",
        lambda: crop(data.coins(), 40, 60),
        grain(18, 0.8),
    ),
    "scan": Entry(
        "An old scan",
        "`skimage.data.coffee()`, gray, white noise of 8 gray levels, stripes of 8, and one pixel "
        "of a hundred black or white.",
        "The specks are found and filled, and most of the stripes go; thin ones remain where it "
        "is dark and flat.",
        lambda: 255 * crop(rgb2gray(data.coffee()), 90, 200),
        scan(8, 0.01),
    ),
    "grass": Entry(
        "Where it ends: texture that never repeats",
        "`skimage.data.grass()`, white noise of 25 gray levels.",
        "Blades of grass are as irregular as noise. No flat place tells the noise from them: its "
        "level is read a little too high, and the finest blades are lost. The note says so, though "
        "what was taken away looks like noise to us.",
        lambda: crop(data.grass(), 100, 100),
        white(25),
    ),
}


def command_of(name: str) -> str:
    """Return the command that denoises a picture."""
    ending = ENTRIES[name].ending
    return (
        f"evodenoise {name}.{ending} -o {name}_clean.{ending} --residual taken.tif "
        f"--uncertainty error.tif --reference {name}_truth.{ending} --threads 1"
    )


def write_noisy(name: str, folder: Path) -> None:
    """Write a noisy picture, and its truth, in 8 bits."""
    entry = ENTRIES[name]
    clean = entry.clean()
    noisy = entry.spoil(clean, np.random.default_rng(0))
    for ending, values in ((f".{entry.ending}", noisy), (f"_truth.{entry.ending}", clean)):
        pixels = values.round().clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}{ending}")


def run(name: str, folder: Path) -> tuple[list[Image.Image], Outcome]:
    """Denoise a picture; return four panels, and what came of it."""
    entry = ENTRIES[name]
    write_noisy(name, folder)
    words = [sys.executable, "-m", *command_of(name).split()]
    done = subprocess.run(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    noisy, clean, truth = (
        np.asarray(Image.open(folder / f"{name}{part}.{entry.ending}")).astype(np.float64)
        for part in ("", "_clean", "_truth")
    )
    taken, error = (tifffile.imread(folder / f"{part}.tif") for part in ("taken", "error"))
    within = round(100 * float((np.abs(clean - truth) <= error).mean()))
    printed = "\n".join(
        textwrap.fill(line, 88) for line in done.stdout.splitlines() if line.strip()
    )
    if error.ndim > 2:
        error = np.sqrt(np.square(error).mean(-1))
    panels = (
        255 * (noisy / 255) ** entry.gamma,
        255 * (clean / 255) ** entry.gamma,
        127.5 + taken * (127.5 / (SHOWN * taken.std())),
        error * (255 / np.quantile(error, BRIGHTEST)),
    )
    return [
        Image.fromarray(panel.round().clip(0, 255).astype(np.uint8)).convert("RGB")
        for panel in panels
    ], (printed, within)


def save_panels(panels: list[Image.Image], columns: int, path: Path) -> None:
    """Write panels in rows of so many."""
    step, rows = SIDE + GAP, -(-len(panels) // columns)
    picture = Image.new("RGB", (columns * step - GAP, rows * step - GAP), "white")
    for place, panel in enumerate(panels):
        picture.paste(panel, (place % columns * step, place // columns * step))
    picture.save(path, quality=85, subsampling=0, optimize=True)


def make_page(outcomes: Mapping[str, Outcome]) -> str:
    """Return the page, given what came of the entries, by their names."""
    parts = [HEAD]
    for name, entry in ENTRIES.items():
        printed, within = outcomes[name]
        command = " \\\n    ".join(textwrap.wrap(command_of(name), 84))
        parts.append(
            f"## {entry.title}\n\n{textwrap.fill(entry.about, 110)}\n\n"
            f"![Noisy, denoised, what was taken away, expected error](gallery/{name}.jpg)\n\n"
            f"{textwrap.fill(entry.look, 110)}\n\n"
            f"```text\n$ {command}\n\n"
            f"{printed}\n```\n\n{within} % of the pixels err by less than is expected.\n"
        )
    return "\n".join(parts)


def outcomes_of(page: str) -> dict[str, Outcome]:
    """Read from the page what came of the entries."""
    return {name: (printed, int(within)) for name, printed, within in BLOCK.findall(page)}


def main() -> None:
    """Make the pictures that are named, or all, and write what came of them to the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ENTRIES)}")
    parser.add_argument("--noisy", metavar="FOLDER", type=Path, help="denoise nothing")
    parser.add_argument("--texts", action="store_true", help="denoise nothing")
    asked = parser.parse_args()
    names = asked.names or list(ENTRIES)
    if unknown := set(names) - set(ENTRIES):
        parser.error(f"no entry is named {', '.join(sorted(unknown))}")
    if asked.noisy is not None:
        asked.noisy.mkdir(parents=True, exist_ok=True)
        for name in names:
            write_noisy(name, asked.noisy)
        return
    if asked.texts:
        PAGE.write_text(make_page(outcomes_of(PAGE.read_text("utf-8"))), encoding="utf-8")
        return
    PICTURES.mkdir(exist_ok=True)
    made, outcomes = {}, {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            made[name], outcomes[name] = run(name, Path(folder))
        save_panels(made[name], 2, PICTURES / f"{name}.jpg")
        print(name, *outcomes[name], sep="\n", flush=True)
    if set(README_ENTRIES) <= set(made):
        save_panels([made[name][k] for name in README_ENTRIES for k in (0, 1)], 4, README_PICTURE)
    others = outcomes_of(PAGE.read_text("utf-8")) if asked.names else {}
    PAGE.write_text(make_page(others | outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
