"""The widget: what is wanted, a button, how far it has come, and layers that come of it."""

from typing import Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSpinBox,
    Label,
    LineEdit,
    ProgressBar,
    PushButton,
    create_widget,
)
from napari.layers import Image
from napari.utils.notifications import show_error
from napari.viewer import Viewer
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QSizePolicy

from evodenoise.config.presets import DEFAULT_PRESET, PRESETS
from evodenoise.config.settings import DEVICES
from evodenoise.errors import EvodenoiseError
from evodenoise.viewer.layers import LayerImage, Pages
from evodenoise.viewer.run import Run
from evodenoise.viewer.shown import ShownRun, shown_page
from evodenoise.viewer.wanted import AUTO, Wanted, read_level

LOOK_EVERY = 100
"""Milliseconds, at a run that is at work."""

STEPS = 1000
"""Of the progress bar."""

LINES = 3
"""Of the two texts: room for all that they may say, so that nothing moves."""

STRENGTHS = (0.05, 5.0)

PAGES = {
    "each page by itself": Pages.PAGES.value,  # of PySide6 no enumeration comes back
    "all pages by one model": Pages.JOINT.value,
    "only the page shown": Pages.SHOWN.value,
}

HELP = {
    "layer": "The image layer to denoise. It stays as it is; the result is a new layer.",
    "preset": "How much work is put into it: more gives a better picture and takes longer.",
    "noise": "Standard deviation of the noise, in the units of the layer. With 'auto' it is read "
    "off the image: its level, how that follows brightness, which frequencies it is made of.",
    "strength": "Times the noise level, given or read: 0.5 is gentler and keeps more detail, 2 "
    "removes more.",
    "stack": "Layers with more than two axes are stacks of pages, the last two axes. Each page by "
    "itself: a model for each, the safest. All pages by one model: much faster, for pages "
    "that look alike. Only the page shown: to try settings.",
    "device": "Where it is computed: auto takes a CUDA GPU if there is one.",
    "uncertainty": "Add a layer with the standard deviation of each pixel's error; hidden at "
    "first. Of colours, root mean square.",
    "residual": "Add a layer with what was taken away, noisy minus denoised; hidden at first. Of "
    "colours, their mean.",
    "preview": "Show the estimate while it gets better. It costs a tenth of the time at most and "
    "does not change the result.",
    "denoise": "Denoise the layer. The viewer can be used meanwhile.",
    "cancel": "Stop at the next opportunity and drop what there is.",
    "about": "What will be denoised.",
    "progress": "How much of the work is done, by the time it takes.",
    "status": "What is done at present, and how long the rest will take.",
}
"""What each control is for."""


