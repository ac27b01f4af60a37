"""Zero-shot image denoising with binary-latent variational autoencoders.

>>> from evodenoise import DenoiseConfig, denoise
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from evodenoise.config.presets import preset_config
    from evodenoise.config.settings import DenoiseConfig
    from evodenoise.denoising.checkpoint import read_model
    from evodenoise.denoising.denoise import denoise, denoise_stack, train_model
    from evodenoise.denoising.denoise_tvae import denoise_tvae
    from evodenoise.denoising.noise_level import estimate_noise
    from evodenoise.denoising.result import DenoiseResult
    from evodenoise.noise.record_file import read_noise_file

__all__ = [
    "DenoiseConfig",
    "DenoiseResult",
    "__version__",
    "denoise",
    "denoise_stack",
    "denoise_tvae",
    "estimate_noise",
    "preset_config",
    "read_model",
    "read_noise_file",
    "train_model",
]

_HOMES = {
    "DenoiseConfig": "config.settings",
    "DenoiseResult": "denoising.result",
    "denoise": "denoising.denoise",
    "denoise_stack": "denoising.denoise",
    "denoise_tvae": "denoising.denoise_tvae",
    "estimate_noise": "denoising.noise_level",
    "preset_config": "config.presets",
    "read_model": "denoising.checkpoint",
    "read_noise_file": "noise.record_file",
    "train_model": "denoising.denoise",
}


def __getattr__(name: str) -> Any:
    # Lazily, so that `evodenoise --help` does not wait for torch, nor for what is installed.
    if name == "__version__":
        return _version()
    if name in _HOMES:
        return getattr(import_module(f"evodenoise.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("evodenoise")
    except PackageNotFoundError:  # run from a copy that was never installed
        return "0+unknown"


def __dir__() -> list[str]:
    return list(__all__)
