"""Mini-batches that do not fit into memory."""

import logging

import pytest
import torch
from torch import Tensor

from evodenoise.tvae.batches import in_batches

PATCHES = torch.arange(23)


def test_all_patches_in_order() -> None:
    seen: list[Tensor] = []
    assert in_batches(PATCHES, 5, seen.append) == 5
    assert [len(batch) for batch in seen] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat(seen), PATCHES)


def test_a_batch_too_large_is_halved_until_it_fits(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Tensor] = []

    def work(batch: Tensor) -> None:
        if len(batch) > 3:
            raise torch.cuda.OutOfMemoryError
        seen.append(batch)

    with caplog.at_level(logging.WARNING):
        assert in_batches(PATCHES, 16, work) == 2
    assert torch.equal(torch.cat(seen), PATCHES)
    assert [record.getMessage().split()[-2] for record in caplog.records] == ["8", "4", "2"]


def test_not_even_one_patch_fits() -> None:
    def work(_: Tensor) -> None:
        raise torch.cuda.OutOfMemoryError

    with pytest.raises(torch.cuda.OutOfMemoryError):
        in_batches(PATCHES, 4, work)
