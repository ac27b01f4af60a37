"""Folders that appear under their name complete or not at all."""

import contextlib
import os
import shutil
import time
import uuid
from pathlib import Path

from evodenoise.system.files import partial_start

try:
    import fcntl
except ImportError:  # Windows, which lets nobody remove a file that is open
    fcntl = None  # type: ignore[assignment]

_PARTIAL, _OLD = ".part", ".old"

_LAST_WRITES = 0.1
"""Seconds that threads have to end after an exception."""


class NewFolder:
    """A folder filled beside its final place, removed at the end unless it was put there.

    What a killed run has left of the same folder is swept away first; if that run was about to
    replace a folder and got no further than moving it away, the old one comes back.

    Parameters
    ----------
    path : Path
        The final place; the folder around it exists.

    Attributes
    ----------
    folder : Path
        Empty, to be filled, once entered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = partial_start(path)
        self.folder = path.with_name(f"{self._start}{uuid.uuid4().hex[:8]}{_PARTIAL}")
        self._lock: int | None = None

    def __enter__(self) -> "NewFolder":
        self._sweep()
        self.folder.mkdir()
        # Some network file systems have no locks; then nothing is swept there either.
        with contextlib.suppress(OSError):
            self._lock = _lock(self.folder)
        return self

    def flush(self) -> None:
        """Do nothing: what is in the folder has been handed over to the system."""

    def put(self) -> None:
        """Let the folder appear in its final place, whole; one that is there already goes."""
        old = self.folder.with_suffix(_OLD)
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(old)
        try:
            self.folder.rename(self.path)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                old.rename(self.path)
            raise
        if old.is_symlink():
            old.unlink()
        shutil.rmtree(old, ignore_errors=True)

    def __exit__(self, interrupted: type[BaseException] | None, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if interrupted is not None:
            # Threads that were writing when the exception came may not have ended yet.
            time.sleep(_LAST_WRITES)
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def _sweep(self) -> None:
        """Remove what nobody is working on any more."""
        with os.scandir(self.path.parent) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.startswith(self._start)]
        for left in found:
            with contextlib.suppress(OSError):
                if left.suffix == _OLD and not self.path.exists():
                    left.rename(self.path)
                elif left.is_dir():
                    lock = _lock(left)
                    shutil.rmtree(left, ignore_errors=True)
                    os.close(lock)


def _lock(folder: Path) -> int:
    """Show other runs that somebody works on a folder; fail if somebody does."""
    if fcntl is None:
        raise OSError("no locks")
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        raise
    return opened
