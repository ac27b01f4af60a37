"""Every setting of a run: immutable, validated on construction, free of torch.

A default stands beside its unit or its reason. ``DenoiseConfig()`` is the preset
``balanced`` for an image of 256 x 256 pixels; `evodenoise.config.presets` has the others.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from evodenoise.config.demands import (
    coerce_choices,
    demand_number,
    demand_positive,
    demand_whole,
)
from evodenoise.errors import ConfigError

MINIMUM_PATCH_SIZE = 4
"""Pixels; below this a patch holds too little to tell structure from noise."""

MAXIMUM_LATENTS = 32_766
"""States are stored as 16-bit indices, one of which marks an empty place."""

MAXIMUM_WIDTH = 2**20
"""Of a hidden layer; beyond it no machine has the memory."""


DEVICES = ("auto", "cpu", "cuda", "mps")
"""Where to compute; of several GPUs, cuda:N is one."""

MOST_OFFSET = 1e30
"""Pixel units; no black level is so far from 0, and its square can be computed."""


class Mutation(StrEnum):
    """How an offspring differs from its parent."""

    SPARSE = "sparse"
    GUIDED = "guided"


class Schedule(StrEnum):
    """How the learning rate changes over the epochs."""

    CYCLIC = "cyclic"
    ANNEALED = "annealed"


class Covariance(StrEnum):
    """What the decoder says about a patch beside its mean."""

    NONE = "none"
    DCT = "dct"


class Impulses(StrEnum):
    """What becomes of dead and hot pixels, cosmic rays, salt and pepper."""

    AUTO = "auto"
    OFF = "off"


class Noise(StrEnum):
    """What sort of noise it is."""

    AUTO = "auto"
    WHITE = "white"
    COLOURED = "coloured"
    PHOTON = "photon"


class Refinement(StrEnum):
    """What follows the variational autoencoder's own estimate."""

    NONE = "none"
    GAUSSIAN = "gaussian"
    QUICK = "quick"
    FULL = "full"


