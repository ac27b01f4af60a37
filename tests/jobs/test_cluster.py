"""A batch on a dask cluster comes out as on one machine, whatever happens to workers."""

import csv
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask_processes import running_cluster
from kill_test import QUICK, count, make_images

from evodenoise.cli import main
from evodenoise.errors import ConfigError
from evodenoise.jobs import cluster as module
from evodenoise.jobs.cluster import Cluster, ClusterPool, reach_cluster, read_address
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.page import read_page
from evodenoise.jobs.pool import Watch
from evodenoise.jobs.resources import Resources

IMAGES = 40
CHANGING = ("output", "cpu_seconds", "wall_seconds", "peak_memory")
"""What records tell that may differ between two runs."""

OVERRIDES = {"latents": 16, "hidden": (16,), "states": 4, "device": "cpu"}


def run(command: str) -> int:
    return main(shlex.split(command))


# --- what needs no cluster


@pytest.mark.parametrize(
    "text", ["tcp://host:8786", "host:8786", "tls://10.0.0.1:1", "tcp://[::1]:80", "ucx://a.b:2/"]
)
def test_addresses_of_schedulers(text: str) -> None:
    assert read_address(text) == text


@pytest.mark.parametrize(
    "text", ["", "foo", "tcp://", "tcp://host", "htp://host:1", "host:99999", "a b:1", "a:1/x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="is not an address; write for example tcp://host:8786"):
        read_address(text)


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work beside a folder with two noisy images."""
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "noisy", 2)
    return tmp_path


@pytest.mark.usefixtures("shots")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("noisy -o out --scheduler here", "is not an address"),
        ("noisy -o out --scheduler a:1 -j 2", "--jobs is for this machine"),
        ("noisy -o out --scheduler a:1 --share-model", "needs --save-model FILE"),
        ("- --scheduler a:1", "--scheduler is for files"),
        ("noisy/image000.png -o - --scheduler a:1", "--scheduler is for files"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    options: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert not Path("out").exists()


@pytest.mark.usefixtures("shots")
def test_without_dask_a_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert run("noisy -o out --scheduler a:1") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "python -m pip install 'evodenoise[dask]'" in line


class Client:
    """Answers like dask's, as it is told to."""

    status = "running"

    def __init__(self, answers: dict[str, tuple[str, bool]], late: int = 0) -> None:
        self.answers, self.late = answers, late

    def nthreads(self) -> dict[str, int]:
        self.late -= 1
        return {} if self.late >= 0 else dict.fromkeys(self.answers, 1)

    def run(self, _: Callable[[], object]) -> dict[str, tuple[str, bool]]:
        return self.answers


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (("", True), "worker tcp://w:1 has no evodenoise, and this is"),
        (("0.0.1", True), "worker tcp://w:1 has evodenoise 0.0.1, and this is"),
        ((module.__version__, False), "worker tcp://w:1 does not see the folder"),
    ],
)
def test_a_worker_unlike_us_is_refused(answer: tuple[str, bool], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Cluster("tcp://s:1", Client({"tcp://w:1": answer}), print).check_workers()


def test_workers_that_are_late_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 0.01)
    said: list[str] = []
    Cluster("tcp://s:1", Client({"tcp://w:1": ("", True)}, late=3), said.append).wait_for_workers()
    assert len(said) == 1
    assert "this starts one: dask worker tcp://s:1" in said[0]


# --- what needs dask


needs_dask = pytest.mark.skipif(
    sys.platform == "win32", reason="the cluster is killed by signals of Unix"
)


@pytest.fixture(scope="module")
def distributed() -> Any:
    return pytest.importorskip("distributed", reason="needs the extra evodenoise[dask]")


@pytest.mark.usefixtures("shots", "distributed")
def test_who_is_no_scheduler_is_given_up_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert run(f"noisy -o out --scheduler tcp://127.0.0.1:{port}") == 2
    assert run(f"noisy -o out --scheduler tcp://127.0.0.1:{port}") == 2  # nobody there any more
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(f"tcp://127.0.0.1:{port}: cannot be reached: " in line for line in lines)
    assert not Path("out").exists()


@pytest.fixture(scope="module")
def address(distributed: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a scheduler and two workers by dask's own commands, far from our files."""
    assert distributed
    with running_cluster(tmp_path_factory.mktemp("dask")) as address:
        yield address


@pytest.fixture
def client(distributed: Any, address: str) -> Iterator[Any]:
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2)
        yield client


