"""What a tile of a large image is denoised by: settings, a model, and what is known of the noise.

Dimensions: Y, X height and width, C channels.
"""

from dataclasses import dataclass, replace

import torch

from evodenoise.config.settings import Clipped, DenoiseConfig, Noise
from evodenoise.denoising.arrays import Array, Mask, put_back, take_apart, with_channels
from evodenoise.denoising.channels import ChannelPlan
from evodenoise.denoising.checkpoint import Checkpoint
from evodenoise.denoising.low_counts import clean_few_counts
from evodenoise.denoising.pace import OnShare
from evodenoise.denoising.tiles import Tile
from evodenoise.denoising.tools import Tools
from evodenoise.noise.record import NoiseEstimate

MARGIN = 32
"""Pixels: patches, and the reach of what is alike. Of each coarser scale, twice as many."""

MOST_SEED = 2**62


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that is known before the first tile, and enough to denoise any of them anywhere.

    Attributes
    ----------
    config : DenoiseConfig
        Settings of a tile: no training.
    plan : ChannelPlan
        Which channels are denoised.
    model : Checkpoint
        What has been learned.
    noise : NoiseEstimate
        What is known of the noise.
    seed : int
        Of the first tile; each has its own.
    """

    config: DenoiseConfig
    plan: ChannelPlan
    model: Checkpoint
    noise: NoiseEstimate
    seed: int

    @classmethod
    def of(
        cls,
        model: Checkpoint,
        plan: ChannelPlan,
        config: DenoiseConfig,
        noise: NoiseEstimate,
        generator: torch.Generator,
    ) -> "Recipe":
        """Make it of a trained model.

        Parameters
        ----------
        model : Checkpoint
            The model.
        plan : ChannelPlan
            Which channels are denoised.
        config : DenoiseConfig
            Settings of the whole image.
        noise : NoiseEstimate
            What is known of the noise.
        generator : torch.Generator
            Source of the seed; its device is where tiles are denoised.
        """
        if config.noise_std is not None and model.levelling is None:
            noise = noise.of_level(config.noise_std)
        # The model knows what the settings say of the noise; it would not be told twice.
        tiles = replace(
            config,
            epochs=0,
            noise_std=None,
            gain=None,
            readout=None,
            offset=None,
            noise=Noise.AUTO,
            clipped=Clipped.KEEP,
            time_limit=None,
            device=str(generator.device),
        )
        seed = torch.randint(MOST_SEED, (), generator=generator, device=generator.device)
        return cls(tiles, plan, model, noise, int(seed))

    def on(self, device: torch.device) -> "Recipe":
        """Return what is to be used on a device."""
        return replace(self, config=replace(self.config, device=str(device)))

    @property
    def margin(self) -> int:
        """Pixels around a tile that have a say in it."""
        return int(MARGIN * 2 ** (self.model.scales - 1))

    def denoise(
        self,
        noisy: Array,
        missing: Mask | None,
        tile: Tile,
        *,
        number: int,
        time_limit: float | None = None,
        on_reconstruction: OnShare | None = None,
        on_refinement: OnShare | None = None,
    ) -> "DenoisedTile":
        """Denoise one tile.

        Parameters
        ----------
        noisy : ndarray, shape (1, Y', X') or (1, Y', X', C)
            The tile with its margin, `Tile.outer`.
        missing : ndarray of bool, shape (1, Y', X'), optional
            Missing pixels.
        tile : Tile
            Where it is.
        number : int
            Of the tile: all else the same, equal numbers give equal results.
        time_limit : float, optional
            Seconds.
        on_reconstruction, on_refinement : callable, optional
            Called with the share of each that is done.

        Returns
        -------
        DenoisedTile
            Without its margin.
        """
        device = torch.device(self.config.device)
        generator = torch.Generator(device).manual_seed(self.seed + number)
        config = replace(self.config, time_limit=time_limit)
        channels, impulses = take_apart(with_channels(noisy), missing, config, self.plan)
        tools = Tools(generator, self.model, None, on_reconstruction, on_refinement)
        found = clean_few_counts(channels, config, self.noise, tools)
        image, std = put_back(
            channels, found.values, found.std, noisy, changed=bool(found.noise_std)
        )
        inner = tile.inner
        return DenoisedTile(
            image=image[inner],
            std=std[inner],
            impulses=int(impulses[inner].sum()),
            noise_std=found.noise_std,
            free_energy=found.free_energy,
            structured=found.structured,
            patch_size=found.patch_size,
            reconstruction_seconds=found.reconstruction_seconds,
            refinement_seconds=found.refinement_seconds,
        )


@dataclass(frozen=True, eq=False)
class DenoisedTile:
    """What came of a tile; all but the arrays as in `DenoiseResult`.

    Attributes
    ----------
    image : ndarray, shape (1, Y, X) or (1, Y, X, C)
        The estimate, of the type of the input.
    std : ndarray of float32, of the same shape
        Predicted standard deviation of its error.
    """

    image: Array
    std: Array
    impulses: int
    noise_std: float
    free_energy: float
    structured: float
    patch_size: int | None
    reconstruction_seconds: float
    refinement_seconds: float

    def figures(self) -> "DenoisedTile":
        """Return it without its arrays, which have gone elsewhere."""
        # Copies: a view, even of nothing, would keep all of the tile in memory.
        return replace(self, image=self.image[:0, :0].copy(), std=self.std[:0, :0].copy())