class Panel(Container):  # type: ignore[misc]
    """Choose a layer, denoise it, and show what comes of it.

    Parameters
    ----------
    napari_viewer : Viewer
        Whose layers these are; napari hands itself in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._shown: ShownRun | None = None
        self._controls = _make_controls()
        for name, text in HELP.items():
            self._controls[name].tooltip = text
        super().__init__(widgets=_arrange(self._controls))
        for name in ("about", "status"):
            own = self._controls[name].native
            own.setWordWrap(True)
            own.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
            own.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
            own.setMinimumHeight(LINES * own.fontMetrics().lineSpacing())
        self._timer = QTimer(self.native)
        self._timer.setInterval(LOOK_EVERY)
        self._timer.timeout.connect(self._look)
        for name in ("layer", "stack"):
            self._controls[name].changed.connect(self._explain)
        self._controls["denoise"].changed.connect(self._begin)
        self._controls["cancel"].changed.connect(self._cancel)
        self.native_parent_changed.connect(self._abandon)
        self._explain()

    @property
    def run(self) -> Run | None:
        """The last one that was begun."""
        return None if self._shown is None else self._shown.run

    def reset_choices(self, *_: Any) -> None:
        """Offer the layers that there are now."""
        super().reset_choices()
        self._explain()

    def _explain(self, *_: object) -> None:
        """Say what would be denoised, and offer only what makes sense."""
        layer = self._controls["layer"].value
        is_stack, said = False, "Open an image first."
        if layer is not None:
            try:
                image = LayerImage.of(layer)
                is_stack, said = (
                    image.is_stack,
                    image.describe(Pages(self._controls["stack"].value)),
                )
            except EvodenoiseError as error:
                said = str(error)
        self._controls["about"].value = said
        running = self._shown is not None
        self._controls["stack"].enabled = is_stack
        self._controls["denoise"].enabled = layer is not None and not running
        self._controls["cancel"].enabled = running

    def _wanted(self) -> Wanted:
        """Take down what is wanted."""
        value: dict[str, Any] = {name: each.value for name, each in self._controls.items()}
        return Wanted(
            preset=value["preset"],
            sigma=read_level(value["noise"]),
            strength=value["strength"],
            device=value["device"],
            pages=Pages(value["stack"]),
            uncertainty=value["uncertainty"],
            residual=value["residual"],
            preview=value["preview"],
        )

    def _begin(self) -> None:
        """Begin a run."""
        layer = self._controls["layer"].value
        if layer is None or self._shown is not None:
            return
        try:
            wanted = self._wanted()
            image = LayerImage.of(layer)
            if wanted.pages is Pages.SHOWN:
                image = shown_page(self._viewer, layer, image)
        except EvodenoiseError as error:
            show_error(str(error))
            return
        self._shown = ShownRun(self._viewer, Run(image, wanted))
        # The window may be closed, or napari be left, while it is at work.
        self._shown.end_with(self.native.destroyed, QApplication.instance().aboutToQuit)
        self._shown.run.start()
        self._explain()
        self._timer.start()

    def _cancel(self) -> None:
        """End the run soon."""
        if self._shown is not None:
            self._shown.run.cancel()
            self._controls["cancel"].enabled = False

    def _abandon(self, parent: object) -> None:
        """End the run, of which nobody will hear, when the panel is taken out of the window."""
        if parent is None and self._shown is not None:
            self._timer.stop()
            self._shown.abandon()
            self._shown = None
            self._explain()

    def _look(self) -> None:
        """Show how far the run has come, and what comes of it once it has ended."""
        shown = self._shown
        if shown is None:
            return
        if shown.run.running:
            shown.show_preview()
            self._controls["progress"].value = round(STEPS * shown.run.share)
            self._controls["status"].value = "cancelling" if shown.run.cancelled else shown.run.said
            return
        self._timer.stop()
        self._shown = None
        self._controls["progress"].value = STEPS if shown.run.outcome else 0
        self._controls["status"].value = shown.finish()
        self._explain()


def _make_controls() -> dict[str, Any]:
    """Make all controls, by name."""
    presets = [(f"{name}: {preset.description}", name) for name, preset in PRESETS.items()]
    low, high = STRENGTHS
    controls = [
        create_widget(annotation=Image, name="layer"),
        Label(name="about"),
        ComboBox(name="preset", choices=presets, value=DEFAULT_PRESET),
        LineEdit(name="noise", label="noise level", value=AUTO),
        FloatSpinBox(name="strength", value=1.0, min=low, max=high, step=0.05),
        ComboBox(name="stack", choices=[*PAGES.items()]),
        ComboBox(name="device", choices=DEVICES),
        CheckBox(name="uncertainty", text="uncertainty", value=True),
        CheckBox(name="residual", text="residual", value=True),
        CheckBox(name="preview", text="live preview", value=True),
        PushButton(name="denoise", text="Denoise"),
        PushButton(name="cancel", text="Cancel"),
        ProgressBar(name="progress", max=STEPS, value=0),
        Label(name="status"),
    ]
    return {each.name: each for each in controls}


def _arrange(controls: dict[str, Any]) -> list[Any]:
    """Put controls below each other, and what belongs together side by side."""

    def beside(*names: str) -> Any:
        widgets = [controls[name] for name in names]
        row = Container(layout="horizontal", labels=False, widgets=widgets, label=" ")
        row.margins = (0, 0, 0, 0)
        return row

    return [
        controls["layer"],
        beside("about"),
        *(controls[name] for name in ("preset", "noise", "strength", "stack", "device")),
        beside("uncertainty", "residual", "preview"),
        beside("denoise", "cancel"),
        beside("progress"),
        beside("status"),
    ]
