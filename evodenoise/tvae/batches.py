"""Mini-batches: side by side on a CPU, smaller where a GPU's memory demands it."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from evodenoise.system.threads import available_threads, in_turns

Result = TypeVar("Result")

MOST_WORKERS = 3
"""Mini-batches at a time: what is done in turns, gradient steps above all, is a third of it."""

CACHED_STATES = 4096
"""States that a CPU decodes at once: their hidden activations take a few MiB of its cache."""

GPU_STATES = 2**20
"""States that a GPU decodes at once: a GiB or so of activations and coefficients."""

GPU_BATCHES = 4
"""Mini-batches of the training that a GPU does as one: it waits for the host otherwise."""

GPU_REBUILT_BATCHES = 16
"""The same of patches that are rebuilt, when no gradient step waits for them."""

logger = logging.getLogger(__name__)


def states_at_once(device: torch.device) -> int:
    """Choose how many states are decoded at once."""
    return CACHED_STATES if device.type == "cpu" else GPU_STATES


def choose_batch_size(size: int, device: torch.device, *, training: bool) -> int:
    """Choose the patches of a mini-batch: `size` on a CPU, more on a GPU."""
    if device.type == "cpu":
        return size
    return size * (GPU_BATCHES if training else GPU_REBUILT_BATCHES)


def choose_workers(device: torch.device) -> int:
    """Choose how many mini-batches are worked on at a time."""
    return min(available_threads(device), MOST_WORKERS)


def in_batches(
    patches: Tensor,
    size: int,
    begin: Callable[[Tensor], Callable[[], Result]],
    finish: Callable[[Tensor, Result], None],
    *,
    workers: int = 1,
) -> int:
    """Work through patches in mini-batches.

    One that the GPU cannot hold is done in halves. On a CPU several can be worked on at a time.

    Parameters
    ----------
    patches : Tensor of int64, shape (N,)
        Their numbers.
    size : int
        Patches of a mini-batch.
    begin : callable
        Takes the numbers of a mini-batch and returns what makes its result, without side
        effects: with several workers that happens while earlier mini-batches are finished.
    finish : callable
        Called with the numbers and the result of each mini-batch, in their order. If memory
        runs out before it is done both are called again with a part of them.
    workers : int
        Mini-batches that are worked on at a time; 1 on a GPU.

    Returns
    -------
    int
        The size that fitted, for the next time.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        If there is too little memory for a single patch.
    """
    if workers > 1:
        batches = patches.split(size)
        left = iter(batches)
        in_turns(map(begin, batches), lambda made: finish(next(left), made), workers=workers)
        return size
    pending = list(patches.split(size))
    while pending:
        batch = pending.pop(0)
        try:
            finish(batch, begin(batch)())
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
            size = len(batch) // 2
            logger.warning(
                "warning: the GPU is out of memory; going on with mini-batches of %d patches", size
            )
            torch.cuda.empty_cache()
            pending = list(torch.cat([batch, *pending]).split(size))
    return size
