"""All settings of a run, validated, and the presets; no torch."""
