"""PSNR over CPU seconds: the method as published against a preset.

Prints two tables for one clean 8-bit image. `paper` runs once, and its picture is
measured after some of its epochs (its learning rate does not depend on how long it will go on);
the preset is annealed to its end, so it runs once for every budget.

    python examples/convergence.py clean.png --sigma 25 --epochs 1,2,5,10,20 --budgets 6,12,24,45
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
from evodenoise.evaluation.benchmark import add_noise
from evodenoise.evaluation.metrics import measure
from evodenoise.patches.aggregation import merge_patches
from evodenoise.patches.grid import extract_patches
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.reconstruction import Reconstructor, collect_codebook
from evodenoise.tvae.states import initial_states
from evodenoise.tvae.training import fit


def follow_paper(clean: np.ndarray, noisy: np.ndarray, epochs: list[int]) -> None:
    """Train the preset `paper` and print the PSNR after some epochs."""
    config = replace(preset_config("paper", clean.shape), epochs=max(epochs))
    offset, scale = float(noisy.mean()), float(noisy.std())
    image = torch.from_numpy((noisy - offset) / scale)[..., None]
    patches = CompletePatches(extract_patches(image, 8))
    generator = torch.Generator().manual_seed(0)
    start = {"active": config.initial_active, "generator": generator}
    model = BinaryLatentVAE(config.latents, config.hidden, patches.values.shape[1], **start)
    states = initial_states(len(patches), config.states, config.latents, **start)
    cpu, watch = 0.0, time.process_time()
    for report in fit(patches, model, states, config, generator=generator):
        cpu += time.process_time() - watch
        if report.epoch in epochs:
            other = torch.Generator().manual_seed(1)
            again = {"active": config.initial_active, "generator": other}
            codes = collect_codebook(states.states[:, 0], config.states, config.latents, **again)
            rebuild = Reconstructor.of(model, states, config, codebook=codes, generator=other)
            known = torch.arange(len(patches)).split(config.batch_size)
            means = torch.cat([rebuild(patches[part], part).mean for part in known])
            picture = merge_patches(means, image.shape, 8)[..., 0].numpy() * scale + offset
            psnr = measure(clean, picture.clip(0, 255), data_range=255).psnr
            print(f"paper, epoch {report.epoch:>3}: {psnr:6.2f} dB {cpu:8.1f} CPU s", flush=True)
        watch = time.process_time()


def follow_preset(clean: np.ndarray, noisy: np.ndarray, name: str, budgets: list[int]) -> None:
    """Run a preset for several budgets and print the PSNR of each."""
    for budget in budgets:
        watch = time.process_time()
        config = replace(preset_config(name, clean.shape), epochs=budget)
        picture = denoise(noisy, config, rng=0).image
        cpu = time.process_time() - watch
        psnr = measure(clean, picture.clip(0, 255), data_range=255).psnr
        print(f"{name}, {budget:>3} epochs: {psnr:6.2f} dB {cpu:8.1f} CPU s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clean", type=Path)
    parser.add_argument("--sigma", type=float, default=25.0)
    parser.add_argument("--epochs", default="1,2,5,10,20", help="of paper")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--budgets", default="6,12,24,45", help="epochs of the preset")
    args = parser.parse_args()
    torch.set_num_threads(1)
    clean = np.asarray(Image.open(args.clean).convert("L"))
    noisy = add_noise(clean, args.sigma, seed=0)
    follow_preset(clean, noisy, args.preset, [int(n) for n in args.budgets.split(",")])
    follow_paper(clean, noisy, [int(n) for n in args.epochs.split(",")])


if __name__ == "__main__":
    main()
