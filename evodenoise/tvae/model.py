"""The generative model: a variational autoencoder with binary latents and no encoder.

Guiraud, Drefs, Lücke, "Direct Evolutionary Optimization of Variational Autoencoders with
Binary Latents" (arXiv 2011.13704; ECML PKDD 2022)::

    p(z)     = prod_h pi_h^z_h (1 - pi_h)^(1 - z_h)
    p(x | z) = Normal(x; mu(z; W), sigma^2 I)
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evodenoise.tvae.decoder import Decoder
from evodenoise.tvae.precision import proposal_dtype
from evodenoise.tvae.states import flip_bits

CACHED_STATES = 4096
"""States decoded at once: their hidden activations take a few MiB."""

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
        # In parts whose activations stay in the processor's cache.
        size = max(1, CACHED_STATES // states.shape[1])
        squared_errors = [
            (self.decoder(some_states) - some_patches[:, None]).square().sum(-1)
            for some_patches, some_states in zip(
                patches.split(size), states.split(size), strict=True
            )
        ]
        return self.log_prior(states) + self.log_likelihood(torch.cat(squared_errors))

    def cross_log_joints(self, patches: Tensor, states: Tensor) -> Tensor:
        """Evaluate log p(x_n, z) for every pair of a patch and a state.

        The squared error is expanded, so that it costs one matrix product; that loses
        precision, which is enough to rank candidates and not to keep their value.

        Parameters
        ----------
        patches : Tensor, shape (N, D)
            x.
        states : Tensor of int16, shape (M, K)
            Indices of ones.

        Returns
        -------
        Tensor, shape (N, M)
            Nats.
        """
        means = self.decoder(states)
        lengths = patches.square().sum(-1, keepdim=True) + means.square().sum(-1)
        squared_errors = torch.addmm(lengths, patches, means.T, alpha=-2)
        return self.log_likelihood(squared_errors) + self.log_prior(states)

    def flip_gains(self, patches: Tensor, states: Tensor, curvature: Tensor) -> Tensor:
        """Estimate how log p(x_n, z) changes when one bit of z is flipped.

        A second-order expansion: the slope comes from one vector-Jacobian product through
        the decoder for all bits at once; of the second derivative only its mean
        over states is known.

        Parameters
        ----------
        patches : Tensor, shape (N, D)
            x.
        states : Tensor of int16, shape (N, P, K)
            Indices of ones.
        curvature : Tensor, shape (H,)
            As made by `flip_curvature`.

        Returns
        -------
        Tensor, shape (N, P, H)
            Nats.
        """
        with torch.enable_grad():
            embedding = self.decoder.embed(states).detach().requires_grad_()
            error = self.decoder.decode(embedding) - patches[:, None]
            likelihood = -0.5 * error.square().sum() / self.noise_variance
            (slope,) = torch.autograd.grad(likelihood, embedding)
        # d embedding / d z_h is row h of the first layer. Gains only propose: precision is not due.
        precision = proposal_dtype(patches.device.type)
        gains = F.linear(slope.to(precision), self.decoder.rows[:-1].to(precision)).to(slope.dtype)
        gains += self.prior.logit()
        # From 1 to 0 instead of from 0 to 1 the change has the other sign.
        signs = torch.ones(*states.shape[:-1], self.latents + 1, device=gains.device)
        signs.scatter_(-1, states.long(), -1.0)
        return gains.mul_(signs[..., : self.latents]).sub_(curvature)

    def flip_curvature(self, states: Tensor) -> Tensor:
        """Average, over some states, the loss of log-likelihood that a flip causes by its size.

        Half the squared change of the mean over sigma^2: what the slope alone does not see.

        Parameters
        ----------
        states : Tensor of int16, shape (M, K)
            A sample of states in use.

        Returns
        -------
        Tensor, shape (H,)
            Nats, for each bit.
        """
        bits = torch.arange(self.latents, device=states.device).expand(len(states), -1)
        originals = states[:, None].expand(-1, self.latents, -1)
        flipped: Tensor = self.decoder(flip_bits(originals, bits, self.latents))
        change = flipped - self.decoder(states)[:, None]
        curvature: Tensor = change.square().sum(-1).mean(0) / (2 * self.noise_variance)
        return curvature

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
