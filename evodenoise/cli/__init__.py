"""The command line: parse, call, print, exit code.

Importing this takes no time: Ctrl-C is answered from the first moment on, while all that the
commands need is still being loaded.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from evodenoise.cli.interrupts import InterruptedRunError, Interrupts
from evodenoise.errors import EvodenoiseError, ExitCode, UsageError


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
    try:
        with Interrupts():
            from evodenoise.cli.commands import call

            return call(given)
    except (InterruptedRunError, UsageError) as error:
        return _fail(str(error), error.exit_code, given)
    except EvodenoiseError as error:
        _print_traceback(given)
        return _fail(str(error), error.exit_code, given)
    except BrokenPipeError:
        # Whoever read our results has left; that is no failure of ours worth a message.
        _forget_stdout()
        return ExitCode.FAILED
    except Exception as error:
        _print_traceback(given)
        hint = f"{type(error).__name__}: {error} (add -v for details)"
        return _fail(hint, ExitCode.FAILED, given)


def run() -> None:
    """Run the command line as the process's own and exit."""
    code = main()
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """Exit without the end of the interpreter, which waits for whatever threads are at."""
    import os

    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # nobody reads it, or it is closed
            stream.flush()
    os._exit(code)


def _forget_stdout() -> None:
    """Let what is left to be printed go nowhere, lest Python complains at its end."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_traceback(arguments: Sequence[str]) -> None:
    import traceback

    short = [word for word in arguments if word.startswith("-") and not word.startswith("--")]
    if "--verbose" in arguments or any("v" in word for word in short):
        traceback.print_exc()


def _fail(message: str, code: ExitCode, arguments: Sequence[str]) -> ExitCode:
    """Print one line on stderr, and the JSON document if one is due; hand the exit code on."""
    line = " ".join(message.split())
    print(f"evodenoise: error: {line}", file=sys.stderr)
    if "--json" in arguments:
        import json

        from evodenoise import __version__

        empty = {"version": __version__, "files": [], "summary": {}, "error": line}
        print(json.dumps(empty, indent=2))
    return code
