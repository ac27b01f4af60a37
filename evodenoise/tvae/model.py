"""The generative model: a variational autoencoder with binary latents and no encoder.

Guiraud, Drefs, Lücke, "Direct Evolutionary Optimization of Variational Autoencoders with
Binary Latents" (arXiv 2011.13704; ECML PKDD 2022)::

    p(z)     = prod_h pi_h^z_h (1 - pi_h)^(1 - z_h)
    p(x | z) = Normal(x; mu(z; W), sigma^2 diag(r) + diag(v(z; W)))

x are the coefficients of a patch in an orthonormal basis (a 2-D DCT), so that diag(v) is a full
covariance of the pixels. Without covariance v = 0. r is the noise's profile, its variance over
frequency: 1 everywhere if it is white. The clean coefficients given z and x are Gaussian: a Wiener
step per state.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evodenoise.tvae.batches import states_at_once
from evodenoise.tvae.decoder import Decoder, Emission
from evodenoise.tvae.observations import Observations, total_variance
from evodenoise.tvae.precision import proposal_dtype

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
    noise_profile : Tensor, shape (D,), optional
        r, of mean 1; white noise by default.
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
    noise_profile: Tensor | None

    def __init__(
        self,
        latents: int,
        hidden: Sequence[int],
        pixels: int,
        *,
        active: float = 2.0,
        covariance: bool = False,
        noise_profile: Tensor | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.latents, self.pixels = latents, pixels
        self.decoder = Decoder(latents, hidden, pixels, covariance=covariance, generator=generator)
        device = generator.device
        probability = min(0.5, active / latents)
        self.register_buffer("prior", torch.full((latents,), probability, device=device))
        self.register_buffer("noise_variance", torch.ones((), device=device))
        # Of the images, like their noise: it is no part of what is kept of a model.
        self.register_buffer("noise_profile", noise_profile, persistent=False)

    @property
    def active(self) -> float:
        """Expected number of ones under the prior."""
        return float(self.prior.sum())

    @property
    def noise(self) -> Tensor:
        """Variance of the noise in each coefficient, sigma^2 r (D,), or sigma^2 () if white."""
        if self.noise_profile is None:
            return self.noise_variance
        return self.noise_variance * self.noise_profile

    def log_prior(self, states: Tensor) -> Tensor:
        """Evaluate log p(z) of states (..., K), in nats: (...)."""
        logits = F.pad(self.prior.logit(), (0, 1))  # an empty place says nothing
        chosen = logits.index_select(0, states.int().flatten()).view(states.shape).sum(-1)
        return chosen + torch.log1p(-self.prior).sum()

    def log_joint(self, patches: Observations, states: Tensor) -> Tensor:
        """Evaluate log p(x_n, z) for the states of each patch.

        Parameters
        ----------
        patches : Observations, (N, D)
            x.
        states : Tensor of int16, shape (N, S, K)
            Indices of ones.

        Returns
        -------
        Tensor, shape (N, S)
            Nats.
        """
        size = max(1, states_at_once(patches.device) // states.shape[1])
        parts = zip(patches.split(size), states.split(size), strict=True)
        likelihoods = [
            some_patches[:, None].log_likelihood(self.decoder(some_states), self.noise)
            for some_patches, some_states in parts
        ]
        likelihood = likelihoods[0] if len(likelihoods) == 1 else torch.cat(likelihoods)
        return self.log_prior(states) + likelihood

    def rough_log_joint(self, patches: Observations, states: Tensor) -> Tensor:
        """Estimate `log_joint`, well enough to choose which states to evaluate exactly: (N, S)."""
        emission: Emission = self.decoder(states)
        likelihood = patches[:, None].rough_log_likelihood(emission, self.noise)
        return self.log_prior(states) + likelihood

    def cross_log_joints(self, patches: Observations, states: Tensor) -> Tensor:
        """Estimate log p(x_n, z) for every pair of a patch and a state, to rank candidates.

        Parameters
        ----------
        patches : Observations, (N, D)
            x.
        states : Tensor of int16, shape (M, K)
            Indices of ones.

        Returns
        -------
        Tensor, shape (N, M)
            Nats.
        """
        emission: Emission = self.decoder(states)
        likelihood = patches.cross_log_likelihood(emission, self.noise)
        return self.log_prior(states) + likelihood

    def clean_moments(self, patches: Observations, states: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and variance of the clean coefficients given x_n and each state.

        Parameters
        ----------
        patches : Observations, (N, D)
            x.
        states : Tensor of int16, shape (N, S, K)
            Indices of ones.

        Returns
        -------
        mean, variance : Tensor, shape (N, S, D)
            See `Observations.clean_moments`.
        """
        emission: Emission = self.decoder(states)
        return patches[:, None].clean_moments(emission, self.noise)

    def flip_gains(self, patches: Observations, states: Tensor, curvature: Tensor) -> Tensor:
        """Estimate how log p(x_n, z) changes when one bit of z is flipped.

        A second-order expansion: the slope comes from one vector-Jacobian product through
        the decoder for all bits at once; of the second derivative only its mean
        over states is known.

        Parameters
        ----------
        patches : Observations, (N, D)
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
        precision = proposal_dtype(patches.device)
        gains = F.linear(slope.to(precision), self.decoder.rows.to(precision))
        logits, places = self.prior.logit(), states.long()
        # From 1 to 0 instead of from 0 to 1 slope and prior have the other sign, curvature not.
        downwards = -gains.gather(-1, places) - 2 * F.pad(logits, (0, 1)).to(precision)[places]
        gains.scatter_(-1, places, downwards)
        return gains[..., : self.latents].to(slope.dtype).add_(logits - curvature)

    def _slope(self, patches: Observations, states: Tensor) -> Tensor:
        """Differentiate log p(x | z) by the pre-activations of the first layer: (N, P, H_1)."""
        with torch.enable_grad():
            embedding = self.decoder.embed(states).detach().requires_grad_()
            emission = self.decoder.decode(embedding)
            likelihood = patches[:, None].surrogate_log_likelihood(emission, self.noise)
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
        for some in states.split(max(1, states_at_once(states.device) // self.latents)):
            embedding = self.decoder.embed(some)
            ups = torch.ones(len(some), self.latents + 1, device=states.device)
            ups.scatter_(1, some.long(), -1.0)  # where a bit is 1, its row goes
            flipped = torch.addcmul(embedding[:, None], ups[:, :-1, None], self.decoder.rows[:-1])
            present = self.decoder.decode(embedding)
            change = self.decoder.decode(flipped, mean_only=True).mean - present.mean[:, None]
            precision = (1 / total_variance(present, self.noise)).expand_as(present.mean)
            curvature += torch.einsum("mhd,md->h", change.square_(), precision)
        return curvature * (0.5 / len(states))

    @torch.no_grad()
    def unlock(self, noise_variance: float) -> None:
        """Let the decoder's variances speak from now on.

        They could take the place of sigma^2, which is therefore known from now on.
        """
        self.noise_variance.fill_(noise_variance)
        self.decoder.unlock()

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
    def update_noise_variance(self, expected_squared_error: Tensor, values: int | Tensor) -> None:
        """Set sigma^2 = (1/ND) sum_n E_q[||x_n - mu(z)||^2], its maximum at fixed q and v = 0.

        Of coloured noise the squares are over r; see `Observations.squared_errors`.

        Parameters
        ----------
        expected_squared_error : Tensor, shape ()
            sum_n E_q[||x_n - mu(z)||^2], over observed pixels.
        values : int or Tensor of int64, shape ()
            Their number, N D if nothing is missing.
        """
        variance = expected_squared_error / values
        self.noise_variance.copy_(variance.clamp(min=NOISE_VARIANCE_FLOOR))
