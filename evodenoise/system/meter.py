"""What a piece of work takes: CPU seconds and memory of this process."""

import sys
import time

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class Meter:
    """Measures from its creation on."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            for index in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(index)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all threads since."""
        return time.process_time() - self._cpu

    def threads(self) -> int:
        """Return how many CPU threads a computation uses."""
        return torch.get_num_threads()

    def peak_memory(self, device: str) -> int | None:
        """Return the most memory in use, in bytes.

        Parameters
        ----------
        device : str
            Where the work was done.

        Returns
        -------
        int or None
            On a CUDA device, of tensors there since; elsewhere, of the whole process in all
            its life, since systems keep no other record; None if the system keeps none.
        """
        if device.startswith("cuda"):
            return int(torch.cuda.max_memory_allocated(device))
        if resource is None:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
