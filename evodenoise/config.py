"""Every setting of a run: immutable, validated on construction, free of torch.

A default stands beside its unit or its reason. ``DenoiseConfig()`` is what
``evodenoise noisy.png`` uses.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from evodenoise.errors import ConfigError

MINIMUM_PATCH_SIZE = 4
"""Pixels; below this a patch holds too little to tell structure from noise."""

MAXIMUM_LATENTS = 32_766
"""States are stored as 16-bit indices, one of which marks an empty place."""


class ParentSelection(StrEnum):
    """How parents are drawn from the variational states of a patch."""

    FITNESS = "fitness"
    UNIFORM = "uniform"


class Mutation(StrEnum):
    """How an offspring differs from its parent."""

    UNIFORM = "uniform"
    SPARSE = "sparse"
    NONE = "none"


class Schedule(StrEnum):
    """How the learning rate changes over the epochs."""

    CYCLIC = "cyclic"
    ANNEALED = "annealed"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """The evolutionary E-step.

    Attributes
    ----------
    selection : ParentSelection
        How parents are drawn; in both cases without replacement.
    mutation : Mutation
        Which bits of a parent are flipped.
    crossover : bool
        Whether each offspring is first crossed with another parent at one point.
    parents : int
        Parents a patch and generation; capped at the number of states.
    offspring : int
        Offspring a parent.
    generations : int
        Rounds of an E-step; from the second on, parents come from the last offspring.
    mean_flips : float
        Bits that sparsity-driven mutation flips in an offspring, on average.
    """

    selection: ParentSelection = ParentSelection.FITNESS
    mutation: Mutation = Mutation.UNIFORM
    crossover: bool = False
    parents: int = 5
    offspring: int = 4
    generations: int = 1
    mean_flips: float = 1.5

    def __post_init__(self) -> None:
        for name in ("parents", "offspring", "generations"):
            value = getattr(self, name)
            _require(value >= 1, f"evolution.{name} is {value}; it must be at least 1")
        _require(
            self.mean_flips > 0,
            f"evolution.mean_flips is {self.mean_flips}; it must be positive",
        )
        _require(
            self.crossover or self.mutation is not Mutation.NONE,
            "evolution: without crossover and mutation no state could change; choose one",
        )


@dataclass(frozen=True, kw_only=True)
class LearningRateConfig:
    """The learning rate of Adam, over the epochs.

    Attributes
    ----------
    schedule : Schedule
        ``annealed``: linear warm-up, then a cosine down to `minimum`;
        ``cyclic``: a triangle between `minimum` and `maximum`.
    maximum, minimum : float
        Bounds of the rate, for patches scaled to unit variance.
    warm_up : float
        Epochs from `minimum` to `maximum` (annealed).
    period : float
        Epochs of one triangle (cyclic).
    """

    schedule: Schedule = Schedule.ANNEALED
    maximum: float = 4e-3
    minimum: float = 8e-5
    warm_up: float = 2.0
    period: float = 20.0

    def __post_init__(self) -> None:
        _require(
            0 < self.minimum <= self.maximum,
            f"learning rate runs from {self.minimum} to {self.maximum}; "
            "it needs 0 < minimum <= maximum",
        )
        _require(self.warm_up >= 0, f"warm_up is {self.warm_up} epochs; it cannot be negative")
        _require(self.period > 0, f"period is {self.period} epochs; it must be positive")


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig:
    """Everything that decides how one image is denoised.

    Attributes
    ----------
    patch_size : int or None
        Side of a square patch in pixels; None: 8, or less for a smaller image.
    latents : int
        Binary latents H.
    hidden : tuple of int
        Widths of the decoder's hidden layers.
    states : int
        Variational states S a patch; at most 2^H.
    epochs : int
        Passes over the patches.
    batch_size : int
        Patches of one mini-batch.
    initial_active : float
        Ones that a state starts with, on average.
    evolution : EvolutionConfig
        The E-step.
    learning_rate : LearningRateConfig
        The decoder's part of the M-step.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    patch_size: int | None = None
    latents: int = 256
    hidden: tuple[int, ...] = (128,)
    states: int = 16
    epochs: int = 30
    batch_size: int = 512
    initial_active: float = 2.0
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)
    learning_rate: LearningRateConfig = field(default_factory=LearningRateConfig)
    device: str = "auto"

    def __post_init__(self) -> None:
        _require(
            self.patch_size is None or self.patch_size >= MINIMUM_PATCH_SIZE,
            f"patch size is {self.patch_size}; it must be at least {MINIMUM_PATCH_SIZE} pixels",
        )
        _require(
            1 <= self.latents <= MAXIMUM_LATENTS,
            f"latents is {self.latents}; it must be between 1 and {MAXIMUM_LATENTS}",
        )
        _require(
            len(self.hidden) > 0 and all(width >= 1 for width in self.hidden),
            f"hidden is {self.hidden}; it needs one or more widths of at least 1",
        )
        for name in ("states", "epochs", "batch_size"):
            value = getattr(self, name)
            _require(value >= 1, f"{name} is {value}; it must be at least 1")
        _require(
            self.latents >= 31 or self.states <= 2**self.latents,
            f"states is {self.states}, but {self.latents} latents have only "
            f"{2**self.latents} distinct states; lower states or raise latents",
        )
        _require(
            self.initial_active > 0,
            f"initial_active is {self.initial_active}; it must be positive",
        )
