"""Denoise the example from Python; writes `denoised.png` into the present folder."""

from pathlib import Path

import numpy as np
from PIL import Image

from evodenoise import DenoiseConfig, denoise
from evodenoise.evaluation.metrics import measure

FOLDER = Path(__file__).parent


def show(report) -> None:
    # A callback that returns True stops the training there.
    print(f"\repoch {report.epoch}/{report.epochs}", end="", flush=True)


noisy = np.asarray(Image.open(FOLDER / "noisy.png"))
clean = np.asarray(Image.open(FOLDER / "clean.png"))

# DenoiseConfig() is what the command line uses; DenoiseConfig(epochs=10) would be quicker.
result = denoise(noisy, DenoiseConfig(), rng=0, on_epoch=show)

before = measure(clean, noisy, data_range=255)
after = measure(clean, result.image, data_range=255)
print(f"\nnoise level {result.noise_std:.1f} gray levels")
print(f"PSNR {before.psnr:.2f} dB before, {after.psnr:.2f} dB after")
Image.fromarray(result.image).save("denoised.png")
