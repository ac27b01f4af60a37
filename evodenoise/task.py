"""From the values of an image to a session that is ready to be trained, and what is kept of it."""

from dataclasses import dataclass

import numpy as np
import torch

from evodenoise.config import DenoiseConfig
from evodenoise.errors import ConfigError
from evodenoise.frames import Frames
from evodenoise.noise import NoiseEstimate, estimate_noise, mean_estimate
from evodenoise.presets import default_patch_size
from evodenoise.scaling import Scaling
from evodenoise.scene import Scene
from evodenoise.session import Session, noise_to_signal
from evodenoise.trained import TrainedModel

LEAST_NOISE = 1e-20
"""Share of the image's variance; less is none for numbers of 32 bits."""

MOST_NOISE = 0.99
"""Share of the image's variance that the noise can have; beyond it the level must be wrong."""

MOST_READ_PAGES = 8
"""Pages of a stack whose noise is estimated."""


@dataclass(frozen=True, eq=False)
class Task:
    """Images that are ready to be denoised by one model.

    Attributes
    ----------
    noise : NoiseEstimate
        What the images say about their noise.
    noise_std : float
        Noise level to be used, in pixel units: given or estimated; 0: to be learned.
    scaling : Scaling
        From pixels to the session's values.
    session : Session
        The scaled images and their model.
    """

    noise: NoiseEstimate
    noise_std: float
    scaling: Scaling
    session: Session

    @classmethod
    def of(
        cls,
        frames: Frames,
        config: DenoiseConfig,
        *,
        model: TrainedModel | None = None,
        deadline: float | None = None,
        generator: torch.Generator,
    ) -> "Task":
        """Estimate the noise, scale the values, and choose patches.

        Parameters
        ----------
        frames : Frames
            Values that are not constant.
        config : DenoiseConfig
            Settings.
        model : TrainedModel, optional
            Where to start from.
        deadline : float, optional
            When all must be done, on the scale of `time.perf_counter`.
        generator : torch.Generator
            Source of randomness, on the device that computes.

        Returns
        -------
        Task
            All that training needs.

        Raises
        ------
        ImageError
            If the model is not for images like this.
        ConfigError
            If nothing would ever be trained.
        """
        noise = _noise_of(frames)
        if model is not None:
            model.check_fits(frames.values.shape[-1], frames.values.shape[1:3])
            scaling = Scaling(model.peak, model.offset, model.mixing, model.deviation)
            config = model.configure(config)
        else:
            scaling = Scaling.of(frames.values[~frames.missing], noise)
            if not config.epochs:
                raise ConfigError("0 epochs leave the model untrained; ask for at least one")
        noise_std = noise.level if config.noise_std is None else config.noise_std
        noise_variance = min((noise_std / scaling.std) ** 2, MOST_NOISE)
        if noise_variance < LEAST_NOISE:
            noise_variance = 0.0
        session = Session(
            _scenes(frames, scaling, config.patch_size, noise_variance, generator.device),
            config,
            noise_variance=noise_variance,
            deadline=deadline,
            generator=generator,
            trained=model,
        )
        return cls(noise, noise_std, scaling, session)

    def keep(self) -> TrainedModel:
        """Take down what a sibling image will need.

        Returns
        -------
        TrainedModel
            On the CPU.
        """
        model, grid, scaling = self.session.model, self.session.scenes[0].grid, self.scaling
        return TrainedModel(
            latents=model.latents,
            hidden=self.session.config.hidden,
            patch_size=grid.patch_size,
            channels=grid.shape[2],
            covariance=model.decoder.covariance,
            unlocked=model.decoder.unlocked,
            weights={name: value.cpu() for name, value in model.state_dict().items()},
            codebook=self.session.learned().cpu(),
            peak=scaling.peak,
            deviation=scaling.deviation,
            offset=scaling.offset,
            mixing=scaling.mixing,
        )


def _noise_of(frames: Frames) -> NoiseEstimate:
    """Estimate the noise of some pages, evenly spaced."""
    count = len(frames.values)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_READ_PAGES)).round().astype(int))
    return mean_estimate(
        [estimate_noise(frames.values[page], missing=frames.missing[page]) for page in chosen]
    )


def _scenes(
    frames: Frames,
    scaling: Scaling,
    patch_size: int | None,
    noise_variance: float,
    device: torch.device,
) -> list[Scene]:
    """Make a scene of each page, with patches as the noise demands."""
    shape = frames.values.shape[1:]
    side = patch_size or default_patch_size(noise_to_signal(noise_variance), shape)
    return [
        Scene(
            torch.from_numpy(scaling.apply(page)).to(device),
            side,
            torch.from_numpy(gaps).to(device),
        )
        for page, gaps in zip(frames.values, frames.missing, strict=True)
    ]
