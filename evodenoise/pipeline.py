"""From a noisy array to a clean one."""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evodenoise.config import MINIMUM_PATCH_SIZE, DenoiseConfig
from evodenoise.device import resolve_device
from evodenoise.errors import ConfigError, ImageError, TrainingError
from evodenoise.patches import PatchAverage, PatchGrid, extract_patches
from evodenoise.presets import DEFAULT_PATCH_SIZE, DEFAULT_PRESET, preset_config
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.reconstruction import Reconstructor
from evodenoise.tvae.schedule import Budget, StopReason
from evodenoise.tvae.states import VariationalStates, initial_states
from evodenoise.tvae.training import EpochReport, fit

Array = npt.NDArray[Any]
OnEpoch = Callable[[EpochReport], bool | None]
OnReconstruction = Callable[[float], None]


@dataclass(frozen=True)
class DenoiseResult:
    """A denoised image and how it came about.

    Attributes
    ----------
    image : ndarray
        The estimate, of the input's shape and dtype.
    noise_std : float
        Noise level found, in pixel units.
    free_energy : float
        Mean over all patches, in nats per patch of pixel values; nan for a constant image.
    history : tuple of EpochReport
        One report an epoch.
    stop_reason : str
        Why training ended: ``epochs``, ``converged``, ``time limit`` or ``stopped``.
    patch_size : int
        Side of the patches, in pixels.
    device : str
        Where it was computed.
    training_seconds, reconstruction_seconds : float
        Wall time of the two parts.
    """

    image: Array
    noise_std: float
    free_energy: float
    history: tuple[EpochReport, ...]
    stop_reason: str
    patch_size: int
    device: str
    training_seconds: float
    reconstruction_seconds: float


@dataclass(frozen=True)
class _Scaling:
    """The affine map between pixel values and the unit-variance values of the engine.

    Values are first divided by their peak, so that the variance neither over- nor underflows.
    """

    peak: float
    offset: float
    scale: float

    @classmethod
    def of(cls, image: Array) -> "_Scaling":
        peak = float(np.abs(image.astype(np.float64)).max()) or 1.0
        unit = image.astype(np.float64) / peak
        return cls(peak, float(unit.mean()), float(unit.std()))

    @property
    def constant(self) -> bool:
        return bool(self.scale <= 16 * np.finfo(np.float64).eps)

    def apply(self, image: Array) -> Array:
        unit = np.atleast_3d(image).astype(np.float64) / self.peak
        scaled: Array = ((unit - self.offset) / self.scale).astype(np.float32)
        return scaled

    def undo(self, scaled: Array) -> Array:
        pixels: Array = (scaled.astype(np.float64) * self.scale + self.offset) * self.peak
        return pixels

    def in_pixel_units(self, report: EpochReport, pixels: int) -> EpochReport:
        """Rescale a report; a density per unit becomes one per pixel value."""
        return dataclasses.replace(
            report,
            noise_std=report.noise_std * self.scale * self.peak,
            free_energy=report.free_energy - self.log_density(pixels),
        )

    def log_density(self, pixels: int) -> float:
        """Log of the volume by which a patch of so many pixels grows, in nats."""
        return pixels * (math.log(self.scale) + math.log(self.peak))


