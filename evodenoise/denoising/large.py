"""Large images: a model learns from windows of them, and denoises them tile by tile.

Training takes as long as for any other image, and memory holds one tile at a time.

Dimensions: T pages, Y, X height and width, C channels.
"""

import math
import time
from dataclasses import replace
from functools import partial

import numpy as np

from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.arrays import Array, Mask, is_clipped, take_apart, with_channels
from evodenoise.denoising.channels import ChannelPlan, DistinctChannels
from evodenoise.denoising.cleaning import Learned
from evodenoise.denoising.low_counts import learn_few_counts
from evodenoise.denoising.noise_level import known_noise
from evodenoise.denoising.pace import OnEstimate
from evodenoise.denoising.preparing import check_level
from evodenoise.denoising.recipe import DenoisedTile, Recipe
from evodenoise.denoising.result import DenoiseResult, finite_mean, why_stopped
from evodenoise.denoising.tile_queue import MapTiles, TileQueue, side_by_side
from evodenoise.denoising.tiles import cut_windows
from evodenoise.denoising.tools import Tools
from evodenoise.noise.record import NoiseEstimate
from evodenoise.system.scratch import forget, scratch_array


def denoise_large(
    noisy: Array,
    missing: Mask | None,
    config: DenoiseConfig,
    noise: NoiseEstimate | None,
    tools: Tools,
    map_tiles: MapTiles = side_by_side,
) -> DenoiseResult | None:
    """Denoise a stack of pages in tiles.

    Parameters
    ----------
    noisy : ndarray, shape (T, Y, X) or (T, Y, X, C)
        The stack; it may be larger than the memory.
    missing : ndarray of bool, shape (T, Y, X), optional
        Missing pixels, beside nan.
    config : DenoiseConfig
        Settings.
    noise : NoiseEstimate, optional
        What is known of the noise.
    tools : Tools
        Randomness, a model to start from, and whom to tell.
    map_tiles : callable, optional
        Denoises the tiles; by default here, as many side by side as there are threads.

    Returns
    -------
    DenoiseResult or None
        None: too little varies in it to learn from a part; it has to be denoised as a whole.

    Raises
    ------
    ImageError, ConfigError, TrainingError
        As in `evodenoise.denoise`.
    """
    started = time.perf_counter()
    pages = with_channels(noisy)
    plan = ChannelPlan.of(pages, missing)
    windows, gaps = cut_windows(pages, missing)
    sample, impulses = take_apart(windows, gaps, config, plan)
    if not plan.kept or _tells_nothing(sample):
        return None
    known = known_noise(sample, config, noise)
    quiet = not known.level and config.noise_std is None
    if quiet and not plan.has_gaps and not impulses.any():
        return None
    learned = _learn(sample, config, known, tools, math.prod(pages.shape[:3]))
    recipe = Recipe.of(learned.model, plan, config, known, tools.generator)
    trained = time.perf_counter()
    deadline = None if config.time_limit is None else started + config.time_limit
    queue = TileQueue(
        recipe, noisy, missing, deadline, (tools.on_reconstruction, tools.on_refinement)
    )
    image, std, tiles = _denoise_tiles(queue, map_tiles, tools.on_estimate)
    rebuilding = time.perf_counter() - trained
    refining = _refinement_seconds(tiles, rebuilding)
    bounds = [tile.free_energy for tile in tiles if math.isfinite(tile.free_energy)]
    return DenoiseResult(
        image=image,
        std=std,
        noise_std=learned.noise_std or max(tile.noise_std for tile in tiles),
        noise_estimate=known,
        free_energy=float(np.mean(bounds)) if bounds else math.nan,
        structured=finite_mean([tile.structured for tile in tiles]),
        history=learned.history,
        stop_reason=why_stopped(learned.history, learned=True),
        patch_size=recipe.model.patch_size,
        device=str(tools.generator.device),
        impulses=sum(tile.impulses for tile in tiles),
        clipped=is_clipped(sample, known, known.level),
        model=recipe.model,
        training_seconds=trained - started,
        reconstruction_seconds=rebuilding - refining,
        refinement_seconds=refining,
    )


def _learn(
    sample: DistinctChannels,
    config: DenoiseConfig,
    noise: NoiseEstimate,
    tools: Tools,
    pixels: int,
) -> Learned:
    """Train a model, unless one was brought that is good as it is."""
    if tools.model is None or config.epochs:
        # What is left of a time limit must do for all patches of the image.
        rebuilt = round(pixels * config.rebuilt_share)
        # Of the windows that it learns from nobody wants to see an estimate.
        own = replace(tools, patches=rebuilt, on_estimate=None)
        return learn_few_counts(sample, config, noise, own)
    tools.model.check_fits(sample.values.shape[-1], sample.values.shape[1:3])
    tools.model.check_noise(config)
    if config.noise_std is not None:
        check_level(config.noise_std, sample.values[~sample.missing], tools.model.scaling)
    return Learned(tools.model, 0.0, ())


def _denoise_tiles(
    queue: TileQueue, map_tiles: MapTiles, on_estimate: OnEstimate | None
) -> tuple[Array, Array, list[DenoisedTile]]:
    """Denoise tile by tile: the image, its deviation, and what is known of the tiles."""
    noisy, done = queue.noisy, dict[int, DenoisedTile]()
    image, std = scratch_array(noisy.shape, noisy.dtype), scratch_array(noisy.shape, np.float32)
    for number, found in map_tiles(queue):
        place = queue.tiles[number].place
        image[place], std[place] = found.image, found.std
        done[number] = found.figures()
        for each in (noisy, image, std):
            forget(each)
        queue.finish(number)
        if on_estimate is not None:
            on_estimate(partial(_look, queue, image, [*done]))
    return image, std, [done[number] for number in range(len(queue.tiles))]


def _look(queue: TileQueue, image: Array, done: list[int]) -> Array:
    """Return the noisy image with the tiles that are done in their places."""
    seen = np.array(queue.noisy)
    for number in done:
        place = queue.tiles[number].place
        seen[place] = image[place]
    return seen


def _refinement_seconds(tiles: list[DenoisedTile], seconds: float) -> float:
    """Sum up how long tiles took to refine; of several at once, their share of the time in all."""
    refining = sum(tile.refinement_seconds for tile in tiles)
    busy = refining + sum(tile.reconstruction_seconds for tile in tiles)
    return refining * seconds / busy if busy > seconds else refining


def _tells_nothing(sample: DistinctChannels) -> bool:
    """Tell whether a channel of the windows is constant, or all of them are missing."""
    seen = sample.values[~sample.missing]
    return not len(seen) or bool((np.ptp(seen, 0) == 0).any())
