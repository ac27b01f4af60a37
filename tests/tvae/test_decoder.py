"""The decoder against the dense network that it stands for."""

import pytest
import torch
from oracle import every_code, generator, means_of, randomise
from torch import Tensor

from evodenoise.tvae.decoder import Decoder
from evodenoise.tvae.states import pack_states, widen


def decoder(latents: int = 6, hidden: tuple[int, ...] = (8, 5), pixels: int = 7) -> Decoder:
    made = Decoder(latents, hidden, pixels, generator=generator()).double()
    randomise(made, generator())
    return made


@pytest.mark.parametrize("hidden", [(4,), (8, 5), (3, 4, 5)])
def test_it_is_a_network_of_the_dense_code(hidden: tuple[int, ...]) -> None:
    net, codes = decoder(hidden=hidden), every_code(6)
    torch.testing.assert_close(net(pack_states(codes)).mean, means_of(net, codes))


def test_any_number_of_dimensions_and_of_empty_places() -> None:
    net, codes = decoder(), every_code(6).view(4, 2, 8, 6)
    means = net(widen(pack_states(codes), 11, 6)).mean
    assert means.shape == (4, 2, 8, 7)
    torch.testing.assert_close(means, means_of(net, codes))


def test_its_gradients_are_those_of_that_network() -> None:
    net, codes = decoder(), every_code(6)[5:40]
    weights = torch.randn(35, 7, generator=generator()).double()

    def gradients(means: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad((weights * means).sum(), list(net.parameters())))

    for ours, expected in zip(
        gradients(net(pack_states(codes)).mean), gradients(means_of(net, codes)), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_empty_places_are_silent_during_training_too() -> None:
    net, states = decoder(), widen(pack_states(every_code(6)), 9, 6)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        net(states).mean.square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(net(states).mean, means_of(net, every_code(6)))
    with torch.no_grad():
        torch.testing.assert_close(net(states).mean, means_of(net, every_code(6)))


def test_decoding_without_gradients_gives_the_same_and_changes_no_weight() -> None:
    """It works in place then; only the scratch space may suffer."""
    net, states = decoder(), pack_states(every_code(6))
    expected, before = net(states).mean.detach(), [each.clone() for each in net.parameters()]
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(net(states).mean, expected)
    for now, then in zip(net.parameters(), before, strict=True):
        assert torch.equal(now, then)


def test_the_first_weights_come_from_the_generator_alone() -> None:
    nets = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(nets))
        before = torch.get_rng_state()
        nets.append(Decoder(6, (8,), 7, generator=generator(seed)))
        assert torch.equal(torch.get_rng_state(), before)
    first, second, third = (torch.nn.utils.parameters_to_vector(net.parameters()) for net in nets)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.parametrize("hidden", [(128,), (256, 128)])
def test_sparse_codes_start_near_unit_scale(hidden: tuple[int, ...]) -> None:
    """So that training a scaled image neither explodes nor has to find its scale first."""
    net = Decoder(512, hidden, 64, generator=generator())
    codes = torch.rand(200, 512, generator=generator()) < 2 / 512
    with torch.no_grad():
        assert 0.03 < net(pack_states(codes)).mean.std() < 1
