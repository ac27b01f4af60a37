"""Names of devices; what is there depends on the machine, what is refused does not."""

import platform
import subprocess
import sys

import pytest
import torch

from evodenoise.errors import DeviceError
from evodenoise.system.device import describe_device, keep_freed_memory, resolve_device

GPUS = torch.cuda.device_count()
needs_gpu = pytest.mark.skipif(GPUS == 0, reason="needs a CUDA GPU")


def test_cpu() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_takes_a_gpu_if_there_is_one() -> None:
    assert resolve_device("auto").type == ("cuda" if GPUS else "cpu")


@needs_gpu
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_the_first_gpu(name: str) -> None:
    assert resolve_device(name) == torch.device("cuda", 0)


@pytest.mark.parametrize(
    "name",
    [
        f"cuda:{GPUS}",
        "cuda:99",
        # torch keeps an index in 8 bits and would take these for cuda:-128, cuda and cuda:0 ...
        "cuda:128",
        "cuda:255",
        "cuda:256",
        # ... and raise an error of its own here.
        "cuda:999999999",
    ],
)
def test_refuses_a_gpu_that_is_not_there(name: str) -> None:
    with pytest.raises(DeviceError, match=f"device '{name}' is not there"):
        resolve_device(name)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="needs a machine without MPS")
def test_refuses_mps_where_there_is_none() -> None:
    with pytest.raises(DeviceError, match="'mps' is not there"):
        resolve_device("mps")


@pytest.mark.parametrize(
    "name",
    [
        *("", "gpu", "CPU", "cpu:0", "cpu\n"),
        *("cuda:", "cuda:-1", "cuda:1.5", "cuda 0", "cuda:\u0663", "cuda:" + 30 * "9"),
    ],
)
def test_refuses_an_unknown_name(name: str) -> None:
    with pytest.raises(DeviceError, match="use auto, cpu, cuda, cuda:N or mps"):
        resolve_device(name)


def test_the_cpu_is_described_with_its_threads() -> None:
    assert f"({torch.get_num_threads()} thread" in describe_device(torch.device("cpu"))


@needs_gpu
def test_a_gpu_is_described_with_its_name() -> None:
    assert torch.cuda.get_device_name(0) in describe_device(torch.device("cuda", 0))


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


FAULTS = """
import resource, torch
from evodenoise.system.device import keep_freed_memory
def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(4 * 2**20)  # 16 MiB, 4096 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
keep_freed_memory()
page_faults()
print(page_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs GNU's C library")
def test_kept_memory_is_not_fetched_again() -> None:
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    assert int(told.stdout) < 4096
