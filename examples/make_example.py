"""Make `clean.png` and `noisy.png` from a photograph that comes with scikit-image."""

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

FOLDER = Path(__file__).parent
CROP = (130, 0, 450, 320)  # left, upper, right, lower: the cup and the spoon
NOISE_STD = 25.0  # in gray levels, of 255
SEED = 0


def main() -> None:
    photograph = Image.fromarray(data.coffee()).convert("L")
    # Averaging 2 x 2 pixels leaves hardly anything of the camera's own noise.
    clean = photograph.crop(CROP).reduce(2)
    pixels = np.asarray(clean, dtype=np.float64)
    noise = np.random.default_rng(SEED).normal(0.0, NOISE_STD, pixels.shape)
    noisy = Image.fromarray((pixels + noise).round().clip(0, 255).astype(np.uint8))
    for image, name in ((clean, "clean.png"), (noisy, "noisy.png")):
        image.save(FOLDER / name, optimize=True)
        print(f"{FOLDER / name}: {image.width} x {image.height} pixels")


if __name__ == "__main__":
    main()
