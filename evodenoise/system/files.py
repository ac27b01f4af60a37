"""Files that appear under their name complete or not at all."""

import contextlib
import hashlib
import os
import uuid
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, which lets nobody remove a file that is open
    fcntl = None  # type: ignore[assignment]


class NewFile:
    """A file written beside its final place, removed at the end unless it was put there.

    Whatever a killed run has left of the same file is swept away first.

    Parameters
    ----------
    path : Path
        The final place; its folder exists.

    Attributes
    ----------
    stream : IO[bytes]
        To be written to, and read, once entered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = partial_start(path)
        self._partial = path.with_name(f"{self._start}{uuid.uuid4().hex[:8]}.part")

    def __enter__(self) -> "NewFile":
        _sweep(self.path.parent, self._start)
        self.stream: IO[bytes] = self._partial.open("x+b")
        _lock(self.stream)
        return self

    def flush(self) -> None:
        """Hand everything over to the system, so that errors of the disk show up."""
        self.stream.flush()

    def put(self) -> None:
        """Let the file appear in its final place, at once and whole."""
        self.stream.flush()
        self._partial.replace(self.path)

    def __exit__(self, *_: object) -> None:
        try:
            self.stream.close()
        finally:
            self._partial.unlink(missing_ok=True)


def partial_start(path: Path) -> str:
    """Say how the names begin of what is not yet, or no longer, in its final place."""
    # Not made from the name of `path` itself, which may be as long as names can be.
    name = os.fsencode(path.name)
    return f".evodenoise-{hashlib.sha256(name).hexdigest()[:8]}-"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file; it appears under its name complete or not at all.

    Parameters
    ----------
    path : Path
        Where it goes; a file that is there already is replaced.
    content : bytes
        All of it.
    """
    with NewFile(path) as file:
        file.stream.write(content)
        file.put()


def _lock(stream: IO[bytes]) -> None:
    """Show other runs that somebody is writing."""
    if fcntl is not None:
        # Some network file systems have no locks; then nothing is swept there either.
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sweep(folder: Path, start: str) -> None:
    """Remove partial files that nobody is writing any more."""
    with os.scandir(folder) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(start)]
    for path in map(Path, found):
        with contextlib.suppress(OSError):
            if fcntl is not None:
                with path.open("rb") as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
