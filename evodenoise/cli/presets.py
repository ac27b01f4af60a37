"""`evodenoise presets`: what the presets stand for."""

import json
from dataclasses import asdict

import typer

from evodenoise import __version__
from evodenoise.cli.option import Command, Given
from evodenoise.cli.options import pick
from evodenoise.cli.tables import print_table
from evodenoise.config.presets import DEFAULT_PRESET, PRESETS, Preset
from evodenoise.errors import ExitCode

HEADER = ["preset", "epochs", "latents", "hidden", "states", "mutation", "refine", "for"]


def presets(given: Given) -> ExitCode:
    """Show the presets; single options override what a preset says.

    Latents and epochs are those for images of 256 x 256 pixels and more; smaller ones
    get fewer latents and more, shorter epochs.
    """
    if given.get("json"):
        found = {name: asdict(preset) for name, preset in PRESETS.items()}
        document = {"version": __version__, "default": DEFAULT_PRESET, "presets": found}
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        print_table(HEADER, [_line(name, preset) for name, preset in PRESETS.items()])
    return ExitCode.DONE


def _line(name: str, preset: Preset) -> list[str]:
    config = preset.config
    return [
        name + (" (default)" if name == DEFAULT_PRESET else ""),
        str(config.epochs),
        str(config.latents),
        ",".join(map(str, config.hidden)),
        str(config.states),
        config.evolution.mutation.value,
        config.refinement.value,
        preset.description,
    ]


COMMAND = Command(presets, pick("json", "version", "help"))
