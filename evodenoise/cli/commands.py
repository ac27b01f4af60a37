"""The commands, and which of them a command line means."""

import os
from collections.abc import Mapping

import typer

from evodenoise.cli import benchmark, compare, denoise, info, presets
from evodenoise.cli.completion import COMPLETION_OPTIONS, INSTRUCTION, take_command
from evodenoise.cli.option import Command
from evodenoise.cli.options import HELP_ALL
from evodenoise.errors import ExitCode, UsageError

COMMANDS: Mapping[str, Command] = {
    "benchmark": benchmark.COMMAND,
    "compare": compare.COMMAND,
    "info": info.COMMAND,
    "presets": presets.COMMAND,
}
"""What a first word may name; any other word is a file to denoise."""

DENOISE = denoise.COMMAND


def call(words: list[str]) -> ExitCode:
    """Do what a command line says.

    Parameters
    ----------
    words : list of str
        As typed.

    Returns
    -------
    ExitCode
        How it ended.

    Raises
    ------
    UsageError
        If it cannot be understood.
    EvodenoiseError
        If it cannot be done.
    """
    name, command = "evodenoise", DENOISE
    if words[0] in COMMANDS:
        command, name = COMMANDS[words[0]], f"evodenoise {words[0]}"
        words = words[1:]
    completing = INSTRUCTION in os.environ
    if completing:  # the shell asks, in words of its own
        command = COMMANDS.get(take_command(os.environ) or "", DENOISE)
    whole = completing or any(word in (HELP_ALL, *COMPLETION_OPTIONS) for word in words)
    app = command.app(completion=completing or (whole and command is DENOISE), whole=whole)
    try:
        return ExitCode(app(words, prog_name=name, standalone_mode=False) or ExitCode.DONE)
    except typer.TyperException as error:
        raise UsageError(error.format_message()) from error
