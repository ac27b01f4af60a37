"""The generative model: a variational autoencoder with binary latents and no encoder.

Guiraud, Drefs, Lücke, "Direct Evolutionary Optimization of Variational Autoencoders with
Binary Latents" (arXiv 2011.13704; ECML PKDD 2022)::

    p(z)     = prod_h pi_h^z_h (1 - pi_h)^(1 - z_h)
    p(x | z) = Normal(x; mu(z; W), sigma^2 I + diag(v(z; W)))

x are the coefficients of a patch in an orthonormal basis (a 2-D DCT), so that diag(v) is a full
covariance of the pixels. Without covariance v = 0. The clean coefficients given z and x are
Gaussian: a Wiener step per state.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evodenoise.tvae.decoder import Decoder, Emission
from evodenoise.tvae.observations import Observations, Patches
from evodenoise.tvae.precision import proposal_dtype

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
    covariance : bool
        Whether the decoder can emit variances.
    generator : torch.Generator
        Source of the initial weights; its device becomes the model's.

    Attributes
    ----------
    decoder : Decoder
        mu(z; W) and v(z; W).
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
        covariance: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.latents, self.pixels = latents, pixels
        self.decoder = Decoder(latents, hidden, pixels, covariance=covariance, generator=generator)
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

    def total_variance(self, emission: Emission) -> Tensor:
        """Return sigma^2 + v of each coefficient, (..., D), or sigma^2 alone, ()."""
        if emission.variance is None:
            return self.noise_variance
        return emission.variance + self.noise_variance

    def log_likelihood(self, patches: Patches, emission: Emission) -> Tensor:
        """Evaluate log p(x | z) of patches (..., D) under emissions (..., D), in nats: (...).

        Of patches with gaps it is the density of what was observed.
        """
        variance = self.total_variance(emission)
        if isinstance(patches, Observations):
            everything = self.log_likelihood(patches.values, emission)
            errors = patches.values - emission.mean
            return everything + patches.gap_log_density(errors, 1 / variance)
        errors = (emission.mean - patches).square()
        if emission.variance is None:
            # One division and one logarithm a state instead of D.
            exponent = errors.sum(-1) / variance + self.pixels * variance.log()
        else:
            exponent = (errors / variance).sum(-1) + variance.log().sum(-1)
        return -0.5 * (exponent + self.pixels * math.log(2 * math.pi))

    def completed_log_likelihood(self, patches: Patches, emission: Emission) -> Tensor:
        """Evaluate what has the gradient of `log_likelihood` at little cost: (...).

        The expectation of log p(x | z) over missing pixels, given the others and the present
        emission, which is held fixed: by Fisher's identity its gradient is the one wanted.
        """
        if not isinstance(patches, Observations):
            return self.log_likelihood(patches, emission)
        variance = self.total_variance(emission)
        with torch.no_grad():
            errors, unseen = patches.complete(patches.values - emission.mean, 1 / variance)
            completed = emission.mean + errors
        everything = self.log_likelihood(completed, emission)
        return everything - 0.5 * (unseen / variance).sum(-1)

    def rough_log_joint(self, patches: Observations, states: Tensor) -> Tensor:
        """Estimate `log_joint` as if the pixels of a patch were independent given the state."""
        emission: Emission = self.decoder(states)
        variance = self.total_variance(emission).expand_as(emission.mean)
        return self.log_prior(states) + patches.pixel_log_density(emission.mean, variance)

    def log_joint(self, patches: Patches, states: Tensor) -> Tensor:
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
        parts = zip(patches.split(size), states.split(size), strict=True)
        likelihoods = [
            self.log_likelihood(some_patches[:, None], self.decoder(some_states))
            for some_patches, some_states in parts
        ]
        return self.log_prior(states) + torch.cat(likelihoods)

    def cross_log_joints(self, patches: Patches, states: Tensor) -> Tensor:
        """Evaluate log p(x_n, z) for every pair of a patch and a state.

        The square is expanded, so that it costs matrix products; that loses
        precision, which is enough to rank candidates and not to keep their value. Of patches
        with gaps, pixels count as if they were independent given the state.

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
        emission: Emission = self.decoder(states)
        if isinstance(patches, Observations):
            scores = self.cross_log_joints(patches.values, states)
            gapped = patches.gaps > 0
            variance = self.total_variance(emission).expand_as(emission.mean)
            rough = patches[gapped].cross_pixel_log_density(emission.mean, variance)
            scores[gapped] = rough + self.log_prior(states)
            return scores
        variance = self.total_variance(emission).expand_as(emission.mean)
        precision = 1 / variance
        scaled = emission.mean * precision
        constant = (emission.mean * scaled + variance.log()).sum(-1)
        exponent = torch.addmm(constant, patches, scaled.T, alpha=-2)
        if emission.variance is None:
            exponent += patches.square().sum(-1, keepdim=True) * precision[0, 0]
        else:
            exponent.addmm_(patches.square(), precision.T)
        return self.log_prior(states) - 0.5 * (exponent + self.pixels * math.log(2 * math.pi))

    def clean_moments(self, patches: Patches, states: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and variance of the clean coefficients given x_n and each state.

        Parameters
        ----------
        patches : Tensor, shape (N, D)
            x.
        states : Tensor of int16, shape (N, S, K)
            Indices of ones.

        Returns
        -------
        mean, variance : Tensor, shape (N, S, D)
            mu + w (x - mu) and w sigma^2 with the Wiener gain w = v / (v + sigma^2); missing
            pixels of x are at their mean given the others, and add to the variance.
        """
        emission: Emission = self.decoder(states)
        if emission.variance is None:
            return emission.mean, torch.zeros_like(emission.mean)
        total = emission.variance + self.noise_variance
        gain = emission.variance / total
        variance = gain * self.noise_variance
        if isinstance(patches, Observations):
            filled = patches[:, None]
            errors, unseen = filled.complete(filled.values - emission.mean, 1 / total)
            return emission.mean + gain * errors, variance + gain.square() * unseen
        return emission.mean + gain * (patches[:, None] - emission.mean), variance

    def flip_gains(self, patches: Patches, states: Tensor, curvature: Tensor) -> Tensor:
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
        slope = self._slope(patches, states)
        # d embedding / d z_h is row h of the first layer. Gains only propose: precision is not due.
        precision = proposal_dtype(patches.device.type)
        gains = F.linear(slope.to(precision), self.decoder.rows.to(precision))
        logits, places = self.prior.logit(), states.long()
        # From 1 to 0 instead of from 0 to 1 slope and prior have the other sign, curvature not.
        downwards = -gains.gather(-1, places) - 2 * F.pad(logits, (0, 1)).to(precision)[places]
        gains.scatter_(-1, places, downwards)
        return gains[..., : self.latents].to(slope.dtype).add_(logits - curvature)

    def _slope(self, patches: Patches, states: Tensor) -> Tensor:
        """Differentiate log p(x | z) by the pre-activations of the first layer: (N, P, H_1)."""
        with torch.enable_grad():
            embedding = self.decoder.embed(states).detach().requires_grad_()
            emission = self.decoder.decode(embedding)
            likelihood = self.completed_log_likelihood(patches[:, None], emission)
            (slope,) = torch.autograd.grad(likelihood.sum(), embedding)
            return slope

    def flip_curvature(self, states: Tensor) -> Tensor:
        """Average, over some states, the loss of log-likelihood that a flip causes by its size.

        Half the squared change of the mean over its variance: what the slope alone does not see.

        Parameters
        ----------
        states : Tensor of int16, shape (M, K)
            A sample of states in use.

        Returns
        -------
        Tensor, shape (H,)
            Nats, for each bit.
        """
        curvature = torch.zeros_like(self.prior)
        for some in states.split(max(1, CACHED_STATES // self.latents)):
            embedding = self.decoder.embed(some)
            ups = torch.ones(len(some), self.latents + 1, device=states.device)
            ups.scatter_(1, some.long(), -1.0)  # where a bit is 1, its row goes
            flipped = torch.addcmul(embedding[:, None], ups[:, :-1, None], self.decoder.rows[:-1])
            present = self.decoder.decode(embedding)
            change = self.decoder.decode(flipped, mean_only=True).mean - present.mean[:, None]
            precision = (1 / self.total_variance(present)).expand_as(present.mean)
            curvature += torch.einsum("mhd,md->h", change.square_(), precision)
        return curvature * (0.5 / len(states))

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
    def update_noise_variance(self, expected_squared_error: Tensor, values: int) -> None:
        """Set sigma^2 = (1/ND) sum_n E_q[||x_n - mu(z)||^2], its maximum at fixed q.

        Parameters
        ----------
        expected_squared_error : Tensor, shape ()
            sum_n E_q[||x_n - mu(z)||^2], over observed pixels.
        values : int
            Their number, N D if nothing is missing.
        """
        variance = expected_squared_error / values
        self.noise_variance.copy_(variance.clamp(min=NOISE_VARIANCE_FLOOR))
