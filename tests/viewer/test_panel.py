"""The widget in a real viewer: `xvfb-run -a python -m pytest tests/viewer`."""

import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from pictures import add_noise, as_dtype, psnr, wave

from evodenoise import denoise, preset_config
from evodenoise.viewer.run import Run


def what_is_missing() -> str | None:
    """Tell why there can be no viewer here; None: there can."""
    if find_spec("napari") is None:
        return "needs evodenoise[napari]"
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        return "needs a display: xvfb-run -a python -m pytest tests/viewer"
    # Where a library that it needs is missing, Qt takes the whole process down: one of its own.
    code = "from qtpy.QtWidgets import QApplication; QApplication([])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    return f"Qt cannot start: {done.stderr.strip()[-300:]}" if done.returncode else None


if reason := what_is_missing():
    pytest.skip(reason, allow_module_level=True)
with warnings.catch_warnings():  # what others say while they are loaded is not ours to mend
    warnings.simplefilter("ignore")
    import napari
    from napari.utils.notifications import notification_manager
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    from evodenoise.viewer import panel as module
    from evodenoise.viewer.panel import HELP, PAGES, Panel

CLEAN = wave(18, 20)
NOISY = as_dtype(add_noise(CLEAN), "uint8")
FAST = replace(preset_config("fast", NOISY.shape), device="cpu")
LONGEST = 120.0


def settle() -> None:
    """Let Qt do all that waits to be done, deleting included."""
    for _ in range(3):
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def wait_until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST
    while not reached():
        assert time.monotonic() < until
        QApplication.processEvents()
        time.sleep(0.01)


@pytest.fixture(scope="module", autouse=True)
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither read nor change what the user has set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_CONFIG", str(tmp_path_factory.mktemp("napari") / "settings.yaml"))
        yield


@pytest.fixture
def viewer() -> Iterator[Any]:
    made = napari.Viewer(show=False)
    yield made
    with suppress(RuntimeError):  # a test closed it: what Qt had of it is gone
        made.close()
    settle()


def open_panel(viewer: Any) -> Panel:
    _, panel = viewer.window.add_plugin_dock_widget("evodenoise", "Denoise")
    panel._controls["preset"].value = "fast"
    panel._controls["device"].value = "cpu"
    return panel


def click(panel: Panel, name: str) -> None:
    panel._controls[name].native.click()


