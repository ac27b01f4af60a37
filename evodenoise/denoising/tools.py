"""What a run is given beside the image and its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch

from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.pace import OnEstimate, OnShare, estimate_of
from evodenoise.tvae.training import EpochReport

Array = npt.NDArray[Any]
OnEpoch = Callable[[EpochReport], bool | None]


@dataclass(frozen=True)
class Tools:
    """What all runs on an image share.

    Attributes
    ----------
    generator : torch.Generator
        Source of randomness, on the device that computes.
    model : Checkpoint or None
        Where to start from.
    on_epoch : callable or None
        Called with each `EpochReport`; if it returns True, training stops there.
    on_reconstruction, on_refinement : callable or None
        Called with the share of the reconstruction, or the refinement, that is done.
    on_estimate : callable or None
        Called after each epoch, and after the reconstruction, with a function that estimates the
        values (T, Y, X, C) roughly.
    scale : int
        How many times the size of the image has been halved; what it leads to follows.
    patches : int or None
        How many are to be rebuilt within the time limit; None: those of the images themselves.
    """

    generator: torch.Generator
    model: Checkpoint | None = None
    on_epoch: OnEpoch | None = None
    on_reconstruction: OnShare | None = None
    on_refinement: OnShare | None = None
    patches: int | None = None
    on_estimate: OnEstimate | None = None
    scale: int = 0

    def at_half(
        self, model: Checkpoint | None, enlarge: Callable[[Array], Array] | None = None
    ) -> "Tools":
        """Return what a run at half the size shares with them: only its epochs are told of.

        So are its estimates, if it is said how they are enlarged.
        """
        told = None if enlarge is None else estimate_of(self.on_estimate, enlarge)
        return Tools(self.generator, model, self.on_epoch, on_estimate=told, scale=self.scale + 1)
