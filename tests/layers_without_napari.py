"""Layers as napari has them, without napari."""

from typing import Any


class FakeLayer:
    """As much of an image layer as the plugin looks at."""

    def __init__(
        self, data: Any, *, rgb: bool = False, kind: str = "image", name: str = "cells"
    ) -> None:
        self.data, self.rgb, self.kind, self.name = data, rgb, kind, name
        self.multiscale = isinstance(data, list)

    def as_layer_data_tuple(self) -> tuple[Any, dict[str, Any], str]:
        largest = self.data[0] if self.multiscale else self.data
        axes = len(largest.shape) - self.rgb
        state = {
            "name": self.name,
            "metadata": {"microscope": "ours"},
            "scale": [0.5] * axes,
            "translate": [3.0] * axes,
            "units": ("um",) * axes,
            "colormap": "green",
            "contrast_limits": [1.0, 9.0],
            "visible": True,
            "rgb": self.rgb,
            "multiscale": self.multiscale,
            "locked_data_level": None,
        }
        return self.data, state, self.kind
