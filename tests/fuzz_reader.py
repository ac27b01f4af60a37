"""Damage valid files of every kind at random and read them; run by hand, see `--help`.

What could be read is written again.
Whatever the damage, the reader returns an image or raises an `ImageError` in time and within its
memory, and the command ends with one line and leaves nothing behind. A file may still be read: a
flipped bit in pixels that are not compressed cannot be noticed.
"""

import argparse
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from kinds import every

from evodenoise.errors import ImageError, OutputError
from evodenoise.images import ReadOptions, check_output, read_image, write_image

SECONDS_A_FILE = 20
GIGABYTES = 6
QUICK = ["--epochs", "1", "--latents", "8", "--hidden", "8", "--states", "2", "--device", "cpu"]


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut a file short, flip some of its bytes, or both; heads are hit more often."""
    data = bytearray(content)
    kind = rng.integers(4)
    if kind in (0, 3):
        del data[rng.integers(len(data)) :]
    if kind in (1, 2, 3) and data:
        reach = min(len(data), 300) if rng.random() < 0.6 else len(data)
        for place in rng.integers(reach, size=rng.integers(1, 9)):
            data[place] = rng.integers(256)
    return bytes(data)


def read_all(folder: Path, count: int, seed: int, *, most_seconds: int) -> Counter[str]:
    """Read damaged files; raise whatever is no `ImageError`, with the file left in place."""
    rng = np.random.default_rng(seed)
    files = every(folder)
    sources = [path.read_bytes() for path in files]
    outcomes: Counter[str] = Counter()
    handler = signal.signal(signal.SIGALRM, lambda *_: sys.exit("too slow"))
    for turn in range(count):
        which = rng.integers(len(files))
        path = folder / f"damaged{files[which].suffix}"
        path.write_bytes(damage(sources[which], rng))
        signal.alarm(most_seconds)
        try:
            image = read_image(path, ReadOptions(most_pixels=10**7))
            outcomes["read"] += 1
            again = path.with_name(f"again{path.suffix}")
            check_output(again, image, source=path, overwrite=True)
            write_image(again, image)
            outcomes["written"] += 1
        except OutputError:
            pass
        except ImageError as error:
            named = str(error).startswith(f"{path}: ")
            outcomes["refused" if named else "refused without a name"] += 1
        except BaseException:
            path.rename(Path(tempfile.gettempdir()) / f"fuzz{turn}{path.suffix}")
            raise
        finally:
            signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    return outcomes


def run_all(folder: Path, count: int, seed: int) -> Counter[str]:
    """Run the command on damaged files."""
    rng = np.random.default_rng(seed)
    files = every(folder)
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        source = files[rng.integers(len(files))]
        path = folder / f"damaged{source.suffix}"
        path.write_bytes(damage(source.read_bytes(), rng))
        before = {entry.name for entry in folder.iterdir()}
        done = subprocess.run(
            [sys.executable, "-m", "evodenoise", path.name, "-o", f"out{path.suffix}", *QUICK],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_A_FILE * 6,
        )
        after = {entry.name for entry in folder.iterdir()}
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        expected = before | {f"out{path.suffix}"} if done.returncode == 0 else before
        fine = "Traceback" not in done.stderr and done.returncode in (0, 2) and after == expected
        if not fine or len(errors) != (done.returncode == 2):
            raise AssertionError(f"{source.name}: {done}, new: {after - before}")
        (folder / f"out{path.suffix}").unlink(missing_ok=True)
        outcomes[f"exit code {done.returncode}"] += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="through the reader")
    parser.add_argument("--runs", type=int, default=100, help="through the command")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    limit = GIGABYTES * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "reader").mkdir()
        (folder / "command").mkdir()
        counts = read_all(
            folder / "reader", arguments.files, arguments.seed, most_seconds=SECONDS_A_FILE
        )
        print(f"reader: {dict(counts)}, {time.perf_counter() - started:.0f} s")
        print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
        print(f"command: {dict(run_all(folder / 'command', arguments.runs, arguments.seed))}")


if __name__ == "__main__":
    main()
