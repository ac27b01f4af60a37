"""Make the pictures of what evodenoise draws: `docs/report.jpg` and `docs/comparison.jpg`.

    python docs/make_screenshots.py

Needs Chromium. Two pictures of the gallery are denoised quickly, with a page and figures.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from make_gallery import DOCS, ENTRIES, write_noisy
from PIL import Image

sys.path.insert(0, str(DOCS.parent / "tests"))
from browser import Browser

SHOWN = ("cells", "iso")
WIDTH, HEIGHT = 1200, 1100
"""Of the page, in pixels."""

MOST_WIDE = 1600
"""Pixels of the figure."""

COMMAND = (
    "evodenoise shots/ -o cleaned/ --reference truths/ --report cleaned.html --figure figures/ "
    "--preset fast --threads 1"
)


def main() -> None:
    """Denoise, look, and keep what was seen."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for folder in ("shots", "truths", "browser"):
            (home / folder).mkdir()
        for entry in SHOWN:
            write_noisy(entry, home / "shots")
            ending = ENTRIES[entry].ending
            truth = home / f"shots/{entry}_truth.{ending}"
            truth.rename(home / f"truths/{entry}.{ending}")
        subprocess.run([sys.executable, "-m", *COMMAND.split()], cwd=home, check=True)
        with Browser(home / "browser") as browser:
            browser.open(home / "cleaned.html")
            browser.look(home / "page.png", width=WIDTH, height=HEIGHT, dark=False)
        _keep(home / "page.png", DOCS / "report.jpg")
        _keep(home / "figures/iso.png", DOCS / "comparison.jpg", MOST_WIDE)


def _keep(source: Path, target: Path, width: int = WIDTH) -> None:
    with Image.open(source) as picture:
        small = picture.convert("RGB")
    small.thumbnail((width, small.height), Image.Resampling.LANCZOS)
    small.save(target, quality=85, optimize=True)


if __name__ == "__main__":
    main()
