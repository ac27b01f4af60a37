"""Learn the weights by which estimates of one picture are mixed, from pictures of scikit-image.

Noise is added to clean pictures, these are denoised, and for each kind of refinement the weights
are found that bring the mixed picture nearest to the clean one: least squares, in which each
picture at each noise level counts by its own error. Prints the gain in dB over the estimate that
mixing starts from, of pictures that the weights were not learned from: all pictures but one teach,
that one is measured, in turn. With `--write` the weights of all pictures go to the package.

    python examples/learn_mixing.py --write

takes half an hour of one core. Pictures are gray, halved in size, for most are blurred, and cut.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import skimage.data
import torch
from skimage.color import rgb2gray
from torch import Tensor

from evodenoise import denoise
from evodenoise.config.presets import preset_config
from evodenoise.config.settings import Refinement
from evodenoise.evaluation.benchmark import add_noise
from evodenoise.nonlocal_models import refinement as refining
from evodenoise.nonlocal_models.mixing import ACTIVITIES, DISAGREEMENTS, WEIGHTS_FILE, Estimates

PICTURES = "astronaut,brick,camera,chelsea,coffee,coins,grass,immunohistochemistry,rocket"

RIDGE = 1e-4
"""Added to the diagonal, in units of its mean."""

RUNS = {
    "fast": {Refinement.GAUSSIAN: None},
    "balanced": {Refinement.QUICK: 4, Refinement.FULL: 3},
}
"""Which estimates are learned from which preset's first one, and the step of their groups."""


@dataclass(frozen=True, eq=False)
class Cell:
    """Least squares of one picture at one level, its terms in units of its error.

    Attributes
    ----------
    terms : Tensor, shape (Y * X, K * (A + B))
        Each term, times the share of each node.
    wanted : Tensor, shape (Y * X,)
        What is missing in the base.
    squares : Tensor, shape (K * (A + B), K * (A + B))
        Products of terms.
    correlations : Tensor, shape (K * (A + B),)
        Of terms with what is wanted.
    """

    terms: Tensor
    wanted: Tensor
    squares: Tensor
    correlations: Tensor

    @classmethod
    def of(cls, estimates: Estimates, clean: Tensor) -> "Cell":
        """Prepare what is to be solved, of estimates and the clean picture (Y, X)."""
        wanted = clean - estimates.base
        places = zip(estimates.places(), (ACTIVITIES[2], DISAGREEMENTS[2]), strict=True)
        shares = torch.cat([place.shares(count) for place, count in places])
        terms = torch.cat([shares * term for term in estimates.terms()])
        scale = wanted.square().sum().sqrt()
        terms, wanted = terms.flatten(1).T / scale, wanted.flatten() / scale
        return cls(terms, wanted, (terms.T @ terms).double(), (terms.T @ wanted).double())

    def gain(self, weights: Tensor) -> float:
        """Return what the weights gain, in dB."""
        left = self.wanted - self.terms @ weights.flatten().float()
        return -10 * math.log10(float(left.square().sum()))


def picture(name: str, side: int) -> np.ndarray:
    """Load a picture in gray levels, half as large, (Y, X)."""
    image = np.asarray(getattr(skimage.data, name)())
    if image.ndim == 3:
        image = rgb2gray(image) * 255
    height, width = (length // 2 * 2 for length in image.shape)
    image = image[:height, :width].astype(np.float64)
    halved = (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4
    return halved[:side, :side]


def estimates_of(
    noisy: np.ndarray, preset: str, epochs: int | None
) -> Iterator[tuple[Refinement, Estimates]]:
    """Denoise an image and yield what each refinement of the first estimate would mix."""
    found: list[tuple[Refinement, Estimates]] = []

    def remember(estimates: Estimates, refinement: Refinement) -> Tensor:
        found.append((refinement, estimates))
        return estimates.base

    def refine_in_each_way(
        noisy: Tensor, pilot: Tensor, variance: float, _: Refinement, **others: Any
    ) -> Tensor:
        for refinement, step in RUNS[preset].items():
            real(
                noisy,
                pilot,
                variance,
                refinement,
                **(others if step is None else {**others, "step": step}),
            )
        return pilot

    real: Callable[..., Tensor] = refining.refine
    config = preset_config(preset, noisy.shape)
    if epochs is not None:
        config = replace(config, epochs=epochs)
    with (
        mock.patch("evodenoise.denoising.denoiser.refine", refine_in_each_way),
        mock.patch.object(refining, "mix", remember),
    ):
        denoise(noisy, config, rng=0)
    yield from found


def as_estimated(clean: np.ndarray, noisy: np.ndarray, scaled: Tensor) -> Tensor:
    """Take a clean picture to the scale of the estimates, as the noisy one was taken there."""
    scale, offset = np.polyfit(noisy.ravel(), scaled.double().numpy().ravel(), 1)
    return torch.from_numpy(clean * scale + offset).float()


def solve(cells: list[Cell]) -> Tensor:
    """Find the weights (K, A + B) that are best for some cells together."""
    products = torch.stack([cell.squares for cell in cells]).sum(0)
    wanted = torch.stack([cell.correlations for cell in cells]).sum(0)
    ridge = RIDGE * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)
    return torch.linalg.solve(products + ridge, wanted).reshape(
        -1, ACTIVITIES[2] + DISAGREEMENTS[2]
    )


def report(cells: dict[tuple[str, float], Cell], refinement: Refinement) -> None:
    """Print what each picture gains by what the others teach."""
    gains = {}
    for (name, level), cell in cells.items():
        others = [other for (whose, _), other in cells.items() if whose != name]
        gains[name, level] = cell.gain(solve(others)) if others else math.nan
    mean, least = float(np.mean(list(gains.values()))), min(gains.values())
    print(f"{refinement.value}: {mean:+.3f} dB in the mean, {least:+.3f} at least")
    for name in dict.fromkeys(name for name, _ in gains):
        own = " ".join(f"{gain:+.2f}" for (whose, _), gain in gains.items() if whose == name)
        print(f"  {name:21} {own}", flush=True)


def main() -> None:
    """Read the command line, learn, report and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", default=PICTURES, help="of scikit-image")
    parser.add_argument("--levels", default="8,15,25,50,80", help="of the noise, gray levels")
    parser.add_argument("--side", type=int, default=256, help="longest side, pixels")
    parser.add_argument("--epochs", type=int, help="of training, others than the preset's")
    parser.add_argument("--write", action="store_true", help=f"to {WEIGHTS_FILE.name}")
    options = parser.parse_args()
    cells: dict[Refinement, dict[tuple[str, float], Cell]] = {}
    for name in options.pictures.split(","):
        clean = picture(name, options.side)
        for level in map(float, options.levels.split(",")):
            started = time.process_time()
            noisy = add_noise(clean, level, seed=0)
            for preset in RUNS:
                for refinement, estimates in estimates_of(noisy, preset, options.epochs):
                    truth = as_estimated(clean, noisy, estimates.noisy)
                    cells.setdefault(refinement, {})[name, level] = Cell.of(estimates, truth)
            print(f"{name} {level:g}: {time.process_time() - started:.0f} s", flush=True)
    weights: dict[str, list[list[float]]] = {}
    for refinement, own in cells.items():
        report(own, refinement)
        found = solve(list(own.values())).tolist()
        weights[refinement.value] = [[round(weight, 3) for weight in row] for row in found]
    if options.write:
        WEIGHTS_FILE.write_text(json.dumps(weights) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