def denoise(
    image: Array,
    config: DenoiseConfig | None = None,
    *,
    rng: torch.Generator | np.random.Generator | int | None = None,
    on_epoch: OnEpoch | None = None,
    on_reconstruction: OnReconstruction | None = None,
) -> DenoiseResult:
    """Denoise one image by a model trained on that image alone.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, C)
        Noisy image, integer or float; C at most 4. It is not modified.
    config : DenoiseConfig, optional
        Settings; by default the preset ``balanced``, fitted to the image.
    rng : torch.Generator, numpy.random.Generator or int, optional
        Source of randomness, or a seed; 0 by default, so that results repeat.
    on_epoch : callable, optional
        Called with each `EpochReport`; if it returns True, training stops there.
    on_reconstruction : callable, optional
        Called with the share of the reconstruction that is done, from 0 to 1.

    Returns
    -------
    DenoiseResult
        The estimate, rounded and clipped for integer images only, and the noise level.

    Raises
    ------
    ImageError
        If the array is no image of finite numbers, or smaller than 4 x 4 pixels.
    ConfigError
        If the patch size does not fit the image, or the seed is out of range.
    DeviceError
        If the device is not there.
    TrainingError
        If training diverges.

    Notes
    -----
    The method is that of Drefs, Guiraud, Panagiotou, Lücke, "Direct Evolutionary
    Optimization of Variational Autoencoders with Binary Latents" (ECML PKDD 2022): every
    overlapping patch is replaced by its posterior mean, and overlaps are averaged.

    Examples
    --------
    >>> import numpy as np
    >>> from evodenoise import DenoiseConfig, denoise
    >>> noisy = np.random.default_rng(0).normal(100.0, 5.0, (32, 32))
    >>> result = denoise(noisy, DenoiseConfig(epochs=2, latents=16, hidden=(16,)))
    >>> result.image.shape
    (32, 32)
    """
    started = time.perf_counter()
    patch_size = check_image(image, config)
    config = config or preset_config(DEFAULT_PRESET, image.shape)
    device = resolve_device(config.device)
    scaling = _Scaling.of(image)
    if scaling.constant:
        # There is nothing to learn and nothing to remove.
        return DenoiseResult(
            image.copy(), 0.0, math.nan, (), StopReason.CONVERGED, patch_size, str(device), 0.0, 0.0
        )
    generator = _generator(rng, device)
    deadline = None if config.time_limit is None else started + config.time_limit
    run = _Run(
        torch.from_numpy(scaling.apply(image)).to(device), patch_size, config, generator, deadline
    )
    history = run.train(scaling, on_epoch)
    trained = time.perf_counter()
    estimate, free_energy = run.reconstruct(on_reconstruction)
    if not np.isfinite(estimate).all():
        raise TrainingError("training diverged in its last steps; lower the learning rate")
    return DenoiseResult(
        image=_like(scaling.undo(estimate), image),
        noise_std=history[-1].noise_std,
        free_energy=free_energy - scaling.log_density(run.grid.pixels),
        history=tuple(history),
        stop_reason=history[-1].stop_reason or StopReason.STOPPED,
        patch_size=patch_size,
        device=str(device),
        training_seconds=trained - started,
        reconstruction_seconds=time.perf_counter() - trained,
    )


class _Run:
    """Training on some patches of one scaled image, then reconstruction of all of them."""

    def __init__(
        self,
        image: Tensor,
        patch_size: int,
        config: DenoiseConfig,
        generator: torch.Generator,
        deadline: float | None,
    ) -> None:
        self.image, self.config, self.generator = image, config, generator
        self.deadline = deadline
        self.grid = PatchGrid(image.shape, patch_size)
        lattices = _lattices(self.grid, config, generator)
        self.positions = torch.cat(lattices)
        sizes = [len(lattice) for lattice in lattices]
        self.lattices = torch.arange(len(self.positions), device=image.device).split(sizes)
        self.model = BinaryLatentVAE(
            config.latents,
            config.hidden,
            self.grid.pixels,
            active=config.initial_active,
            generator=generator,
        )
        self.variational: VariationalStates = initial_states(
            len(self.positions),
            config.states,
            config.latents,
            active=config.initial_active,
            generator=generator,
        )

    def train(self, scaling: _Scaling, on_epoch: OnEpoch | None) -> list[EpochReport]:
        """Train until the budget is spent; return a report an epoch, in pixel units."""
        patches = extract_patches(self.image, self.grid.patch_size, self.positions)
        budget = Budget(self.config.epochs, deadline=self.deadline, patches=self.grid.patches)
        history: list[EpochReport] = []
        for report in fit(
            patches,
            self.model,
            self.variational,
            self.config,
            lattices=self.lattices,
            budget=budget,
            generator=self.generator,
        ):
            history.append(scaling.in_pixel_units(report, self.grid.pixels))
            if on_epoch is not None and on_epoch(history[-1]):
                break
        return history

    def reconstruct(self, on_reconstruction: OnReconstruction | None) -> tuple[Array, float]:
        """Denoise all patches and average them: the scaled image and the mean free energy."""
        reconstructor = Reconstructor(
            self.model, self.variational, self.config, generator=self.generator
        )
        average = PatchAverage(self.grid, self.image.dtype, self.image.device)
        total = torch.zeros((), device=self.image.device, dtype=torch.float64)
        place = torch.full((self.grid.patches,), -1, dtype=torch.int32, device=self.image.device)
        place[self.positions] = torch.arange(
            len(self.positions), dtype=torch.int32, device=self.image.device
        )
        started, done = time.perf_counter(), 0
        everything = torch.arange(self.grid.patches, device=self.image.device)
        for positions in everything.split(self.config.batch_size):
            done += len(positions)
            share = done / self.grid.patches
            estimate = reconstructor(
                extract_patches(self.image, self.grid.patch_size, positions),
                place[positions].long(),
                hurry=partial(self._late, started, share),
            )
            average.add(positions, estimate.means)
            total += estimate.free_energy.sum()
            if on_reconstruction is not None:
                on_reconstruction(share)
        return average.image().cpu().numpy(), float(total) / self.grid.patches

    def _late(self, started: float, share: float) -> bool:
        """Say whether more than a share of the time left for reconstruction is gone."""
        if self.deadline is None:
            return False
        return time.perf_counter() - started > share * (self.deadline - started)


