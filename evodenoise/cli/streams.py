"""`-`: an image from stdin, an image to stdout."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from evodenoise.errors import ConfigError, EvodenoiseError, ImageError
from evodenoise.images import format_of, is_folder_name
from evodenoise.jobs.naming import Naming

STREAM = "-"


def goes_to_stdout(files: Sequence[str], output: str | None) -> bool:
    """Tell whether the image is to go to stdout; what comes from stdin does unless told."""
    return output == STREAM or (output is None and list(files) == [STREAM])


@contextmanager
def open_streams(
    files: tuple[str, ...], naming: Naming
) -> Iterator[tuple[tuple[str, ...], Naming]]:
    """Put files in the places of stdin and stdout while an image is denoised.

    Parameters
    ----------
    files : tuple of str
        Inputs, as typed.
    naming : Naming
        Where the result goes, as typed.

    Yields
    ------
    files, naming
        With real files instead of ``-``.

    Raises
    ------
    ConfigError
        If ``-`` stands beside other inputs, or an image would go to a terminal.
    ImageError
        If stdin is closed.
    """
    to_stdout = goes_to_stdout(files, naming.output)
    if STREAM not in files and not to_stdout:
        yield files, naming
        return
    if len(files) > 1:
        raise ConfigError("- stands for one image; leave the other inputs out")
    if to_stdout:
        _check_stdout()
    with tempfile.TemporaryDirectory(prefix="evodenoise-") as folder:
        source, target = Path(files[0]), Path(folder, "stdout")
        try:
            if files[0] == STREAM:
                source = Path(folder, STREAM)
                source.write_bytes(_read_stdin())
            if to_stdout:
                target = target.with_suffix(_ending(source, naming.ending))
                naming = replace(naming, output=str(target), ending=None)
            yield (str(source),), naming
        except EvodenoiseError as error:
            # The user knows nothing of our files.
            error.args = (str(error).replace(f"{folder}{os.sep}", ""),)
            raise
        if target.exists():
            sys.stdout.buffer.write(target.read_bytes())
            sys.stdout.buffer.flush()


def _check_stdout() -> None:
    """Refuse to write an image to where there is nobody to take it."""
    if sys.stdout is None:
        raise ConfigError("stdout is closed; redirect it to a file, or add -o")
    if sys.stdout.isatty():
        raise ConfigError("stdout is a terminal, which shows no images; redirect it, or add -o")


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise ImageError("-: stdin is closed; redirect a file to it, or name one")
    return sys.stdin.buffer.read()


def _ending(source: Path, ending: str | None) -> str:
    ending = format_of(source).endings[0] if ending is None else f".{ending}"
    if is_folder_name(Path(f"stdout{ending}")):
        raise ConfigError(
            f"a {ending} image is a folder, which stdout cannot take; --format tif can"
        )
    return ending
