"""What the same groups make of a simpler first estimate: has the autoencoder earned its place?

A Gaussian mixture with full covariances is fitted to the noisy patches of a clean 8-bit image to
which noise was added; the posterior means of its patches are the first estimate, which the groups
of a preset refine as they refine the autoencoder's. Both are told the noise level. Prints the PSNR
of both, before and after the groups.

    python examples/mixture_pilot.py clean.png --sigma 25

The mixture is that of Zoran and Weiss (ICCV 2011), but learned from the noisy image alone, by EM
with the noise as a known part of each covariance (as in Teodoro, Almeida, Figueiredo, ICASSP 2015).
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from evodenoise import denoise
from evodenoise.config.presets import default_patch_size, preset_config
from evodenoise.config.settings import Refinement
from evodenoise.evaluation.benchmark import add_noise
from evodenoise.evaluation.metrics import measure
from evodenoise.nonlocal_models.refinement import refine
from evodenoise.patches.aggregation import merge_patches
from evodenoise.patches.grid import extract_patches

RIDGE = 1e-3
"""Smallest variance of a component, in units of the noise's."""


class Mixture:
    """A mixture of Gaussians for clean patches, seen through white noise.

    Parameters
    ----------
    patches : Tensor, shape (N, D)
        Noisy patches.
    components : int
        K.
    noise_variance : float
        sigma^2.
    generator : torch.Generator
        Source of the first responsibilities.
    """

    def __init__(
        self, patches: Tensor, components: int, noise_variance: float, generator: torch.Generator
    ) -> None:
        self.patches, self.noise_variance = patches, noise_variance
        count = len(patches)
        # Patches are sorted by how much varies in them: components differ from the start.
        order = patches.var(1).argsort()
        self.weights = torch.zeros(count, components)
        owners = torch.arange(count) * components // count
        self.weights[order, owners] = 1.0
        self.weights += 0.1 * torch.rand(self.weights.shape, generator=generator)
        self.weights /= self.weights.sum(1, keepdim=True)
        self.update()

    def update(self) -> None:
        """M-step: shares, means and covariances without noise."""
        x, mass = self.patches, self.weights.sum(0) + 1e-6
        self.shares = mass / mass.sum()
        self.means = self.weights.T @ x / mass[:, None]
        identity = torch.eye(x.shape[1])
        clean = []
        for weight, mean, total in zip(self.weights.T, self.means, mass, strict=True):
            away = x - mean
            scatter = (away * weight[:, None]).T @ away / total
            values, vectors = torch.linalg.eigh(scatter)
            values = (values - self.noise_variance).clamp_min(RIDGE * self.noise_variance)
            clean.append((vectors * values) @ vectors.T)
        self.covariances = torch.stack(clean)
        self.noisy = self.covariances + self.noise_variance * identity

    def infer(self) -> float:
        """E-step: responsibilities (N, K); return the mean log-likelihood, in nats a patch."""
        logs = []
        for share, mean, noisy in zip(self.shares, self.means, self.noisy, strict=True):
            factor = torch.linalg.cholesky(noisy)
            away = torch.linalg.solve_triangular(factor, (self.patches - mean).T, upper=False)
            spread = 2 * factor.diagonal().log().sum() + len(mean) * math.log(2 * math.pi)
            logs.append(share.log() - 0.5 * (away.square().sum(0) + spread))
        joint = torch.stack(logs, 1)
        evidence = joint.logsumexp(1)
        self.weights = (joint - evidence[:, None]).exp()
        return float(evidence.mean())

    def clean_means(self) -> Tensor:
        """Return the posterior means of the clean patches (N, D)."""
        estimate = torch.zeros_like(self.patches)
        parts = zip(self.weights.T, self.means, self.covariances, self.noisy, strict=True)
        for weight, mean, clean, noisy in parts:
            gain = torch.linalg.solve(noisy, clean)
            estimate += weight[:, None] * ((self.patches - mean) @ gain + mean)
        return estimate


def mixture_pilot(
    noisy: Tensor, noise_variance: float, side: int, options: argparse.Namespace
) -> Tensor:
    """Estimate a clean image (Y, X, C) by a mixture."""
    generator = torch.Generator().manual_seed(options.seed)
    patches = extract_patches(noisy, side)
    mixture = Mixture(patches, options.components, noise_variance, generator)
    for _ in range(options.iterations):
        mixture.infer()
        mixture.update()
    mixture.infer()
    return merge_patches(mixture.clean_means(), noisy.shape, side)


def compare(options: argparse.Namespace) -> None:
    """Print four figures: two first estimates, and what the groups make of each."""
    clean = np.asarray(Image.open(options.clean).convert("L")).astype(np.float64)
    noisy = add_noise(clean, options.sigma, seed=options.seed)
    config = replace(preset_config(options.preset, clean.shape), noise_std=options.sigma)
    offset, scale = float(noisy.mean()), float(noisy.std())
    image = torch.from_numpy((noisy - offset) / scale).float()[..., None]
    variance = (options.sigma / scale) ** 2
    side = config.patch_size or default_patch_size(options.sigma / clean.std(), clean.shape)

    def psnr(picture: np.ndarray) -> float:
        return measure(clean, picture.clip(0, 255), data_range=255).psnr

    def in_pixels(estimate: Tensor) -> np.ndarray:
        return estimate[..., 0].double().numpy() * scale + offset

    pilot = mixture_pilot(image, variance, options.patch_size or side, options)
    groups = {"step": config.group_step, "sizes": config.group_sizes}
    refined = refine(image, pilot, variance, config.refinement, **groups)
    alone = denoise(noisy, replace(config, refinement=Refinement.NONE), rng=options.seed)
    whole = denoise(noisy, config, rng=options.seed)
    print(f"{'':12} first estimate   after the groups")
    print(f"{'mixture':12} {psnr(in_pixels(pilot)):11.2f} dB {psnr(in_pixels(refined)):15.2f} dB")
    print(f"{'autoencoder':12} {psnr(alone.image):11.2f} dB {psnr(whole.image):15.2f} dB")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clean", type=Path, help="clean 8-bit image")
    parser.add_argument("--sigma", type=float, default=25.0, help="noise level, gray levels")
    parser.add_argument("--preset", default="balanced", help="whose groups, and which autoencoder")
    parser.add_argument("--components", type=int, default=40, help="Gaussians of the mixture")
    parser.add_argument("--patch-size", type=int, help="of the mixture; by default the preset's")
    parser.add_argument("--iterations", type=int, default=30, help="of EM")
    parser.add_argument("--seed", type=int, default=0, help="of noise and start")
    options = parser.parse_args()
    compare(options)


if __name__ == "__main__":
    main()
