"""A trained model to be kept: with it a sibling image is denoised without training."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising.scaling import Scaling
from evodenoise.errors import ImageError, ModelError
from evodenoise.patches.grid import PatchGrid
from evodenoise.tvae.model import BinaryLatentVAE

FORMAT = "evodenoise model"
FORMAT_VERSION = 1
LARGEST_FILE = 1 << 30
"""Bytes; no model comes near it, and a foreign file need not be read whole to be refused."""


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
        From pixels to the values that it was trained on.
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

    @classmethod
    def of(
        cls, model: BinaryLatentVAE, codebook: Tensor, grid: PatchGrid, scaling: Scaling
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
        )

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

    def to_bytes(self) -> bytes:
        """Serialise the model: plain tensors, numbers and text, no code."""
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "scaling": {
                "peak": self.scaling.peak,
                "deviation": self.scaling.deviation,
                "offset": torch.from_numpy(self.scaling.offset),
                "mixing": torch.from_numpy(self.scaling.mixing),
            },
        }
        buffer = io.BytesIO()
        torch.save(document, buffer)
        return buffer.getvalue()


def read_model(path: Path) -> Checkpoint:
    """Read a model that `Checkpoint.to_bytes` made.

    Parameters
    ----------
    path : Path
        The file. No code in it is run.

    Returns
    -------
    Checkpoint
        The model, on the CPU.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, foreign, or of a later version.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{path}: is not a model of evodenoise")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        document = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises almost anything on foreign data
        raise ModelError(f"{path}: is damaged or not a model of evodenoise") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ModelError(f"{path}: is not a model of evodenoise")
    if document.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{path}: version {document.get('format_version')} of the format; this evodenoise "
            f"reads version {FORMAT_VERSION}; train the model anew or update"
        )
    return _parse(path, document)


def _parse(path: Path, document: dict[str, Any]) -> Checkpoint:
    """Check that all fields are there and fit together."""
    try:
        fields = {name: document[name] for name in Checkpoint.__dataclass_fields__}
        fields["hidden"] = tuple(fields["hidden"])
        scaling = dict(fields["scaling"])
        for name in ("offset", "mixing"):
            scaling[name] = scaling[name].numpy()
        trained = Checkpoint(**{**fields, "scaling": Scaling(**scaling)})
        trained.build(torch.device("cpu"))
        finite = all(bool(torch.isfinite(value).all()) for value in trained.weights.values())
        codes = trained.codebook
        known = codes.dtype == torch.int16 and bool(
            ((codes >= 0) & (codes <= trained.latents)).all()
        )
        square = trained.scaling.mixing.shape == (trained.channels, trained.channels)
        sound = finite and known and square and codes.ndim == 2 and len(codes) > 0
        sound = (
            sound
            and trained.scaling.offset.shape == (trained.channels,)
            and trained.scaling.deviation > 0
        )
    except Exception as error:  # whatever does not fit
        raise ModelError(f"{path}: is damaged: {type(error).__name__}") from error
    if not sound:
        raise ModelError(f"{path}: is damaged: values out of range")
    return trained
