"""`-`: an image from stdin, an image to stdout."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from evodenoise.errors import ConfigError, EvodenoiseError
from evodenoise.images import FORMATS, read_image

STREAM = "-"


def goes_to_stdout(files: Sequence[str], output: str | None) -> bool:
    """Tell whether the image is to go to stdout; what comes from stdin does unless told."""
    return output == STREAM or (output is None and list(files) == [STREAM])


@contextmanager
def open_streams(
    files: Sequence[str], output: str | None, ending: str | None
) -> Iterator[tuple[Sequence[str], str | None, str | None]]:
    """Put files in the places of stdin and stdout while an image is denoised.

    Parameters
    ----------
    files : sequence of str
        Inputs, as typed.
    output : str or None
        The output, as typed.
    ending : str or None
        Ending of the output without its dot; None: that of the input's format.

    Yields
    ------
    files, output, ending
        With real files instead of ``-``.

    Raises
    ------
    ConfigError
        If ``-`` stands beside other inputs, or an image would go to a terminal.
    """
    to_stdout = goes_to_stdout(files, output)
    if STREAM not in files and not to_stdout:
        yield files, output, ending
        return
    if len(files) > 1:
        raise ConfigError("- stands for one image; leave the other inputs out")
    if to_stdout and sys.stdout.isatty():
        raise ConfigError("stdout is a terminal, which shows no images; redirect it, or add -o")
    with tempfile.TemporaryDirectory(prefix="evodenoise-") as folder:
        source, target = Path(files[0]), Path(folder, "stdout")
        try:
            if files[0] == STREAM:
                source = Path(folder, STREAM)
                source.write_bytes(sys.stdin.buffer.read())
            if to_stdout:
                target = target.with_suffix(_ending(source, ending))
                yield [str(source)], str(target), None
            else:
                yield [str(source)], output, ending
        except EvodenoiseError as error:
            # The user knows nothing of our files.
            raise type(error)(str(error).replace(f"{folder}{os.sep}", "")) from error
        if target.exists():
            sys.stdout.buffer.write(target.read_bytes())
            sys.stdout.buffer.flush()


def _ending(source: Path, ending: str | None) -> str:
    if ending is not None:
        return f".{ending}"
    name = read_image(source).format
    return next(ending for ending, known in FORMATS.items() if known.name == name)
