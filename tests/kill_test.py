"""Kill a batch again and again and start it anew: run by hand, a small version in test_batch.py.

python tests/kill_test.py --images 20 --kills 20 --report report.csv
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pictures import add_noise, as_dtype, wave
from PIL import Image

QUICK = "--preset fast --latents 16 --hidden 16 --states 4 --device cpu --threads 1"


def make_images(folder: Path, count: int, side: int = 24) -> None:
    """Make noisy images, all different."""
    folder.mkdir()
    for number in range(count):
        noisy = as_dtype(add_noise(wave(side, side), seed=number), "uint8")
        Image.fromarray(noisy).save(folder / f"image{number:03}.png")


def start(folder: Path, output: str, report: str, *more: str) -> "subprocess.Popen[bytes]":
    """Start a batch in a process group of its own."""
    command = [sys.executable, "-m", "evodenoise", "noisy", "-o", output, "--report", report]
    epochs = [] if "--epochs" in more else ["--epochs", "1"]
    return subprocess.Popen(
        [*command, *QUICK.split(), *epochs, *more],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Let a batch run to its end."""
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


def kill(process: "subprocess.Popen[bytes]", output: Path, more: int, patience: float) -> bool:
    """Kill a batch with all its workers; tell whether it was still running.

    Some seconds after it has written some more outputs, which may be none: then it starts up.
    """
    wanted = count(output) + more
    while process.poll() is None and count(output) < wanted:
        time.sleep(0.01)
    try:
        process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0
    return False


def count(output: Path) -> int:
    """Count the outputs that are there."""
    return sum(path.name[0] != "." for path in output.glob("*"))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a report without the code that is tested."""
    if not path.exists():
        return []
    text = path.read_text()
    if path.suffix == ".json":
        return list(json.loads(text)["files"])
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


def check_whole(output: Path, expected: Path, rows: list[dict[str, str]]) -> int:
    """Check that whatever is there is as it should be; count it."""
    found = [path for path in output.glob("*") if not path.name.startswith(".")]
    for path in found:
        assert path.read_bytes() == (expected / path.name).read_bytes(), f"{path} is torn"
    told = [Path(row["output"]).name for row in rows]
    assert len(told) == len(set(told)), "a row twice"
    assert {path.name for path in found} <= set(told), "an output without a row"
    return len(found)


def kill_and_restart(
    folder: Path, *, images: int, kills: int, report: str, seed: int = 0, jobs: int = 1
) -> dict[str, float]:
    """Kill a batch at random moments until it was killed often enough, then let it finish."""
    clock, chance = time.perf_counter(), random.Random(seed)
    make_images(folder / "noisy", images)
    begun = time.perf_counter()
    finish(start(folder, "expected", f"expected{Path(report).suffix}"))
    whole_run = time.perf_counter() - begun
    killed = restarts = 0
    while killed < kills:
        process = start(folder, "out", report, "--skip-existing", "-j", str(jobs))
        moment = chance.randint(0, 2), chance.uniform(0.0, 2 * whole_run / images)
        if kill(process, folder / "out", *moment):
            killed += 1
        else:  # done: from the beginning
            restarts += 1
            for path in [*(folder / "out").iterdir(), folder / report]:
                path.unlink()
        done = check_whole(folder / "out", folder / "expected", read_rows(folder / report))
        print(f"kill {killed}: {done} of {images} outputs", file=sys.stderr)
    finish(start(folder, "out", report, "--skip-existing"))
    rows = read_rows(folder / report)
    assert check_whole(folder / "out", folder / "expected", rows) == images
    expected = read_rows(folder / f"expected{Path(report).suffix}")
    names = [Path(row["input"]).name for row in rows]
    assert names == [Path(row["input"]).name for row in expected]
    assert all(row["status"] == "done" for row in rows)
    for key in ("noise_std", "free_energy", "epochs", "width"):
        assert [row[key] for row in rows] == [row[key] for row in expected]
    assert not list((folder / "out").glob(".*")), "a partial file is left"
    return {
        "kills": killed,
        "finished_early": restarts,
        "whole_run_seconds": whole_run,
        "seconds": time.perf_counter() - clock,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", default="report.csv")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(kill_and_restart(Path(scratch), **vars(given))))
