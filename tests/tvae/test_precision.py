"""The precision of proposals: chosen by the hardware, never by a clock."""

import pytest
import torch

from evodenoise.tvae.precision import proposal_dtype


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_it_is_one_of_two(device: str) -> None:
    where = torch.device(device)
    assert proposal_dtype(where) in (torch.bfloat16, torch.float32)
    assert proposal_dtype(where) is proposal_dtype(where)


def test_an_unknown_accelerator_gets_full_precision() -> None:
    assert proposal_dtype(torch.device("mps")) is torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_since_ampere_gets_half_of_it() -> None:
    fast = torch.cuda.get_device_capability() >= (8, 0)
    assert proposal_dtype(torch.device("cuda")) is (torch.bfloat16 if fast else torch.float32)


def test_a_cpu_without_instructions_for_it_gets_full_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: False, raising=False)
    proposal_dtype.cache_clear()
    try:
        assert proposal_dtype(torch.device("cpu")) is torch.float32
    finally:
        proposal_dtype.cache_clear()


def test_the_gpu_in_use_is_asked_and_not_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generations = {torch.device("cuda", 0): (7, 5), torch.device("cuda", 1): (9, 0)}
    monkeypatch.setattr(
        torch.cuda,
        "get_device_capability",
        lambda device=None: generations[device or torch.device("cuda", 0)],
    )
    proposal_dtype.cache_clear()
    try:
        found = [proposal_dtype(device) for device in generations]
    finally:
        proposal_dtype.cache_clear()
    assert found == [torch.float32, torch.bfloat16]