def finish(panel: Panel) -> None:
    click(panel, "denoise")
    assert panel.run is not None
    wait_until(lambda: panel.run is None)


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def is_enabled(panel: Panel, name: str) -> bool:
    return bool(panel._controls[name].enabled)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Collect what the user is told, and show none of it."""
    told: list[str] = []

    def note(notification: Any) -> None:
        told.append(f"{notification.severity.value}: {notification.message}")

    notification_manager.notification_ready.connect(note)
    yield told
    notification_manager.notification_ready.disconnect(note)


class Gate:
    """Halts a run at its first estimate until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.opened.wait(LONGEST)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Make runs show each estimate, and halt them after the first of them."""
    made, show = Gate(), Run._show

    def show_and_wait(run: Run, *given: Any, **named: Any) -> None:
        show(run, *given, **named)
        made.pass_through()

    monkeypatch.setattr(Run, "_show", show_and_wait)
    monkeypatch.setattr(module, "Run", partial(Run, every=0.0))
    yield made
    made.opened.set()


def begin(panel: Panel, gate: Gate) -> Run:
    """Begin a run and wait for its first estimate."""
    click(panel, "denoise")
    run = panel.run
    assert run is not None
    wait_until(gate.reached.is_set)
    return run


def test_the_manifest_is_what_napari_finds() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "npe2", "validate", "evodenoise"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sample_opens(viewer: Any) -> None:
    (layer,) = viewer.open_sample("evodenoise", "cells")
    assert layer.data.dtype == np.uint16
    np.testing.assert_allclose(layer.scale, 0.2)


def test_the_result_and_what_is_beside_it(viewer: Any) -> None:
    noisy = viewer.add_image(
        NOISY,
        name="cells",
        scale=(0.5, 0.25),
        translate=(3, 4),
        units=("um", "um"),
        axis_labels=("rows", "columns"),
        colormap="green",
        contrast_limits=(5, 240),
        gamma=0.8,
        metadata={"microscope": "ours"},
    )
    panel = open_panel(viewer)
    finish(panel)
    assert names(viewer) == ["cells", "cells denoised", "cells uncertainty", "cells residual"]
    _, clean, std, residual = viewer.layers
    expected = denoise(NOISY, FAST)
    np.testing.assert_array_equal(clean.data, expected.image)
    np.testing.assert_array_equal(std.data, expected.std)
    np.testing.assert_array_equal(residual.data, NOISY.astype(np.float32) - clean.data)
    for layer in (clean, std, residual):
        np.testing.assert_array_equal(layer.scale, noisy.scale)
        np.testing.assert_array_equal(layer.translate, noisy.translate)
        assert layer.units == noisy.units
        assert layer.axis_labels == noisy.axis_labels
        assert layer.metadata["microscope"] == "ours"
    assert clean.data.dtype == noisy.data.dtype
    assert (clean.colormap.name, clean.gamma) == ("green", 0.8)
    assert clean.contrast_limits == noisy.contrast_limits
    assert clean.metadata["evodenoise"]["preset"] == "fast"
    assert residual.contrast_limits[0] == -residual.contrast_limits[1]
    assert [layer.visible for layer in viewer.layers] == [True, True, False, False]
    assert noisy.metadata == {"microscope": "ours"}
    assert panel._controls["status"].value.startswith("noise level ")
    assert panel._controls["layer"].value is noisy


def test_the_viewer_can_be_used_and_the_estimate_is_shown(viewer: Any, gate: Gate) -> None:
    viewer.add_image(NOISY, name="cells", scale=(2, 2))
    panel = open_panel(viewer)
    assert (is_enabled(panel, "denoise"), is_enabled(panel, "cancel")) == (True, False)
    run = begin(panel, gate)
    wait_until(lambda: len(viewer.layers) > 1)
    assert (is_enabled(panel, "denoise"), is_enabled(panel, "cancel")) == (False, True)
    assert names(viewer) == ["cells", "cells denoised (preview)"]
    preview = viewer.layers[1]
    np.testing.assert_array_equal(preview.scale, (2, 2))
    viewer.dims.ndisplay = 3  # the run is halted, the viewer is not
    wait_until(lambda: panel._controls["progress"].value > 0)
    assert "epoch 1" in panel._controls["status"].value
    preview.gamma = 0.5
    gate.opened.set()
    wait_until(lambda: panel.run is None)
    assert run.outcome is not None
    assert names(viewer)[:2] == ["cells", "cells denoised"]
    # The same layer still, as the user has set it.
    assert viewer.layers[1] is preview
    assert preview.gamma == 0.5
    assert psnr(CLEAN, preview.data) > psnr(CLEAN, NOISY) + 2
    assert (is_enabled(panel, "denoise"), is_enabled(panel, "cancel")) == (True, False)


def test_cancelled(viewer: Any, gate: Gate, said: list[str]) -> None:
    viewer.add_image(NOISY, name="cells")
    panel = open_panel(viewer)
    run = begin(panel, gate)
    wait_until(lambda: len(viewer.layers) > 1)
    click(panel, "cancel")
    assert not is_enabled(panel, "cancel")
    gate.opened.set()
    wait_until(lambda: panel.run is None)
    assert run.outcome is None
    assert names(viewer) == ["cells"]
    assert panel._controls["status"].value == "cancelled"
    assert is_enabled(panel, "denoise")
    assert said == []


def test_a_preview_that_was_removed_does_not_come_back(viewer: Any, gate: Gate) -> None:
    viewer.add_image(NOISY, name="cells")
    panel = open_panel(viewer)
    begin(panel, gate)
    wait_until(lambda: len(viewer.layers) > 1)
    viewer.layers.clear()
    gate.opened.set()
    wait_until(lambda: panel.run is None)
    assert names(viewer) == ["cells denoised", "cells uncertainty", "cells residual"]


def test_the_widget_is_closed_at_work(viewer: Any, gate: Gate, said: list[str]) -> None:
    viewer.add_image(NOISY, name="cells")
    dock, panel = viewer.window.add_plugin_dock_widget("evodenoise", "Denoise")
    run = begin(panel, gate)
    dock.destroyOnClose()
    settle()
    assert run.cancelled
    gate.opened.set()
    run.wait(LONGEST)
    settle()
    assert not run.running
    assert run.outcome is None
    assert said == []
    # And another one works.
    finish(open_panel(viewer))
    assert "cells denoised" in names(viewer)


def test_the_viewer_is_closed_at_work(viewer: Any, gate: Gate) -> None:
    viewer.add_image(NOISY, name="cells")
    run = begin(open_panel(viewer), gate)
    viewer.close()
    settle()
    gate.opened.set()
    run.wait(LONGEST)
    settle()
    assert not run.running
    assert run.outcome is None
    assert run.error is None


def test_refused_in_one_line(viewer: Any, said: list[str]) -> None:
    viewer.add_image(NOISY[:3], name="strip")
    panel = open_panel(viewer)
    finish(panel)
    assert said == ["error: strip: 20 x 3 pixels; at least 4 x 4 are needed"]
    assert panel._controls["status"].value == said[0].removeprefix("error: ")
    assert names(viewer) == ["strip"]
    panel._controls["noise"].value = "much"
    click(panel, "denoise")
    assert panel.run is None
    assert said[1].startswith("error: noise level 'much' is no number")


def test_only_image_layers_are_offered(viewer: Any) -> None:
    panel = open_panel(viewer)
    assert not is_enabled(panel, "denoise")
    assert panel._controls["about"].value == "Open an image first."
    viewer.add_labels(NOISY.astype(int))
    viewer.add_points([[1, 2]])
    assert panel._controls["layer"].value is None
    viewer.add_image(NOISY > 128, name="mask")
    assert "only True and False" in panel._controls["about"].value


def test_a_multiscale_layer_in_colour(viewer: Any) -> None:
    colour = as_dtype(add_noise(wave(16, 18, channels=3)), "uint8")
    viewer.add_image([colour, colour[::2, ::2]], rgb=True, multiscale=True, name="slide")
    panel = open_panel(viewer)
    assert "colour" in panel._controls["about"].value
    assert "largest of 2 levels" in panel._controls["about"].value
    finish(panel)
    clean, std, residual = viewer.layers[1:]
    assert (clean.rgb, clean.multiscale, clean.data.shape) == (True, False, colour.shape)
    assert std.data.shape == residual.data.shape == colour.shape[:2]
    assert clean.extent.world.tolist() == std.extent.world.tolist()


def test_only_the_page_that_is_shown(viewer: Any) -> None:
    stack = np.stack([NOISY, NOISY[::-1], NOISY[:, ::-1]])
    place = {"scale": (2, 1, 1), "translate": (10, 0, 5), "rotate": 30, "affine": np.eye(4) * 2}
    layer = viewer.add_image(stack, name="stack", **place)
    panel = open_panel(viewer)
    assert is_enabled(panel, "stack")
    assert "All 3 pages" in panel._controls["about"].value
    panel._controls["stack"].value = PAGES["only the page shown"]
    assert "Only the page" in panel._controls["about"].value
    viewer.dims.set_point(0, layer.data_to_world((2, 0, 0))[0])
    finish(panel)
    clean = viewer.layers["stack denoised"]
    assert clean.data.shape == (1, *NOISY.shape)
    expected = denoise(stack[2], FAST)
    np.testing.assert_array_equal(clean.data[0], expected.image)
    np.testing.assert_allclose(clean.data_to_world((0, 3, 4)), layer.data_to_world((2, 3, 4)))


def test_every_control_says_what_it_is_for(viewer: Any) -> None:
    panel = open_panel(viewer)
    assert set(panel._controls) == set(HELP)
    for name, control in panel._controls.items():
        assert control.native.toolTip() == HELP[name]
