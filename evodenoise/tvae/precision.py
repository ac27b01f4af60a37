"""The precision of what only proposes; all that is kept is computed in float32."""

from functools import cache

import torch


@cache
def proposal_dtype(device: torch.device) -> torch.dtype:
    """Choose the precision of the matrix products that only propose states.

    Decided by what the hardware computes fast, never by a timing, so that results repeat.

    Parameters
    ----------
    device : torch.device
        Where they are computed.

    Returns
    -------
    torch.dtype
        bfloat16 where it has instructions of its own, else float32.
    """
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = device.type == "cpu" and torch.backends.mkldnn.is_available() and _cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def _cpu_has_bfloat16() -> bool:
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
