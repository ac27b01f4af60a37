"""`evodenoise presets`: what the presets stand for."""

from evodenoise.cli import options
from evodenoise.cli.tables import print_table
from evodenoise.config.presets import DEFAULT_PRESET, PRESETS


def presets(
    version: options.Version = False,  # noqa: ARG001 - handled by its callback
    show_help: options.Help = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Show the presets; single options override what a preset says.

    Latents and epochs are those for images of 256 x 256 pixels and more; smaller ones
    get fewer latents and more, shorter epochs.
    """
    rows = []
    for name, preset in PRESETS.items():
        config, evolution = preset.config, preset.config.evolution
        mark = " (default)" if name == DEFAULT_PRESET else ""
        rows.append(
            [
                name + mark,
                str(config.epochs),
                str(config.latents),
                ",".join(map(str, config.hidden)),
                str(config.states),
                evolution.mutation.value,
                config.refinement.value,
                preset.description,
            ]
        )
    header = ["preset", "epochs", "latents", "hidden", "states", "mutation", "refine", "for"]
    print_table(header, rows)
