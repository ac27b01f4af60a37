"""The command line: parse, call, print, exit code."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import typer

from evodenoise import __version__
from evodenoise.cli import options
from evodenoise.cli.benchmark import benchmark
from evodenoise.cli.compare import compare
from evodenoise.cli.completion import INSTRUCTION, take_command
from evodenoise.cli.denoise import EPILOG, denoise
from evodenoise.cli.info import info
from evodenoise.cli.interrupts import INTERRUPTED, TERMINATED, InterruptedRunError, Terminated
from evodenoise.cli.presets import presets
from evodenoise.errors import EvodenoiseError, RunError

COMMANDS: Mapping[str, Callable[..., None]] = {
    "benchmark": benchmark,
    "compare": compare,
    "info": info,
    "presets": presets,
}
"""What a first word may name; any other word is a file to denoise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of the process's own.

    Returns
    -------
    int
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    name, command, epilog = "evodenoise", denoise, EPILOG
    if given and given[0] in COMMANDS:
        command, epilog = COMMANDS[given[0]], ""
        name = f"evodenoise {given.pop(0)}"
    completing = INSTRUCTION in os.environ
    if completing:  # the shell asks, in words of its own
        command = COMMANDS.get(take_command(os.environ) or "", denoise)
    try:
        app = options.make_app(command, epilog=epilog, completion=completing or command is denoise)
        return int(app(given, prog_name=name, standalone_mode=False) or 0)
    except typer.TyperException as error:  # usage
        return _fail(error.format_message(), error.exit_code, given)
    except InterruptedRunError as error:
        return _fail(str(error), error.exit_code, given)
    except EvodenoiseError as error:
        _print_traceback(given)
        return _fail(str(error), error.exit_code, given)
    except BrokenPipeError:
        # Whoever read our results has left; that is no failure of ours worth a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return RunError.exit_code
    except Exception as error:
        _print_traceback(given)
        hint = f"{type(error).__name__}: {error} (add -v for details)"
        return _fail(hint, RunError.exit_code, given)


def run() -> None:
    """Run the command line as the process's own and exit."""
    try:
        code = main()
    except Terminated:
        code = TERMINATED
    if code in (INTERRUPTED, TERMINATED):
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """Exit without the end of the interpreter, which waits for whatever threads are at."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it was closed
            stream.flush()
    os._exit(code)


def _print_traceback(arguments: Sequence[str]) -> None:
    short = [word for word in arguments if word.startswith("-") and not word.startswith("--")]
    if "--verbose" in arguments or any("v" in word for word in short):
        traceback.print_exc()


def _fail(message: str, code: int, arguments: Sequence[str]) -> int:
    """Print one line on stderr, and the JSON document if one is due; hand the exit code on."""
    line = " ".join(message.split())
    typer.echo(f"evodenoise: error: {line}", err=True)
    if "--json" in arguments:
        empty = {"version": __version__, "files": [], "summary": {}, "error": line}
        typer.echo(json.dumps(empty, indent=2))
    return code
