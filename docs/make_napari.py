"""Make the picture of the napari tutorial, `docs/napari.jpg`: the sample, and what comes of it.

xvfb-run -a -s '-screen 0 1600x1000x24' python docs/make_napari.py
"""

import time
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

PICTURE = Path(__file__).parent / "napari.jpg"
SIZE = (1240, 720)
QUALITY = 74


def main() -> None:
    """Open the sample, denoise it, and show all layers side by side."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    (noisy,) = viewer.open_sample("evodenoise", "cells")
    _, panel = viewer.window.add_plugin_dock_widget("evodenoise", "Denoise")
    panel["layer"].value = noisy
    panel._controls["denoise"].native.click()
    while panel.run is not None:
        QApplication.processEvents()
        time.sleep(0.05)
    for layer in viewer.layers:
        layer.visible = True
    viewer.canvas.grid.enabled = True
    viewer.reset_view()
    for _ in range(20):
        QApplication.processEvents()
        time.sleep(0.05)
    picture = Image.fromarray(np.asarray(viewer.screenshot(canvas_only=False, flash=False)))
    picture.convert("RGB").save(PICTURE, quality=QUALITY, subsampling=0, optimize=True)
    viewer.close()


if __name__ == "__main__":
    main()
