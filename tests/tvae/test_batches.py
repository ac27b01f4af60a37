"""Mini-batches that do not fit into memory."""

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evodenoise.tvae.batches import in_batches

PATCHES = torch.arange(23)


def begin(batch: Tensor) -> Callable[[], Tensor]:
    return lambda: batch.square()


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_all_patches_in_order(workers: int) -> None:
    seen: list[Tensor] = []

    def finish(batch: Tensor, made: Tensor) -> None:
        assert torch.equal(made, batch.square())
        seen.append(batch)

    assert in_batches(PATCHES, 5, begin, finish, workers=workers) == 5
    assert [len(batch) for batch in seen] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat(seen), PATCHES)


@pytest.mark.parametrize("where", ["begin", "work", "finish"])
def test_a_batch_too_large_is_halved_until_it_fits(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Tensor] = []

    def check(here: str, batch: Tensor) -> None:
        if here == where and len(batch) > 3:
            raise torch.cuda.OutOfMemoryError

    def begin(batch: Tensor) -> Callable[[], None]:
        check("begin", batch)
        return lambda: check("work", batch)

    def finish(batch: Tensor, _: None) -> None:
        check("finish", batch)
        seen.append(batch)

    with caplog.at_level(logging.WARNING):
        assert in_batches(PATCHES, 16, begin, finish) == 2
    assert torch.equal(torch.cat(seen), PATCHES)
    assert [record.getMessage().split()[-2] for record in caplog.records] == ["8", "4", "2"]


def test_not_even_one_patch_fits() -> None:
    def fail(_: Tensor, __: Tensor) -> None:
        raise torch.cuda.OutOfMemoryError

    with pytest.raises(torch.cuda.OutOfMemoryError):
        in_batches(PATCHES, 4, begin, fail)
