"""Stacks of pages: each page denoised by a model of its own."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising import denoise as pipeline
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.checks import as_mask
from evodenoise.denoising.pace import OnEstimate, OnShare
from evodenoise.denoising.result import Array, DenoiseResult, finite_mean
from evodenoise.denoising.tile_queue import MapTiles, side_by_side
from evodenoise.denoising.tools import OnEpoch
from evodenoise.noise.record import NoiseEstimate


def denoise_pages(
    pages: Array,
    config: DenoiseConfig,
    *,
    missing: npt.ArrayLike | None = None,
    noise: NoiseEstimate | None = None,
    model: Checkpoint | None = None,
    rng: int = 0,
    on_page: Callable[[int], object] | None = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnShare | None = None,
    on_refinement: OnShare | None = None,
    on_estimate: OnEstimate | None = None,
    map_tiles: MapTiles = side_by_side,
) -> DenoiseResult:
    """Denoise the pages of a stack one after the other.

    Parameters
    ----------
    pages : ndarray, shape (T, Y, X) or (T, Y, X, C)
        The stack.
    config : DenoiseConfig
        Settings of each page, but for the time limit, which holds for all together.
    missing : array-like, shape (T, Y, X), optional
        Missing pixels: those that are not zero.
    noise : NoiseEstimate, optional
        What is known of the noise of each page.
    model : Checkpoint, optional
        As in `evodenoise.denoise`, for each page.
    rng : int
        Seed of each page.
    on_page : callable, optional
        Called with the number of each page, from 1, before it is denoised.
    on_epoch, on_reconstruction, on_refinement, on_estimate, map_tiles : callable, optional
        As in `evodenoise.denoise`.

    Returns
    -------
    DenoiseResult
        Of the stack. The noise level is the root mean square over all pages, the free energy the
        mean over those that were trained on; what is known of the noise is that of a doubtful page,
        if there is one, and else of the noisiest; `model` is None, for each page has its own, and
        `patch_size` is that of all trained pages, or None where they differ.
    """
    deadline = None if config.time_limit is None else time.perf_counter() + config.time_limit
    gaps = as_mask(missing, pages.shape[:3])
    results = []
    for place, page in enumerate(pages):
        if on_page is not None:
            on_page(place + 1)
        results.append(
            pipeline.denoise(
                page,
                _with_share(config, deadline, len(pages) - place),
                missing=None if gaps is None else gaps[place],
                noise=noise,
                model=model,
                rng=rng,
                on_epoch=on_epoch,
                on_reconstruction=on_reconstruction,
                on_refinement=on_refinement,
                on_estimate=on_estimate,
                map_tiles=map_tiles,
            )
        )
    return _together(results)


def _with_share(config: DenoiseConfig, deadline: float | None, pages_left: int) -> DenoiseConfig:
    """Give a page its share of the time that is left."""
    if deadline is None:
        return config
    return replace(config, time_limit=max((deadline - time.perf_counter()) / pages_left, 0.01))


def _together(results: Sequence[DenoiseResult]) -> DenoiseResult:
    """Make one result of those of the pages."""
    estimates = [result.noise_estimate for result in results]
    doubtful = [estimate for estimate in estimates if not estimate.consistent]
    bounds = [result.free_energy for result in results if not math.isnan(result.free_energy)]
    sides = {result.patch_size for result in results if result.patch_size is not None}
    return replace(
        results[-1],
        image=np.stack([result.image for result in results]),
        std=np.stack([result.std for result in results]),
        noise_std=math.sqrt(np.mean([result.noise_std**2 for result in results])),
        noise_estimate=max(doubtful or estimates, key=lambda estimate: estimate.std),
        free_energy=float(np.mean(bounds)) if bounds else math.nan,
        structured=finite_mean([result.structured for result in results]),
        history=tuple(report for result in results for report in result.history),
        patch_size=sides.pop() if len(sides) == 1 else None,
        clipped=any(result.clipped for result in results),
        impulses=sum(result.impulses for result in results),
        model=None,
        training_seconds=sum(result.training_seconds for result in results),
        reconstruction_seconds=sum(result.reconstruction_seconds for result in results),
        refinement_seconds=sum(result.refinement_seconds for result in results),
    )
