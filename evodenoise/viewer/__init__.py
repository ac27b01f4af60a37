"""The plugin of the image viewer napari: a widget and a sample. `napari.yaml` names both."""
