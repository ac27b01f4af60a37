"""The precision of proposals: chosen by the hardware, never by a clock."""

import pytest
import torch

from evodenoise.tvae.precision import proposal_dtype


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_it_is_one_of_two(device: str) -> None:
    assert proposal_dtype(device) in (torch.bfloat16, torch.float32)
    assert proposal_dtype(device) is proposal_dtype(device)


def test_an_unknown_accelerator_gets_full_precision() -> None:
    assert proposal_dtype("mps") is torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_since_ampere_gets_half_of_it() -> None:
    fast = torch.cuda.get_device_capability() >= (8, 0)
    assert proposal_dtype("cuda") is (torch.bfloat16 if fast else torch.float32)


def test_a_cpu_without_instructions_for_it_gets_full_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: False, raising=False)
    proposal_dtype.cache_clear()
    try:
        assert proposal_dtype("cpu") is torch.float32
    finally:
        proposal_dtype.cache_clear()
