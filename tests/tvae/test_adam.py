"""Adam: what torch's own class does."""

import pytest
import torch
from torch import nn

from evodenoise.tvae.adam import Adam


@pytest.mark.parametrize("rate", [1e-3, 0.1])
def test_steps_are_those_of_torch(rate: float) -> None:
    source = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 4, generator=source), torch.randn(4, generator=source)]
    ours, theirs = ([nn.Parameter(each.clone()) for each in start] for _ in range(2))
    mine, reference = Adam(ours), torch.optim.Adam(theirs, lr=rate)
    for step in range(6):
        mine.rate = reference.param_groups[0]["lr"] = rate / (1 + step)
        for parameters, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            matrix, bias = parameters
            (matrix @ bias).cosh().sum().backward()
            optimizer.step()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)
    assert not torch.equal(ours[0], start[0])
