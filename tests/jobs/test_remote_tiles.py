"""A large image on a dask cluster: its tiles are done by all workers, and it comes out the same."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_tiles
from dask_processes import running_cluster
from pictures import add_noise, wave

from evodenoise.denoising import tiles
from evodenoise.jobs.cluster import ClusterPool, reach_cluster
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.job_result import JobResult
from evodenoise.jobs.pool import Watch
from evodenoise.jobs.process import prepare, run
from evodenoise.jobs.resources import Resources
from evodenoise.jobs.worker import Ready
from evodenoise.system.threads import limited

distributed = pytest.importorskip("distributed", reason="needs the extra evodenoise[dask]")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers are killed by signals")

SETTINGS = RunSettings(
    overrides={
        "latents": 16,
        "hidden": (16,),
        "states": 4,
        "patch_size": 5,
        "epochs": 1,
        "refinement": "gaussian",
        "device": "cpu",
    }
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a scheduler and two workers that take small images for large ones."""
    preload = Path(small_tiles.__file__)
    # What is sent to the workers is found there by the names of its modules.
    search = (preload.parent, preload.parents[1])
    folder = tmp_path_factory.mktemp("dask")
    with (
        running_cluster(folder, preload=str(preload), search=search) as address,
        distributed.Client(address, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Draw a noisy image."""
    noisy = add_noise(wave(80, 120), 20)
    np.save(tmp_path / "noisy.npy", noisy)
    return Job(tmp_path / "noisy.npy", tmp_path / "clean.npy", Path("noisy.npy"))


class Audience:
    """Takes down what becomes of an image."""

    def __init__(self) -> None:
        self.finished, self.errors = 0, list[str]()
        self.records: list[dict[str, Any]] = []
        self.watch = Watch(
            on_start=lambda _: None,
            on_progress=lambda *_: None,
            on_ready=self.record,
            on_finish=self.finish,
            on_failure=lambda _, error: self.errors.append(error),
        )

    @property
    def is_waiting(self) -> bool:
        return not self.finished and not self.errors

    def record(self, _: Job, ready: Ready) -> None:
        self.records.append(dict(ready.record))

    def finish(self, _: Job) -> None:
        self.finished += 1


def denoise_there(
    job: Job, client: Any, audience: Audience, stop_requested: Callable[[], bool] = lambda: False
) -> None:
    with reach_cluster(client.scheduler.address, print) as cluster:
        ClusterPool(SETTINGS, Resources(1), audience.watch, cluster).run([job], stop_requested)


def denoise_here(job: Job, monkeypatch: pytest.MonkeyPatch) -> JobResult:
    for name, value in small_tiles.SIZES.items():
        monkeypatch.setattr(tiles, name, value)
    with limited(1):
        return run(prepare(job, SETTINGS), SETTINGS)


def states(dask_worker: Any) -> list[str]:
    """List the states of all that a worker is at or has."""
    return [task.state for task in dask_worker.state.tasks.values()]


def contents(dask_worker: Any) -> dict[str, str]:
    """List the keys as well."""
    return {str(key): task.state for key, task in dask_worker.state.tasks.items()}


def test_it_is_that_of_one_machine_though_a_worker_is_killed(
    job: Job, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.wait_for_workers(2)
    there, killed = Audience(), list[str]()

    def kill() -> None:
        """Kill the worker that does nothing but tiles, once it is at one."""
        while not killed and there.is_waiting:
            tasks = client.run(states)
            for worker in tasks if any("long-running" in each for each in tasks.values()) else ():
                if "executing" in tasks[worker] and "long-running" not in tasks[worker]:
                    killed.append(worker)
                    os.kill(client.run(os.getpid)[worker], signal.SIGKILL)
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    denoise_there(job, client, there)
    killer.join()
    assert (there.finished, there.errors) == (1, [])
    assert len(killed) == 1
    content = job.target.read_bytes()
    job.target.unlink()
    here = denoise_here(job, monkeypatch)
    assert job.target.read_bytes() == content
    assert there.records[0]["noise_std"] == here.denoised.noise_std
    assert there.records[0]["free_energy"] == here.denoised.free_energy


def test_tiles_of_an_image_that_is_given_up_are_given_up(job: Job, client: Any) -> None:
    """As by Ctrl-C, twice."""
    client.wait_for_workers(2)
    noisy = np.load(job.source)
    noisy[75, 115] = small_tiles.ENDLESS
    np.save(job.source, noisy)

    def give_up() -> bool:
        """Interrupt while a tile is worked on, as one is for as long as it takes."""
        tasks = [task for each in client.run(states).values() for task in each]
        if {"executing", "long-running"} <= set(tasks):
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        denoise_there(job, client, Audience(), give_up)
    until = time.monotonic() + 30
    while any((left := client.run(contents)).values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(left.values())
    assert not job.target.exists()


def test_a_tile_that_kills_its_process_each_time_fails_the_image(job: Job, client: Any) -> None:
    client.wait_for_workers(2)
    noisy = np.load(job.source)
    noisy[75, 115] = small_tiles.DEADLY
    np.save(job.source, noisy)
    audience = Audience()
    denoise_there(job, client, audience)
    (error,) = audience.errors
    assert error == (
        "tile 6 of 6: the process working on it died (SIGKILL; perhaps out of memory), 3 times"
    )
    assert not job.target.exists()
