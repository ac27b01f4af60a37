"""The generative model: a variational autoencoder with binary latents and no encoder.

Guiraud, Drefs, Lücke, "Direct Evolutionary Optimization of Variational Autoencoders with
Binary Latents" (arXiv 2011.13704; ECML PKDD 2022)::

    p(z)     = prod_h pi_h^z_h (1 - pi_h)^(1 - z_h)
    p(x | z) = Normal(x; mu(z; W), sigma^2 I)
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from evodenoise.tvae.decoder import Decoder

NOISE_VARIANCE_FLOOR = 1e-6
"""In units of the (unit) variance of the image: 60 dB below the signal, and far from underflow."""


class BinaryLatentVAE(nn.Module):
    """Binary-latent VAE: prior, decoder, noise variance.

    Parameters
    ----------
    latents : int
        H.
    hidden : sequence of int
        Widths of the decoder's hidden layers.
    pixels : int
        D.
    active : float
        Initial expected number of ones, sum of pi.
    generator : torch.Generator
        Source of the initial weights; its device becomes the model's.

    Attributes
    ----------
    decoder : Decoder
        mu(z; W).
    prior : Tensor, shape (H,)
        pi.
    noise_variance : Tensor, shape ()
        sigma^2.
    """

    prior: Tensor
    noise_variance: Tensor

    def __init__(
        self,
        latents: int,
        hidden: Sequence[int],
        pixels: int,
        *,
        active: float = 2.0,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.latents, self.pixels = latents, pixels
        self.decoder = Decoder(latents, hidden, pixels, generator=generator)
        device = generator.device
        probability = min(0.5, active / latents)
        self.register_buffer("prior", torch.full((latents,), probability, device=device))
        self.register_buffer("noise_variance", torch.ones((), device=device))

    @property
    def active(self) -> float:
        """Expected number of ones under the prior."""
        return float(self.prior.sum())

    def log_prior(self, states: Tensor) -> Tensor:
        """Evaluate log p(z) of states (..., K), in nats: (...)."""
        logits = torch.cat([self.prior.logit(), self.prior.new_zeros(1)])
        chosen = logits.index_select(0, states.int().flatten()).view(states.shape).sum(-1)
        return chosen + torch.log1p(-self.prior).sum()

    def log_likelihood(self, squared_errors: Tensor) -> Tensor:
        """Turn squared errors ||x - mu(z)||^2 into log p(x | z), in nats."""
        normaliser = self.pixels * torch.log(2 * math.pi * self.noise_variance)
        return -0.5 * (squared_errors / self.noise_variance + normaliser)

    def squared_errors(self, patches: Tensor, states: Tensor) -> Tensor:
        """Evaluate ||x_n - mu(z)||^2 for patches (N, D) and states (N, S, K): (N, S)."""
        means: Tensor = self.decoder(states)
        return (means - patches[:, None]).square().sum(-1)

    def log_joint(self, patches: Tensor, states: Tensor) -> Tensor:
        """Evaluate log p(x_n, z) for the states of each patch.

        Parameters
        ----------
        patches : Tensor, shape (N, D)
            x.
        states : Tensor of int16, shape (N, S, K)
            Indices of ones.

        Returns
        -------
        Tensor, shape (N, S)
            Nats.
        """
        likelihood = self.log_likelihood(self.squared_errors(patches, states))
        return self.log_prior(states) + likelihood

    @torch.no_grad()
    def update_prior(self, expected_ones: Tensor, patches: int) -> None:
        """Set pi_h = (1/N) sum_n E_q[z_h], its maximum at fixed q, kept off 0 and 1.

        Parameters
        ----------
        expected_ones : Tensor, shape (H,)
            sum_n E_q[z_h].
        patches : int
            N.
        """
        # Half a patch: a latent that nobody used could otherwise never come back.
        margin = min(0.5 / patches, 0.25)
        self.prior.copy_((expected_ones / patches).clamp(margin, 1 - margin))

    @torch.no_grad()
    def update_noise_variance(self, expected_squared_error: Tensor, patches: int) -> None:
        """Set sigma^2 = (1/ND) sum_n E_q[||x_n - mu(z)||^2], its maximum at fixed q.

        Parameters
        ----------
        expected_squared_error : Tensor, shape ()
            sum_n E_q[||x_n - mu(z)||^2].
        patches : int
            N.
        """
        variance = expected_squared_error / (patches * self.pixels)
        self.noise_variance.copy_(variance.clamp(min=NOISE_VARIANCE_FLOOR))


def posterior_weights(log_joints: Tensor) -> Tensor:
    """Normalise log-joints (N, S) to the truncated posterior q_n(z): (N, S)."""
    return log_joints.softmax(dim=-1)


def truncated_free_energy(log_joints: Tensor) -> Tensor:
    """Compute F_n = log sum_z p(x_n, z) over each patch's states: (N, S) to (N,), in nats."""
    return log_joints.logsumexp(dim=-1)


def posterior_mean(weights: Tensor, values: Tensor) -> Tensor:
    """Average values (N, S, D) under weights (N, S): (N, D)."""
    return torch.einsum("ns,nsd->nd", weights, values)


def expected_ones(weights: Tensor, states: Tensor, latents: int) -> Tensor:
    """Sum E_q[z_h] over the patches: weights (N, S), states (N, S, K) to (H,)."""
    totals = weights.new_zeros(latents + 1)
    totals.index_add_(0, states.int().flatten(), weights[..., None].expand(states.shape).flatten())
    return totals[:latents]
