"""Zero-shot image denoising with binary-latent variational autoencoders.

>>> from evodenoise import DenoiseConfig, denoise
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evodenoise.config import DenoiseConfig
    from evodenoise.pipeline import DenoiseResult, denoise

__version__ = "0.1.0"
__all__ = ["DenoiseConfig", "DenoiseResult", "__version__", "denoise"]


def __getattr__(name: str) -> Any:
    # Lazily, so that `evodenoise --help` does not wait for torch.
    if name == "DenoiseConfig":
        from evodenoise.config import DenoiseConfig

        return DenoiseConfig
    if name in ("DenoiseResult", "denoise"):
        from evodenoise import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