def start(folder: Path, output: str, *more: str) -> "subprocess.Popen[str]":
    command = f"noisy -o {output} --report {output}.csv --report {output}.html {QUICK}"
    return subprocess.Popen(
        [sys.executable, "-m", "evodenoise", *command.split(), *more],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def rows(path: Path) -> list[dict[str, str]]:
    """Read what a report tells, but for what changes from run to run."""
    with path.open() as stream:
        found = list(csv.DictReader(stream))
    return [{name: row[name] for name in row if name not in CHANGING} for row in found]


@needs_dask
def test_a_batch_is_that_of_one_machine_though_a_worker_is_killed(
    tmp_path: Path, address: str, client: Any
) -> None:
    make_images(tmp_path / "noisy", IMAGES, side=16)
    victim = next(iter(client.run(os.getpid).values()))
    process = start(tmp_path, "out", "--epochs", "3", "--scheduler", address)
    while count(tmp_path / "out") < IMAGES // 2 and process.poll() is None:
        time.sleep(0.005)
    os.kill(victim, signal.SIGKILL)
    assert count(tmp_path / "out") < IMAGES
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors.splitlines()[-1].startswith(f"{IMAGES} done;")

    alone = start(tmp_path, "local", "--epochs", "3")
    assert alone.communicate()
    assert rows(tmp_path / "out.csv") == rows(tmp_path / "local.csv")
    assert [row["status"] for row in rows(tmp_path / "out.csv")] == ["done"] * IMAGES
    views, expected = (
        [views for _, views in read_page((tmp_path / name).read_text())]
        for name in ("out.html", "local.html")
    )
    assert views == expected
    assert None not in views
    for path in (tmp_path / "local").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert count(tmp_path / "out") == len(list((tmp_path / "out").iterdir())) == IMAGES


@needs_dask
def test_errors_and_exit_codes_are_those_of_one_machine(
    tmp_path: Path, address: str, client: Any
) -> None:
    assert client
    make_images(tmp_path / "noisy", 1)
    (tmp_path / "noisy/bad.png").write_text("no image")
    np.save(tmp_path / "noisy/gone.npy", np.full((8, 8), np.nan))
    ends = []
    for output, more in (("local", ()), ("out", ("--scheduler", address))):
        process = start(tmp_path, output, "--epochs", "1", "--residual", f"{output}_taken", *more)
        told = process.communicate()[1]
        ends.append((process.returncode, "1 done, 2 failed" in told))
    assert ends == [(3, True)] * 2
    assert rows(tmp_path / "out.csv") == rows(tmp_path / "local.csv")
    assert (tmp_path / "out_taken/image000.tif").exists()
    again = start(tmp_path, "out", "--skip-existing", "--scheduler", address)
    assert "2 failed, 1 skipped" in again.communicate()[1]
    assert rows(tmp_path / "out.csv") == rows(tmp_path / "local.csv")


@needs_dask
def test_ctrl_c_finishes_what_was_begun_on_a_cluster(
    tmp_path: Path, address: str, client: Any
) -> None:
    assert client
    make_images(tmp_path / "noisy", 6)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = start(tmp_path, "out", "--epochs", "60", "--scheduler", address)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert process.stderr
    assert "noise level" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "stopping: the images that have been begun are finished" in errors
    statuses = sorted(row["status"] for row in rows(tmp_path / "out.csv"))
    done = statuses.count("done")
    assert statuses == ["done"] * done + ["pending"] * (6 - done)
    assert 1 <= done <= 4
    assert len(list((tmp_path / "out").iterdir())) == done


def denoise_there(
    jobs: list[Job], address: str, on_progress: Callable[[Job], object], *, epochs: int
) -> tuple[list[Job], dict[Job, str]]:
    """Send images to a cluster; return what was finished, and what failed and why."""
    finished: list[Job] = []
    failed: dict[Job, str] = {}
    watch = Watch(
        on_start=lambda _: None,
        on_progress=lambda job, _: on_progress(job),
        on_ready=lambda *_: None,
        on_finish=finished.append,
        on_failure=failed.__setitem__,
    )
    settings = RunSettings(overrides={**OVERRIDES, "epochs": epochs})
    with reach_cluster(address, print) as cluster:
        ClusterPool(settings, Resources(1), watch, cluster).run(jobs, lambda: False)
    return finished, failed


@needs_dask
@pytest.mark.parametrize("victim", ["process", "worker"])
def test_an_image_that_kills_whoever_works_on_it_is_reported_as_failed(
    victim: str, tmp_path: Path, address: str, client: Any
) -> None:
    """Its process, as on one machine; or the worker, as often as dask allows: here never."""
    import psutil

    make_images(tmp_path / "noisy", 2)
    jobs = [
        Job(path, tmp_path / f"{path.stem}.npy", Path(path.name))
        for path in sorted((tmp_path / "noisy").iterdir())
    ]

    def kill(job: Job) -> None:
        """Kill those who work on the first image, which is alone then."""
        if job == jobs[0]:
            for worker in map(psutil.Process, client.run(os.getpid).values()):
                with suppress(psutil.NoSuchProcess):  # killed already, which is noticed later
                    for child in worker.children():
                        (child if victim == "process" else worker).kill()

    def allow(failures: int) -> None:
        client.run_on_scheduler(
            lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", failures)
        )

    allow(0)
    try:
        _, failed = denoise_there(jobs[:1], address, kill, epochs=200)
        client.wait_for_workers(2)
    finally:
        allow(3)
    reason = "died (SIGKILL; perhaps out of memory)" if victim == "process" else "1 worker died"
    assert reason in failed[jobs[0]]
    assert not jobs[0].target.exists()
    assert denoise_there(jobs[1:], address, lambda _: None, epochs=1) == (jobs[1:], {})
    assert np.load(jobs[1].target).shape == (24, 24)
