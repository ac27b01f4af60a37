"""Worker processes: how many threads, how many at once, and what if one dies."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from files import GRAY
from PIL import Image as PillowImage

from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.pool import Pool, Watch
from evodenoise.jobs.resources import SMALL_IMAGE, Resources, choose_threads
from evodenoise.jobs.worker import Assignment

LARGE = SMALL_IMAGE + 1
QUICK = {"epochs": 1, "latents": 16, "hidden": (16,), "states": 4, "device": "cpu"}


@pytest.mark.parametrize(
    ("pixels", "jobs", "threads", "expected"),
    [
        (SMALL_IMAGE, None, None, 1),
        (LARGE, None, None, 8),
        (LARGE, 1, None, 8),
        (LARGE, 3, None, 2),
        (LARGE, 20, None, 1),
        (SMALL_IMAGE, 2, 5, 5),
    ],
)
def test_threads_of_an_image(
    pixels: int, jobs: int | None, threads: int | None, expected: int
) -> None:
    assert choose_threads(pixels, 8, jobs=jobs, threads=threads) == expected


def at_once(resources: Resources, *threads: int) -> int:
    """Count how many of these images are begun before one ends."""
    running: list[Assignment] = []
    for each in threads:
        assignment = Assignment(
            Job(Path("a"), Path("b"), Path("a")), resources.device(running), each
        )
        if not resources.has_room(assignment, running):
            break
        running.append(assignment)
    return len(running)


def test_images_at_once() -> None:
    assert at_once(Resources(8), 8, 8) == 1
    assert at_once(Resources(8), *[1] * 20) == 8
    assert at_once(Resources(8), 1, 1, 8) == 2
    assert at_once(Resources(8, jobs=3), *[2] * 20) == 3
    assert at_once(Resources(2), 5, 5) == 1
    assert at_once(Resources(8, ("cuda:0", "cuda:1")), *[1] * 20) == 2


def test_devices_take_turns() -> None:
    gpus = Resources(8, ("cuda:0", "cuda:1"))
    job = Job(Path("a"), Path("b"), Path("a"))
    assert gpus.device([]) == "cuda:0"
    assert gpus.device([Assignment(job, "cuda:0", 1)]) == "cuda:1"
    assert gpus.device([Assignment(job, "cuda:1", 1)]) == "cuda:0"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a thing of Unix")
def test_a_worker_that_dies_costs_its_image_only(tmp_path: Path) -> None:
    jobs = []
    for name in ("a", "b", "c"):
        PillowImage.fromarray(GRAY).save(tmp_path / f"{name}.png")
        jobs.append(Job(tmp_path / f"{name}.png", tmp_path / f"{name}.npy", Path(f"{name}.png")))
    (tmp_path / "c.png").write_text("no image")
    finished: list[Job] = []
    failed: dict[Job, str] = {}

    def on_progress(job: Job, _: object) -> None:
        if job == jobs[0]:
            os.kill(pool.workers[0].process.pid or 0, signal.SIGKILL)

    watch = Watch(
        on_start=lambda _: None,
        on_progress=on_progress,
        on_ready=lambda *_: None,
        on_finish=finished.append,
        on_failure=failed.__setitem__,
    )
    pool = Pool(RunSettings(overrides=QUICK), Resources(1), watch)
    pool.run(jobs, lambda: False)
    assert finished == [jobs[1]]
    assert "died (SIGKILL; perhaps out of memory)" in failed[jobs[0]]
    assert "is not a PNG" in failed[jobs[2]]
    assert np.load(tmp_path / "b.npy").shape == GRAY.shape
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.npy", "b.png", "c.png"]
