"""From a device's name to the device, and the process made ready for it."""

import ctypes
import re

import torch

from evodenoise.errors import DeviceError, plural

KEPT_BYTES = 32 * 2**20
"""The most that GNU's C library takes for a block that it may keep."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of its `mallopt`."""


def resolve_device(name: str) -> torch.device:
    """Find the device to compute on.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto``: the first CUDA GPU if there
        is one, else the CPU. (Apple's MPS is slower than the CPU on small decoders,
        so it has to be asked for.)

    Returns
    -------
    torch.device
        A device that is there.

    Raises
    ------
    DeviceError
        If the name is none of these or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    known = re.fullmatch(r"cpu|mps|cuda(?::([0-9]{1,9}))?", name)
    if not known:
        raise DeviceError(f"device {name!r} is unknown; use auto, cpu, cuda, cuda:N or mps")
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' is not there; use auto")
    if name in ("cpu", "mps"):
        return torch.device(name)
    # torch keeps the index in 8 bits: its own parser takes cuda:256 for cuda:0.
    index, found = int(known[1] or 0), torch.cuda.device_count()
    if index >= found:
        gpus = plural(found, "CUDA GPU")
        raise DeviceError(f"device {name!r} is not there ({gpus} found); use auto")
    return torch.device("cuda", index)


def list_devices(name: str) -> tuple[str, ...]:
    """Find the devices that several images can be computed on at once.

    Parameters
    ----------
    name : str
        As for `resolve_device`.

    Returns
    -------
    tuple of str
        All CUDA GPUs for ``auto`` and ``cuda`` if there are any, else the one that is named.
    """
    first = str(resolve_device(name))
    if name in ("auto", "cuda") and first.startswith("cuda"):
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return (first,)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was given, so that a clock tells what that took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def describe_device(device: torch.device) -> str:
    """Name a device as its user knows it."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"{device} ({plural(torch.get_num_threads(), 'thread')})"
    return str(device)


def prepare_process(threads: int | None) -> None:
    """Get this process ready to compute.

    Parameters
    ----------
    threads : int or None
        CPU threads it may use; None leaves it at all cores.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Keep up to `KEPT_BYTES` of freed memory for the next tensor instead of giving them back.

    A mini-batch frees what the next one needs again; to be given fresh pages by the operating
    system each time costs up to a tenth of the time.

    Returns
    -------
    bool
        Whether the C library can (GNU's).
    """
    try:
        tune = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(tune(option, KEPT_BYTES) for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
