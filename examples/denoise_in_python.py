"""Denoise the example from Python; writes `denoised.png` into the present folder."""

from pathlib import Path

import numpy as np
from PIL import Image

from evodenoise import denoise
from evodenoise.evaluation.metrics import measure

FOLDER = Path(__file__).parent


def show(report) -> None:
    # A callback that returns True stops the training there.
    print(f"\repoch {report.epoch}, {report.progress:.0%} of the training", end="", flush=True)


noisy = np.asarray(Image.open(FOLDER / "noisy.png"))
clean = np.asarray(Image.open(FOLDER / "clean.png"))

# Without "fast" it is the preset that the command uses by default, better and slower.
result = denoise(noisy, "fast", rng=0, on_epoch=show)

before = measure(clean, noisy, data_range=255)
after = measure(clean, result.image, data_range=255)
print(f"\nnoise level {result.noise_std:.1f} gray levels")
print(f"PSNR {before.psnr:.2f} dB before, {after.psnr:.2f} dB after")
Image.fromarray(result.image).save("denoised.png")
