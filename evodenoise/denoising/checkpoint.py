"""A trained model to be kept: with it a sibling image is denoised without training.

`model_file` knows what its file looks like.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from evodenoise.config.settings import Clipped, DenoiseConfig, Noise
from evodenoise.denoising.levelling import Levelling
from evodenoise.denoising.model_file import (
    COARSER,
    CODEBOOK,
    SPECTRUM,
    Header,
    pack,
    unpack,
)
from evodenoise.denoising.scaling import Scaling
from evodenoise.errors import ConfigError, ImageError
from evodenoise.noise.spectrum import NoiseSpectrum
from evodenoise.patches.grid import PatchGrid
from evodenoise.tvae.model import BinaryLatentVAE


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model, the scale of the values it was trained on, and codes in use.

    Attributes
    ----------
    latents : int
        H.
    hidden : tuple of int
        Widths of the decoder's hidden layers.
    patch_size, channels : int
        Of the patches; channels are those that differ from each other and are not constant.
    covariance, unlocked : bool
        Whether the decoder can emit variances, and whether training got as far as that.
    weights : dict of Tensor
        The state of the `BinaryLatentVAE`.
    codebook : Tensor of int16, shape (M, K)
        Codes of patches: where the search for those of new patches starts.
    scaling : Scaling
        From pixels, or what the levelling makes of them, to the values that it was trained on.
    levelling : Levelling or None
        What gave noise that follows the signal one level.
    spectrum : NoiseSpectrum or None
        Of that noise, over frequency; None: it was white.
    coarser : Checkpoint or None
        What was learned from the images at half their size, and removed before; None: nothing.
    share : float
        Of the image in a mixture with what that model makes of half its size; 1: not mixed, but
        the part that it calls noise was removed.
    """

    latents: int
    hidden: tuple[int, ...]
    patch_size: int
    channels: int
    covariance: bool
    unlocked: bool
    weights: dict[str, Tensor]
    codebook: Tensor
    scaling: Scaling
    levelling: Levelling | None = None
    spectrum: NoiseSpectrum | None = None
    coarser: "Checkpoint | None" = None
    share: float = 1.0

    @classmethod
    def of(
        cls,
        model: BinaryLatentVAE,
        codebook: Tensor,
        grid: PatchGrid,
        scaling: Scaling,
        levelling: Levelling | None = None,
        spectrum: NoiseSpectrum | None = None,
        coarser: "Checkpoint | None" = None,
    ) -> "Checkpoint":
        """Take down what a sibling image will need, on the CPU.

        Parameters
        ----------
        model : BinaryLatentVAE
            Trained.
        codebook : Tensor of int16, shape (M, K)
            Codes in use.
        grid : PatchGrid
            Of an image that it was trained on.
        scaling : Scaling
            Of its values.
        levelling : Levelling, optional
            Of its noise.
        spectrum : NoiseSpectrum, optional
            Of its noise, once it has one level.
        coarser : Checkpoint, optional
            Of half its size.
        """
        return cls(
            latents=model.latents,
            hidden=model.decoder.hidden,
            patch_size=grid.patch_size,
            channels=grid.shape[2],
            covariance=model.decoder.covariance,
            unlocked=model.decoder.unlocked,
            weights={name: value.cpu() for name, value in model.state_dict().items()},
            codebook=codebook.cpu(),
            scaling=scaling,
            levelling=levelling,
            spectrum=spectrum,
            coarser=coarser,
        )

    @property
    def scales(self) -> int:
        """How many models there are, of smaller and smaller images."""
        return 1 if self.coarser is None else 1 + self.coarser.scales

    def build(self, device: torch.device) -> BinaryLatentVAE:
        """Make the model on a device."""
        model = BinaryLatentVAE(
            self.latents,
            self.hidden,
            self.patch_size**2 * self.channels,
            covariance=self.covariance,
            generator=torch.Generator(device),
        )
        model.load_state_dict(self.weights)
        if self.unlocked:
            model.decoder.unlock()
        return model

    def configure(self, config: DenoiseConfig) -> DenoiseConfig:
        """Put the settings of this model into others."""
        return replace(config, latents=self.latents, hidden=self.hidden, patch_size=self.patch_size)

    def check_fits(self, channels: int, shape: tuple[int, ...]) -> None:
        """Refuse an image with other channels, or smaller than a patch.

        Raises
        ------
        ImageError
            If so.
        """
        if channels != self.channels:
            raise ImageError(
                f"the image has {channels} channels that differ, the model {self.channels}; "
                "train a model on an image of that kind"
            )
        if min(shape) < self.patch_size:
            raise ImageError(
                f"{shape[1]} x {shape[0]} pixels are less than a patch of the model, "
                f"{self.patch_size} x {self.patch_size}; denoise without --load-model"
            )

    def check_noise(self, config: DenoiseConfig) -> None:
        """Refuse what is said of the noise beside a model that knows it, or has learned another.

        Raises
        ------
        ConfigError
            If so.
        """
        if (
            config.gain is not None
            or config.clipped is Clipped.RESTORE
            or config.noise is not Noise.AUTO
        ):
            raise ConfigError(
                "a model brings along what noise and clipped values its images had; leave them "
                "out, or denoise without --load-model"
            )
        if self.levelling is not None and config.noise_std is not None:
            raise ConfigError(
                "the model was trained on noise that follows the signal or has a colour; leave "
                "out sigma, or denoise without --load-model"
            )

    def to_bytes(self) -> bytes:
        """Serialise the model: tensors, numbers and text, no code."""
        return pack(self._header(), self._tensors())

    def _header(self) -> Header:
        return Header(
            latents=self.latents,
            hidden=self.hidden,
            patch_size=self.patch_size,
            channels=self.channels,
            covariance=self.covariance,
            unlocked=self.unlocked,
            coloured=self.spectrum is not None,
            scaling=self.scaling,
            levelling=self.levelling,
            share=self.share,
            coarser=None if self.coarser is None else self.coarser._header(),
        )

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {**self.weights, CODEBOOK: self.codebook}
        if self.spectrum is not None:
            tensors[SPECTRUM] = torch.from_numpy(self.spectrum.density).float()
        if self.coarser is not None:
            below = self.coarser._tensors()
            tensors.update({f"{COARSER}{name}": value for name, value in below.items()})
        return tensors


def read_model(path: str | Path) -> Checkpoint:
    """Read a model that `Checkpoint.to_bytes` made.

    Parameters
    ----------
    path : str or Path
        The file. There is no code in it.

    Returns
    -------
    Checkpoint
        The model, on the CPU.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, foreign, or of another version.
    """
    return _assemble(*unpack(Path(path)))


def _assemble(header: Header, tensors: dict[str, Tensor]) -> Checkpoint:
    """Make a model of what its file holds."""
    own = {name: value for name, value in tensors.items() if not name.startswith(COARSER)}
    below = {name.removeprefix(COARSER): tensors[name] for name in tensors.keys() - own.keys()}
    codebook, density = own.pop(CODEBOOK), own.pop(SPECTRUM, None)
    fields = {name: value for name, value in vars(header).items() if name != "coloured"}
    fields["coarser"] = None if header.coarser is None else _assemble(header.coarser, below)
    spectrum = None if density is None else NoiseSpectrum.of(density.numpy())
    return Checkpoint(weights=own, codebook=codebook, spectrum=spectrum, **fields)
