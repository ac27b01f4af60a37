"""Denoise an image most of whose pixels may be missing, and measure PSNR.

Adds noise to a clean 8-bit gray image and drops a share of its pixels at random.

    python examples/missing_pixels.py clean.png --share 0.5 --sigma 25
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from evodenoise import denoise
from evodenoise.config.presets import preset_config
from evodenoise.config.settings import Refinement
from evodenoise.evaluation.benchmark import add_noise
from evodenoise.evaluation.metrics import measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clean", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of pixels that are missing")
    parser.add_argument("--sigma", type=float, default=25.0)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--refine", default="full")
    args = parser.parse_args()
    torch.set_num_threads(1)
    clean = np.asarray(Image.open(args.clean).convert("L"))
    noisy = add_noise(clean, args.sigma, seed=0)
    noisy[np.random.default_rng(1).random(clean.shape) < args.share] = np.nan
    config = preset_config(args.preset, clean.shape)
    watch = time.process_time()
    result = denoise(noisy, replace(config, refinement=Refinement(args.refine)), rng=0)
    cpu = time.process_time() - watch
    psnr = measure(clean, result.image.clip(0, 255), data_range=255).psnr
    print(f"{psnr:.2f} dB, noise level {result.noise_std:.2f}, {cpu:.0f} CPU s")


if __name__ == "__main__":
    main()
