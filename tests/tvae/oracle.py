"""Models so small that all their 2^H states can be listed, and the answers by definition."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from evodenoise.tvae.decoder import LEAK, Decoder
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.states import pack_states, unpack_states

Array = npt.NDArray[np.float64]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(
    latents: int = 6,
    hidden: tuple[int, ...] = (7, 5),
    pixels: int = 9,
    *,
    noise_std: float = 0.6,
    seed: int = 0,
) -> BinaryLatentVAE:
    """Make a model in double precision, with biases and a prior of its own for every latent."""
    source = generator(seed)
    model = BinaryLatentVAE(latents, hidden, pixels, generator=source).double()
    randomise(model.decoder, source)
    with torch.no_grad():
        model.prior.uniform_(0.05, 0.6, generator=source)
        model.noise_variance.fill_(noise_std**2)
    return model


def randomise(decoder: Decoder, source: torch.Generator) -> None:
    """Draw all weights, biases too."""
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.7, generator=source)
        decoder.rows[-1] = 0


def every_code(latents: int) -> Tensor:
    """List all codes: (2^H, H)."""
    return torch.arange(2**latents)[:, None] >> torch.arange(latents) & 1 == 1


def every_state(latents: int, patches: int = 1) -> Tensor:
    """List all states, for each of some patches: (N, 2^H, K)."""
    return pack_states(every_code(latents)).expand(patches, -1, -1)


def some_states(patches: int, states: int, latents: int, *, seed: int = 0) -> Tensor:
    """Draw distinct states for each patch: (N, S, K)."""
    order = torch.rand(patches, 2**latents, generator=generator(seed)).argsort(1)
    return pack_states(every_code(latents)[order[:, :states]])


def means_of(decoder: Decoder, codes: Tensor) -> Tensor:
    """Compute mu(z) of dense codes (..., H), layer by layer."""
    rows = decoder.rows[:-1]  # the last one is that of the empty place
    value = codes.to(rows) @ rows + decoder.bias
    for weight, bias in zip(decoder.weights, decoder.biases, strict=True):
        value = F.leaky_relu(value, LEAK) @ weight.T + bias
    return value


def emissions_of(model: BinaryLatentVAE) -> tuple[Array, Array]:
    """Decode all codes in NumPy: means and variances (2^H, D), whether or not these speak yet."""
    decoder = model.decoder
    value = every_code(model.latents).numpy() @ decoder.rows.detach().numpy()[:-1]
    value = value + decoder.bias.detach().numpy()
    for weight, bias in zip(decoder.weights, decoder.biases, strict=True):
        value = np.where(value > 0, value, LEAK * value)
        value = value @ weight.detach().numpy().T + bias.detach().numpy()
    return value[:, : model.pixels], np.log1p(np.exp(value[:, model.pixels :])) ** 2


def log_joints_of(model: BinaryLatentVAE, patches: Tensor, codes: Tensor) -> Tensor:
    """Compute log p(x_n, z) of dense codes (M, H), or (N, M, H): (N, M)."""
    prior = Bernoulli(model.prior).log_prob(codes.to(model.prior)).sum(-1)
    noise = Normal(means_of(model.decoder, codes), model.noise_variance.sqrt())
    return prior + noise.log_prob(patches[:, None]).sum(-1)


def sample_patches(model: BinaryLatentVAE, patches: int, *, seed: int = 0) -> Tensor:
    """Draw patches from the model: (N, D)."""
    source = generator(seed)
    with torch.no_grad():
        codes = torch.bernoulli(model.prior.expand(patches, -1), generator=source)
        means = means_of(model.decoder, codes)
        noise = torch.randn(means.shape, generator=source).to(means)
        return means + model.noise_variance.sqrt() * noise


def are_distinct(states: Tensor, latents: int) -> bool:
    """Tell whether no patch has a state twice: states (N, S, K)."""
    codes = unpack_states(states, latents).to(torch.uint8).numpy()
    return all(len({code.tobytes() for code in patch}) == len(patch) for patch in codes)


def code_sets(states: Tensor, latents: int) -> list[set[bytes]]:
    """Take down the states of each patch, in a form that can be compared."""
    codes = unpack_states(states, latents).to(torch.uint8).numpy()
    return [{code.tobytes() for code in patch} for patch in codes]


class Recorder:
    """An optimiser that notes gradients and changes nothing."""

    def __init__(self, model: BinaryLatentVAE) -> None:
        self.parameters = list(model.decoder.parameters())
        self.gradients: list[Tensor] = []

    def zero_grad(self) -> None:
        for each in self.parameters:
            each.grad = None

    def step(self) -> None:
        parts = [each.grad.flatten() for each in self.parameters if each.grad is not None]
        self.gradients.append(torch.cat(parts).clone())
