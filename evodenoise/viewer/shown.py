"""A run and its layers in the viewer: the estimate on the way, and in its place the result."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from napari.utils.notifications import show_error, show_warning

from evodenoise.viewer.layers import LayerImage, denoised_layer
from evodenoise.viewer.run import Run


def shown_page(viewer: Any, layer: Any, image: LayerImage) -> LayerImage:
    """Take the page of a stack that a viewer shows; an image that is none is taken as it is."""
    if not image.is_stack:
        return image
    here = layer.world_to_data(viewer.dims.point)[-len(image.shape) : -2]
    most = np.subtract(image.shape[:-2], 1)
    place = np.clip(np.round(here), 0, most).astype(int).tolist()
    # `affine` comes after `translate`, and is kept as it is.
    first = layer.affine.inverse(layer.data_to_world((*place, 0, 0)))
    return image.page(place, [float(each) for each in first])


class ShownRun:
    """Show what a run has to show in a viewer.

    Parameters
    ----------
    viewer : Viewer
        The viewer.
    run : Run
        The run.

    Attributes
    ----------
    layer : Image or None
        What shows the estimate.
    """

    def __init__(self, viewer: Any, run: Run) -> None:
        self.viewer, self.run = viewer, run
        self.layer: Any = None
        self._number = 0
        self._forget: list[Callable[[], object]] = []

    def end_with(self, *signals: Any) -> None:
        """Cancel the run when one of Qt's signals comes before its end."""

        def cancel(*_: object) -> None:  # no method: of its object Qt would not take hold
            self.run.cancel()
            with suppress(RuntimeError, TypeError):  # the sender may be half gone
                self._let_go()

        for signal in signals:
            signal.connect(cancel)
            self._forget.append(partial(signal.disconnect, cancel))

    def show_preview(self) -> None:
        """Show the last estimate, if it is a new one; not if its layer was removed."""
        preview = self.run.preview
        if preview is None or preview.number == self._number:
            return
        is_first, self._number = self._number == 0, preview.number
        if is_first:
            data, attributes, _ = denoised_layer(self.run.image, preview.data, {})
            name = f"{attributes['name']} (preview)"
            self.layer = self.viewer.add_image(data, **{**attributes, "name": name})
        elif self.layer in self.viewer.layers:
            self.layer.data = preview.data

    def abandon(self) -> None:
        """Cancel the run, and show no more of it."""
        self.run.cancel()
        self._let_go()
        self._remove_preview()

    def _let_go(self) -> None:
        while self._forget:
            self._forget.pop()()

    def _remove_preview(self) -> None:
        if self.layer in self.viewer.layers:
            self.viewer.layers.remove(self.layer)

    def finish(self) -> str:
        """Show what came of a run that has ended, and tell it in a sentence."""
        self._let_go()
        outcome = self.run.outcome
        if outcome is None:
            self._remove_preview()
            if self.run.error is not None:
                show_error(self.run.error)
            return "cancelled" if self.run.error is None else self.run.error
        (data, attributes, _), *others = outcome.layers
        if self.layer in self.viewer.layers:
            self.layer.data = data
            self.layer.name, self.layer.metadata = attributes["name"], attributes["metadata"]
        else:
            self.layer = self.viewer.add_image(data, **attributes)
        for values, own, _ in others:
            self.viewer.add_image(values, **own)
        self.viewer.layers.selection.active = self.layer
        for caution in outcome.cautions:
            show_warning(f"{self.run.image.name}: {caution}")
        return outcome.said
