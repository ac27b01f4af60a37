"""Mini-batches that shrink when the GPU's memory is too small for them."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


def in_batches(patches: Tensor, size: int, work: Callable[[Tensor], None]) -> int:
    """Work through patches in mini-batches; one that the GPU cannot hold is done in halves.

    Parameters
    ----------
    patches : Tensor of int64, shape (N,)
        Their numbers.
    size : int
        Patches of a mini-batch.
    work : callable
        Called with the numbers of a mini-batch. If memory runs out before it is done it is
        called again with a part of them.

    Returns
    -------
    int
        The size that fitted, for the next time.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        If there is too little memory for a single patch.
    """
    pending = list(patches.split(size))
    while pending:
        batch = pending.pop(0)
        try:
            work(batch)
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
