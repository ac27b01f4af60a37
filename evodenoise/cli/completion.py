"""Completion of commands and file names in the shell, on top of Typer's own of options."""

import os
from collections.abc import MutableMapping, Sequence
from pathlib import Path

INSTRUCTION = "_EVODENOISE_COMPLETE"
"""Set by the shell when it asks for completions."""

COMPLETION_OPTIONS = ("--install-completion", "--show-completion")
"""Typer's own."""

COMMAND_NAMES = ("benchmark", "compare", "info", "presets")
"""What a first word may be beside a file."""


def complete_path(incomplete: str) -> list[str]:
    """Complete the name of a file, or of a command that has not yet been named.

    Parameters
    ----------
    incomplete : str
        What has been typed of the word.

    Returns
    -------
    list of str
        Words to choose from; folders end with a slash.
    """
    commands = [name for name in COMMAND_NAMES if name.startswith(incomplete)]
    folder, start = os.path.split(incomplete)
    try:
        entries = sorted(Path(folder or ".").iterdir())
    except OSError:
        entries = []
    paths = [
        os.path.join(folder, entry.name) + os.sep * entry.is_dir()  # noqa: PTH118 - as typed
        for entry in entries
        if entry.name.startswith(start) and (start or not entry.name.startswith("."))
    ]
    return commands + paths


def take_command(
    environment: MutableMapping[str, str], names: Sequence[str] = COMMAND_NAMES
) -> str | None:
    """Take the command out of the line that is being completed.

    Parameters
    ----------
    environment : mutable mapping
        What the shell has set; afterwards as if the command had not been typed.
    names : sequence of str
        Commands.

    Returns
    -------
    str or None
        The command, if one has been typed and is finished.
    """
    if "COMP_WORDS" in environment:  # bash
        words = environment["COMP_WORDS"].split("\n")
        words = words if len(words) > 1 else environment["COMP_WORDS"].split(" ")
        place = int(environment.get("COMP_CWORD", "0"))
        if place < 2 or words[1] not in names:
            return None
        environment["COMP_CWORD"] = str(place - 1)
        environment["COMP_WORDS"] = "\n".join([words[0], *words[2:]])
        return words[1]
    line = environment.get("_TYPER_COMPLETE_ARGS", "")
    head, _, rest = line.partition(" ")
    command, separator, rest = rest.lstrip().partition(" ")
    if command not in names or not separator:
        return None
    environment["_TYPER_COMPLETE_ARGS"] = f"{head} {rest}"
    return command
