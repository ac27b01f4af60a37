"""What of the machine a run may use, and how images share it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.worker import Assignment

SMALL_IMAGE = 128 * 128
"""Pixels up to which a second thread does not pay."""


def available_cores() -> int:
    """Count the cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(pixels: int, cores: int, *, jobs: int | None, threads: int | None) -> int:
    """Choose the CPU threads of one image, never by what other images there are.

    Parameters
    ----------
    pixels : int
        Size of the image.
    cores : int
        Cores of the machine.
    jobs, threads : int or None
        As asked for.

    Returns
    -------
    int
        Threads; at least 1.
    """
    if threads is not None:
        return threads
    return 1 if pixels <= SMALL_IMAGE else max(1, cores // (jobs or 1))


@dataclass(frozen=True)
class Resources:
    """What a batch may use.

    Attributes
    ----------
    cores : int
        CPU cores.
    devices : tuple of str
        Where to compute: ``("cpu",)``, or the GPUs.
    jobs : int or None
        Images at once; None: one a GPU, or as many as there are cores for.
    threads : int or None
        CPU threads of each image; None: by its size.
    """

    cores: int
    devices: tuple[str, ...] = ("cpu",)
    jobs: int | None = None
    threads: int | None = None

    def slots(self) -> int:
        """Say how many images are worked on at once, at most."""
        return self.jobs or (self.cores if self.devices == ("cpu",) else len(self.devices))

    def has_room(self, assignment: Assignment, running: Sequence[Assignment]) -> bool:
        """Tell whether one more image may be started."""
        if len(running) >= self.slots():
            return False
        # Beyond what was asked for, an image starts only where there are cores left for it.
        busy = sum(each.threads for each in running)
        return not running or self.jobs is not None or busy + assignment.threads <= self.cores

    def device(self, running: Sequence[Assignment]) -> str:
        """Choose the device that has the least to do."""
        used = [assignment.device for assignment in running]
        return min(self.devices, key=used.count)


def find_resources(settings: RunSettings, jobs: int | None, *, here: bool = True) -> Resources:
    """Find out what a batch may use: cores, and GPUs if there are and the settings let us.

    Parameters
    ----------
    settings : RunSettings
        The run.
    jobs : int or None
        Images at once, as asked for.
    here : bool
        Whether it is done on this machine; others have devices of their own, but an image has as
        many threads as it would have here, lest results differ.

    Returns
    -------
    Resources
        For a `Pool`.

    Raises
    ------
    DeviceError
        If the device that was asked for is not there.
    """
    device = settings.overrides.get("device") or "auto"
    devices: tuple[str, ...] = (device,)
    if here and device != "cpu":  # torch takes seconds to load
        from evodenoise.system.device import list_devices

        devices = list_devices(device)
    return Resources(available_cores(), devices, jobs, settings.threads)