def _lattices(
    grid: PatchGrid, config: DenoiseConfig, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Choose the sub-lattices to train on: a stride, and random distinct offsets."""
    wanted = config.lattice_patches or grid.patches
    stride = math.ceil(math.sqrt(max(1.0, grid.patches / wanted)))
    stride = min(stride, grid.rows, grid.columns)
    offsets = torch.randperm(stride**2, generator=generator, device=generator.device)
    return tuple(
        grid.sublattice(stride, (offset // stride, offset % stride)).to(generator.device)
        for offset in offsets[: config.lattices].tolist()
    )


def check_image(image: Array, config: DenoiseConfig | None = None, *, name: str = "image") -> int:
    """Check that an array is an image that the settings fit.

    Parameters
    ----------
    image : ndarray
        To be checked.
    config : DenoiseConfig, optional
        The settings.
    name : str
        What to call the image in a message.

    Returns
    -------
    int
        The patch size to use, in pixels.

    Raises
    ------
    ImageError
        If the array is no image of finite numbers, or too small.
    ConfigError
        If the patch size does not fit.
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4):
        raise ImageError(
            f"{name}: shape {image.shape} is not a gray (Y, X) or colour (Y, X, C) image"
        )
    if image.dtype.kind not in "uif":
        raise ImageError(f"{name}: values of type {image.dtype}; integers or floats are needed")
    bad = image.size - np.count_nonzero(np.isfinite(image))
    if bad:
        raise ImageError(f"{name}: {bad} values are NaN or infinite; replace them first")
    height, width = image.shape[:2]
    shorter = int(min(height, width))
    if shorter < MINIMUM_PATCH_SIZE:
        raise ImageError(
            f"{name}: {width} x {height} pixels; "
            f"at least {MINIMUM_PATCH_SIZE} x {MINIMUM_PATCH_SIZE} are needed"
        )
    if config is None or config.patch_size is None:
        return min(DEFAULT_PATCH_SIZE, shorter)
    if config.patch_size > shorter:
        raise ConfigError(
            f"{name}: patch size {config.patch_size} does not fit into {width} x {height} pixels; "
            f"use at most {shorter}"
        )
    return config.patch_size


def _generator(
    rng: torch.Generator | np.random.Generator | int | None, device: torch.device
) -> torch.Generator:
    """Make the one generator of a run, on the device that computes."""
    if isinstance(rng, torch.Generator) and rng.device.type == device.type:
        return rng
    if isinstance(rng, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    elif isinstance(rng, np.random.Generator):
        seed = int(rng.integers(2**62))
    else:
        seed = check_seed(rng or 0)
    return torch.Generator(device).manual_seed(seed)


def check_seed(seed: int) -> int:
    """Refuse seeds that torch could not take; return the seed.

    Raises
    ------
    ConfigError
        If the seed is no whole number of 63 bits.
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= int(seed) < 2**63:
        raise ConfigError(f"seed is {seed!r}; it must be a whole number from 0 to 2^63 - 1")
    return int(seed)


def _like(estimate: Array, image: Array) -> Array:
    """Give an estimate the shape and dtype of the input; only integers are rounded and clipped."""
    shaped = estimate.reshape(image.shape)
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        shaped = shaped.round().clip(limits.min, limits.max)
    return shaped.astype(image.dtype)
