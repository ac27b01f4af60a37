"""Zero-shot image denoising with binary-latent variational autoencoders.

>>> from evodenoise import DenoiseConfig, denoise
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evodenoise.config.presets import preset_config
    from evodenoise.config.settings import DenoiseConfig
    from evodenoise.denoising.denoise import DenoiseResult, denoise

__version__ = "0.1.0"
__all__ = ["DenoiseConfig", "DenoiseResult", "__version__", "denoise", "preset_config"]

_HOMES = {
    "DenoiseConfig": "config.settings",
    "DenoiseResult": "denoising.denoise",
    "denoise": "denoising.denoise",
    "preset_config": "config.presets",
}


def __getattr__(name: str) -> Any:
    # Lazily, so that `evodenoise --help` does not wait for torch.
    if name in _HOMES:
        return getattr(import_module(f"evodenoise.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
