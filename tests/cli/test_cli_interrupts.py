"""Ctrl-C and SIGTERM, sent to the command as installed while it trains."""

import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from files import GRAY, snapshot
from PIL import Image as PillowImage

from evodenoise.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are a thing of Unix")

COMMAND = Path(sysconfig.get_path("scripts"), "evodenoise")
ENDLESS = "--epochs 1000000 --latents 16 --hidden 16 --states 4 --device cpu -v"
STOPPING = "stopping: the picture is finished"


@contextmanager
def training(
    folder: Path, options: str = ENDLESS, until: str = "epoch"
) -> Iterator[subprocess.Popen[str]]:
    """Start the command on a picture and wait for a line, that of the first epoch."""
    # An ignored signal, as in a background job, would be ignored by the child as well.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [COMMAND, *options.split()],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        wait_for(until, process)
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(start: str, process: subprocess.Popen[str]) -> None:
    """Read stderr up to a line that starts so."""
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        lines = []
        for line in process.stderr or ():
            lines.append(line)
            if line.startswith(start):
                return
        raise AssertionError(f"{start!r} was not said, but: {''.join(lines)}")
    finally:
        watchdog.cancel()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Make a folder with a picture and an older result."""
    PillowImage.fromarray(GRAY).save(tmp_path / "noisy.png")
    (tmp_path / "old.png").write_bytes(b"the old result")
    return tmp_path


def test_the_first_ctrl_c_finishes_the_picture(pictures: Path) -> None:
    before = snapshot(pictures)
    with training(pictures, f"noisy.png --reference noisy.png {ENDLESS}") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    after = snapshot(pictures)
    assert set(after) - set(before) == {"noisy_denoised.png"}
    with PillowImage.open(pictures / "noisy_denoised.png") as picture:
        result = np.asarray(picture)
    assert result.shape == GRAY.shape
    assert (result != GRAY).any()
    assert out.count("PSNR") == 2
    assert "Traceback" not in err
    _, stopping, rest = err.partition(STOPPING)
    assert stopping
    assert rest.count("free energy") <= 1  # the epoch that had begun
    assert "noisy_denoised.png" in rest


@pytest.mark.parametrize("output", ["out.png", "old.png --overwrite"])
def test_the_second_ctrl_c_ends_it_at_once(pictures: Path, output: str) -> None:
    """It arrives while the first one is still being obeyed, in an epoch that takes long."""
    noisy = np.random.default_rng(0).integers(0, 256, (600, 600), dtype=np.uint8)
    PillowImage.fromarray(noisy).save(pictures / "large.png")
    before = snapshot(pictures)
    with training(pictures, f"large.png -o {output} --epochs 1000 --device cpu -v") as process:
        process.send_signal(signal.SIGINT)
        wait_for(STOPPING, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "evodenoise: error: interrupted; nothing was written"
    assert snapshot(pictures) == before


@pytest.mark.parametrize("output", ["out.png", "old.png --overwrite"])
def test_sigterm_ends_it_at_once(pictures: Path, output: str) -> None:
    before = snapshot(pictures)
    with training(pictures, f"noisy.png -o {output} {ENDLESS}") as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert out == ""
    assert "Traceback" not in err
    assert snapshot(pictures) == before


def test_sigterm_waits_for_no_mini_batch(pictures: Path) -> None:
    """With nearly all pixels missing one took minutes, and the exit waited for its thread."""
    noisy = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    PillowImage.fromarray(noisy).save(pictures / "colour.png")
    mask = np.random.default_rng(1).random((96, 96)) < 0.95
    PillowImage.fromarray(mask).save(pictures / "mask.png")
    before = snapshot(pictures)
    options = "colour.png --mask mask.png --patch-size 16 --threads 2 --epochs 3"
    with training(pictures, options, "device") as process:
        time.sleep(2)  # well into the first mini-batch
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=15)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert snapshot(pictures) == before


@pytest.mark.parametrize("code", [130, 143])
def test_whoever_was_told_to_stop_waits_for_no_thread(code: int) -> None:
    script = f"""
import time
from concurrent.futures import ThreadPoolExecutor
from evodenoise import cli

def main():
    ThreadPoolExecutor(1).submit(time.sleep, 60)
    print("said")
    return {code}

cli.main = main
cli.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\n", "")


def test_ctrl_c_ends_a_benchmark_at_once(pictures: Path) -> None:
    before = snapshot(pictures)
    with training(pictures, "benchmark noisy.png --epochs 1000000 --device cpu -v") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "evodenoise: error: interrupted" in err
    assert snapshot(pictures) == before


SIGNAL_AT_IMPORT = """
import importlib.abc, os, signal, sys

class Signaller(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Signaller())
from evodenoise.cli import run
sys.argv[1:] = {words!r}
run()
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("numpy", "noisy.png"),  # before the command line has been read
        ("typer", "noisy.png"),
        ("rich.console", "--help"),
        ("evodenoise.denoising.checks", "noisy.png"),  # just before torch
        ("evodenoise.cli.batch_progress", "many -o out"),
        ("evodenoise.evaluation.benchmark", "benchmark noisy.png"),
    ],
)
@pytest.mark.parametrize(
    ("number", "code", "what"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_while_modules_are_loaded_is_answered_in_one_line(
    pictures: Path, module: str, words: str, number: signal.Signals, code: int, what: str
) -> None:
    """In the first tenths of a second: no traceback, and no silence."""
    (pictures / "many").mkdir()
    PillowImage.fromarray(GRAY).save(pictures / "many/a.png")
    before = snapshot(pictures)
    script = SIGNAL_AT_IMPORT.format(module=module, number=int(number), words=words.split())
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=pictures,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == f"evodenoise: error: {what}; nothing was written\n"
    assert (done.returncode, done.stdout) == (code, "")
    assert snapshot(pictures) == before


def test_sigterm_ends_a_batch_with_a_word(pictures: Path) -> None:
    for name in ("many/a.png", "many/b.png", "out/a.png"):
        (pictures / name).parent.mkdir(exist_ok=True)
        PillowImage.fromarray(GRAY).save(pictures / name)
    with training(pictures, f"many -o out --skip-existing {ENDLESS}", until="[1/2]") as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == (
        "evodenoise: error: terminated; whole files are in place, --skip-existing goes on\n"
    )
    assert sorted(path.name for path in (pictures / "out").iterdir()) == ["a.png"]


def test_handlers_are_put_back(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    options = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu"
    assert main(["noisy.png", *options.split()]) == 0
    assert main(["noisy.png", *options.split()]) == 2  # the output is there already
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_it_works_in_a_thread(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python allows no signal handlers."""
    monkeypatch.chdir(pictures)
    codes: list[int] = []
    options = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu"
    thread = threading.Thread(target=lambda: codes.append(main(["noisy.png", *options.split()])))
    thread.start()
    thread.join()
    assert codes == [0]
