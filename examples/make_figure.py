"""Draw `figure.png`: noisy, denoised and reference side by side."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from evodenoise import denoise
from evodenoise.evaluation.metrics import measure

FOLDER = Path(__file__).parent
ZOOM = 2  # screen pixels for one of the image
MARGIN = 16
CAPTION = 34
WHITE, BLACK = 255, 0


def main() -> None:
    noisy = np.asarray(Image.open(FOLDER / "noisy.png"))
    clean = np.asarray(Image.open(FOLDER / "clean.png"))
    denoised = denoise(noisy, rng=0).image
    figure = draw(
        {
            f"noisy, {decibels(clean, noisy)}": noisy,
            f"evodenoise, {decibels(clean, denoised)}": denoised,
            "reference": clean,
        }
    )
    figure.save(FOLDER / "figure.png", optimize=True)
    print(f"{FOLDER / 'figure.png'}: {figure.width} x {figure.height} pixels")


def decibels(clean: np.ndarray, image: np.ndarray) -> str:
    return f"{measure(clean, image, data_range=255).psnr:.1f} dB"


def draw(panels: dict[str, np.ndarray]) -> Image.Image:
    """Put gray images of one size in a row, each over its caption."""
    height, width = (ZOOM * side for side in next(iter(panels.values())).shape)
    step = width + MARGIN
    figure = Image.new("L", (len(panels) * step + MARGIN, MARGIN + height + CAPTION), WHITE)
    pen = ImageDraw.Draw(figure)
    font = ImageFont.load_default(18)
    for column, (caption, pixels) in enumerate(panels.items()):
        left = MARGIN + column * step
        # Nearest neighbour: every pixel of the image stays to be seen as it is.
        panel = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        figure.paste(panel, (left, MARGIN))
        middle = (left + width // 2, MARGIN + height + CAPTION // 2)
        pen.text(middle, caption, fill=BLACK, font=font, anchor="mm")
    return figure


if __name__ == "__main__":
    main()
