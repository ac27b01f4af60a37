"""A dask cluster of its own processes, as a user starts one, for the tests that need it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def running_cluster(
    folder: Path, *, preload: str = "", search: tuple[Path, ...] = ()
) -> Iterator[str]:
    """Start a scheduler and two workers by dask's own commands: its address.

    Parameters
    ----------
    folder : Path
        Where they run, far from our files.
    preload : str
        A module that the workers load first.
    search : tuple of Path
        Folders in which they find modules, too.
    """
    contact = folder / "scheduler.json"
    loads = f" --preload {preload}" if preload else ""
    commands = (
        f"scheduler --host 127.0.0.1 --port 0 --no-dashboard --scheduler-file {contact}",
        f"worker --scheduler-file {contact} --nworkers 2 --nthreads 1 --no-dashboard{loads}",
    )
    path = os.pathsep.join([*map(str, search), os.environ.get("PYTHONPATH", "")])
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *command.split()],
            cwd=folder,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )
        for command in commands
    ]
    until = time.monotonic() + 30
    while not contact.exists() and time.monotonic() < until:
        time.sleep(0.05)
    try:
        yield str(json.loads(contact.read_text())["address"])
    finally:
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
