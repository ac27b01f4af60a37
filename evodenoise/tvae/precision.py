"""The precision of what only proposes; all that is kept is computed in float32."""

from functools import cache

import torch


@cache
def proposal_dtype(device: str) -> torch.dtype:
    """Choose the precision of the matrix products that only propose states.

    Decided by what the hardware computes fast, never by a timing, so that results repeat.

    Parameters
    ----------
    device : str
        Type of the device: ``cpu``, ``cuda`` or ``mps``.

    Returns
    -------
    torch.dtype
        bfloat16 where it has instructions of its own, else float32.
    """
    if device == "cuda":
        fast = torch.cuda.get_device_capability() >= (8, 0)
    else:
        fast = device == "cpu" and torch.backends.mkldnn.is_available() and _cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def _cpu_has_bfloat16() -> bool:
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