class Clipped(StrEnum):
    """What becomes of values that the file could not hold and that were clipped."""

    KEEP = "keep"
    RESTORE = "restore"


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """The evolutionary E-step.

    Attributes
    ----------
    mutation : Mutation
        Which bits of a parent are flipped: ``sparse``: any, at rates that keep the number of ones
        near that of the prior; ``guided``: those that promise most.
    crossover : bool
        Whether each offspring is first crossed with another parent at one point.
    parents : int
        Parents a patch and generation, drawn by fitness; capped at the number of states.
    offspring : int
        Offspring a parent; guided mutation spreads their total over the parents by promise.
    generations : int
        Rounds of an E-step; from the second on, parents come from the last offspring.
    mean_flips : float
        Bits that sparsity-driven mutation flips in an offspring, on average; more where the
        parent's number of ones is far from that of the prior.
    uniform_share : float
        Share of guided offspring that flip a random bit, so that none is out of reach.
    migrants : int
        Candidates a patch gets from the other patches of its mini-batch; 0: no migration.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    mutation: Mutation = Mutation.GUIDED
    crossover: bool = False
    parents: int = 2
    offspring: int = 4
    generations: int = 1
    mean_flips: float = 1.5
    uniform_share: float = 0.25
    migrants: int = 4

    def __post_init__(self) -> None:
        coerce_choices(self, mutation=Mutation)
        for name in ("parents", "offspring", "generations"):
            demand_whole(name, getattr(self, name), 1)
        demand_whole("migrants", self.migrants, 0)
        demand_positive("mean_flips", self.mean_flips)
        demand_number("uniform_share", self.uniform_share, 0, 1)
        if self.mutation is Mutation.GUIDED and self.crossover:
            raise ConfigError("guided mutation starts from parents as they are; drop crossover")


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

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    schedule: Schedule = Schedule.ANNEALED
    maximum: float = 1e-2
    minimum: float = 2e-3
    warm_up: float = 2.0
    period: float = 20.0

    def __post_init__(self) -> None:
        coerce_choices(self, schedule=Schedule)
        demand_positive("minimum", self.minimum)
        demand_number("maximum", self.maximum, self.minimum)
        demand_number("warm_up", self.warm_up, 0)
        demand_positive("period", self.period)


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig:
    """Everything that decides how one image is denoised.

    Attributes
    ----------
    covariance : Covariance
        ``dct``: a variance for each DCT coefficient of the patch; ``none``: means only.
    mean_share : float
        Share of the epochs that train means only, before variances are unlocked.
    noise : Noise
        ``auto``: as the image says; ``white``: of one level and all frequencies alike;
        ``coloured``: stronger in some frequencies than in others; ``photon``: white, and its
        variance rises with the signal.
    noise_std : float or None
        Noise level in pixel units; None: estimated from the image.
    impulses : Impulses
        ``auto``: pixels that say nothing of the picture are found and treated as missing;
        ``off``: all pixels count.
    gain : float or None
        Photon noise: variance per unit of signal, in pixel units; None: not known.
    readout : float or None
        With a gain, standard deviation of the noise without light, in pixel units; None: 0.
    offset : float or None
        With a gain, the value without light, in pixel units; None: 0.
    strength : float
        Times the noise level, given or estimated: less keeps more of noise and detail.
    clipped : Clipped
        ``keep``: tones are the means of what is recorded, as those of clipped frames averaged;
        ``restore``: of values before they were clipped, so that near black and white, too, they
        carry no bias.
    rebuilt_every : int
        One patch in so many is rebuilt, for the image to be put together from, spread evenly; at
        most a quarter of the pixels of a patch.
    refinement : Refinement
        Local models on groups of similar patches: ``gaussian``: with a Gaussian prior from
        the first estimate; ``full``: averaged with low-rank models, in colour of the brightness,
        followed by Gaussian ones once more; ``quick``: with fewer of these; ``none``: no
        refinement.
    group_step : int
        Distance in pixels of the patches around which groups are formed.
    group_sizes : tuple of int
        Added to the patch size of the groups, in pixels; the results are averaged.
    weight_floor : float
        Added to the variance of an estimate, in units of sigma^2, before overlapping
        patches are weighted by its inverse: else a few weights would dominate.
    patch_size : int or None
        Side of a square patch in pixels; None: 7 to 10 by the noise, or less for a tiny image.
    latents : int
        Binary latents H.
    hidden : tuple of int
        Widths of the decoder's hidden layers.
    states : int
        Variational states S a patch; at most 2^H.
    epochs : int
        Length of the training; an epoch visits one of `lattices` sub-lattices. 0: none, for
        models that are trained already.
    lattice_patches : int or None
        Patches an epoch visits, about, on a regular sub-lattice; None: all of them.
    lattices : int
        Sub-lattices, each with an offset of its own, that the epochs take in turn; their
        patches together are all that the model is trained on.
    batch_size : int
        Patches of one E-step. Migration gains from many.
    gradient_batch_size : int
        States of one gradient step.
    posterior_mass : float
        Share of each patch's posterior that the gradient is taken over, best states first. In a
        long run less of it costs nothing but time.
    initial_active : float
        Ones that a state starts with, on average.
    prior_delay : float
        Share of the epochs before the prior is first updated: too early, the few latents
        that lead by chance would take all patches.
    settled : float
        The final E-steps end when a round gains less than this, in nats per patch.
    settling_rounds : int
        Upper bound of those rounds.
    evolution : EvolutionConfig
        The E-step.
    learning_rate : LearningRateConfig
        The decoder's part of the M-step.
    time_limit : float or None
        Seconds for the whole of `denoise`: the schedule is compressed to fit.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    covariance: Covariance = Covariance.DCT
    mean_share: float = 1 / 3
    noise_std: float | None = None
    noise: Noise = Noise.AUTO
    impulses: Impulses = Impulses.AUTO
    gain: float | None = None
    readout: float | None = None
    offset: float | None = None
    strength: float = 1.0
    clipped: Clipped = Clipped.KEEP
    rebuilt_every: int = 3
    refinement: Refinement = Refinement.FULL
    group_step: int = 3
    group_sizes: tuple[int, ...] = (0,)
    weight_floor: float = 0.1
    patch_size: int | None = None
    latents: int = 512
    hidden: tuple[int, ...] = (128,)
    states: int = 6
    epochs: int = 24
    lattice_patches: int | None = 16_384
    lattices: int = 4
    batch_size: int = 1024
    gradient_batch_size: int = 512
    posterior_mass: float = 0.8
    initial_active: float = 2.0
    prior_delay: float = 1 / 6
    settled: float = 0.05
    settling_rounds: int = 8
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)
    learning_rate: LearningRateConfig = field(default_factory=LearningRateConfig)
    time_limit: float | None = None
    device: str = "auto"

    @property
    def rebuilt_share(self) -> float:
        """Share of an image's patches that it is put together from."""
        return 1 / self.rebuilt_every

    def __post_init__(self) -> None:
        if self.patch_size is not None:
            demand_whole("patch size", self.patch_size, MINIMUM_PATCH_SIZE)
        demand_whole("latents", self.latents, 1, MAXIMUM_LATENTS)
        if not isinstance(self.hidden, tuple) or not self.hidden:
            raise ConfigError(
                f"hidden is {self.hidden!r}; it must be a tuple of one or more widths"
            )
        for width in self.hidden:
            demand_whole("width of a hidden layer", width, 1, MAXIMUM_WIDTH)
        if not isinstance(self.group_sizes, tuple) or not self.group_sizes:
            raise ConfigError(
                f"group_sizes is {self.group_sizes!r}; it must be a tuple of one or more"
            )
        for added in self.group_sizes:
            demand_whole("group size", added, -2, 8)
        for name in (
            "rebuilt_every",
            "group_step",
            "lattices",
            "batch_size",
            "gradient_batch_size",
            "settling_rounds",
        ):
            demand_whole(name, getattr(self, name), 1)
        demand_whole("epochs", self.epochs, 0)
        if self.lattice_patches is not None:
            demand_whole("lattice_patches", self.lattice_patches, 1)
        self._check_states()
        coerce_choices(
            self,
            covariance=Covariance,
            noise=Noise,
            impulses=Impulses,
            refinement=Refinement,
            clipped=Clipped,
        )
        demand_number("mean_share", self.mean_share, 0, 1)
        demand_positive("weight_floor", self.weight_floor)
        self._check_noise()
        demand_positive("posterior_mass", self.posterior_mass)
        demand_number("posterior_mass", self.posterior_mass, 0, 1)
        demand_positive("initial_active", self.initial_active)
        demand_number("prior_delay", self.prior_delay, 0, 1)
        demand_number("settled", self.settled, 0)
        if self.time_limit is not None:
            demand_positive("time limit", self.time_limit)

    def _check_noise(self) -> None:
        """Demand numbers in range that say one thing about the noise, not two."""
        demand_positive("strength", self.strength)
        if self.noise_std is not None:
            demand_positive("noise level", self.noise_std)
            if self.noise is Noise.PHOTON:
                raise ConfigError("photon noise has no level of its own; give a gain, not sigma")
        if self.gain is None:
            for name in ("readout", "offset"):
                if getattr(self, name) is not None:
                    raise ConfigError(
                        f"{name} belongs to photon noise and needs a gain; noise of one level "
                        "everywhere has a sigma only"
                    )
            return
        if self.noise_std is not None:
            raise ConfigError("sigma says that the noise has one level, gain that it has not")
        if self.noise not in (Noise.AUTO, Noise.PHOTON):
            raise ConfigError(
                f"gain and readout belong to photon noise, not to {self.noise.value}; "
                "leave out one or the other"
            )
        demand_positive("gain", self.gain)
        demand_number("readout", self.readout or 0.0, 0)
        demand_number(
            "offset", 0.0 if self.offset is None else self.offset, -MOST_OFFSET, MOST_OFFSET
        )

    def _check_states(self) -> None:
        demand_whole("states", self.states, 1, 2**20)
        if self.latents < 20 and self.states > 2**self.latents:
            raise ConfigError(
                f"states is {self.states}, but {self.latents} latents have only "
                f"{2**self.latents} distinct states; lower states or raise latents"
            )
