"""What has been observed of patches, and how likely it is: the protocol, and complete patches.

The model says how clean coefficients are distributed given a code (`Emission`); an observation
model adds how the noisy patch came of them. Everything that depends on the latter is asked of
`Observations`, so that training and reconstruction know nothing of gaps (`evodenoise.tvae.gaps`).

Dimensions: N patches, D coefficients, S states of a patch, M states for all patches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from evodenoise.tvae.decoder import Emission


class Observations(Protocol):
    """N noisy patches, as coefficients of an orthonormal basis in which noise is independent.

    Its variance is sigma^2, () for white noise, or one for each coefficient and even patch, (D,)
    or (..., D), for coloured noise. Emissions hold means and variances of shape (..., D) that
    broadcast with the patches; by `patches[:, None]` each patch meets S emissions of its own. All
    densities are in nats.
    """

    @property
    def values(self) -> Tensor:
        """Coefficients, shape (..., D)."""

    @property
    def most_exact(self) -> int | None:
        """Candidates of a patch that an E-step evaluates exactly; None: all of them."""

    def __len__(self) -> int:
        """Count the patches."""

    def __getitem__(self, index: Any) -> Self:
        """Take some patches, or insert dimensions, as of a tensor (N,)."""

    @property
    def device(self) -> torch.device:
        """Where they lie."""

    def split(self, size: int) -> Sequence[Self]:
        """Cut into parts of at most `size` patches."""

    def observed_values(self) -> int | Tensor:
        """Count the pixels that were observed, of all patches together."""

    def log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate log p(x | z): (...)."""

    def surrogate_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate what has the gradient of `log_likelihood`, at little cost: (...)."""

    def rough_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Estimate log p(x | z), well enough to choose what to evaluate exactly: (...)."""

    def cross_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Estimate log p(x_n | z_m) of all pairs of patches and M emissions (M, D): (N, M)."""

    def clean_moments(self, emission: Emission, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and variance of the clean coefficients given x and z: (..., D) each."""

    def squared_errors(self, mean: Tensor, noise_profile: Tensor | None = None) -> Tensor:
        """Sum ||x - mu||^2 over the observed pixels, for means (..., D): (...).

        With the noise's relative variances r (D,), the sum is (x - mu)^T R^-1 (x - mu), R the
        covariance that they give the observed pixels.
        """


def total_variance(emission: Emission, noise_variance: Tensor) -> Tensor:
    """Return v + sigma^2 of each coefficient, (..., D), or sigma^2 alone, () or (D,)."""
    if emission.variance is None:
        return noise_variance
    return emission.variance + noise_variance


@dataclass(frozen=True)
class CompletePatches:
    """Patches all of whose pixels are there; see `Observations`.

    Attributes
    ----------
    values : Tensor, shape (..., D)
        Coefficients.
    """

    values: Tensor
    most_exact = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> "CompletePatches":
        return CompletePatches(self.values[index])

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.values.device

    def split(self, size: int) -> list["CompletePatches"]:
        """Cut into parts of at most `size` patches."""
        return [CompletePatches(values) for values in self.values.split(size)]

    def observed_values(self) -> int:
        """Count the pixels of all patches."""
        return self.values.numel()

    def log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate log p(x | z) = log Normal(x; mu, diag(v) + sigma^2 I): (...)."""
        variance = total_variance(emission, noise_variance)
        errors = (emission.mean - self.values).square()
        pixels = self.values.shape[-1]
        if not variance.dim():
            # One division and one logarithm a state instead of D.
            exponent = errors.sum(-1) / variance + pixels * variance.log()
        else:
            exponent = (errors / variance + variance.log()).sum(-1)
        return -0.5 * (exponent + pixels * math.log(2 * math.pi))

    def surrogate_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate `log_likelihood` itself, which costs little."""
        return self.log_likelihood(emission, noise_variance)

    def rough_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate `log_likelihood` itself, which costs little."""
        return self.log_likelihood(emission, noise_variance)

    def cross_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate log p(x_n | z_m) of all pairs of N patches and M emissions: (N, M).

        The square is expanded, so that it costs matrix products; that loses precision, which is
        enough to rank candidates and not to keep their value.
        """
        variance = total_variance(emission, noise_variance).expand_as(emission.mean)
        precision = 1 / variance
        scaled = emission.mean * precision
        constant = (emission.mean * scaled + variance.log()).sum(-1)
        exponent = torch.addmm(constant, self.values, scaled.T, alpha=-2)
        if not noise_variance.dim() and emission.variance is None:
            exponent += self.values.square().sum(-1, keepdim=True) * precision[0, 0]
        else:
            exponent.addmm_(self.values.square(), precision.T)
        return -0.5 * (exponent + self.values.shape[-1] * math.log(2 * math.pi))

    def clean_moments(self, emission: Emission, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and variance of the clean coefficients given x and z.

        Returns
        -------
        mean, variance : Tensor, shape (..., D)
            mu + w (x - mu) and w sigma^2 with the Wiener gain w = v / (v + sigma^2).
        """
        if emission.variance is None:
            return emission.mean, torch.zeros_like(emission.mean)
        gain = emission.variance / total_variance(emission, noise_variance)
        return emission.mean + gain * (self.values - emission.mean), gain * noise_variance

    def squared_errors(self, mean: Tensor, noise_profile: Tensor | None = None) -> Tensor:
        """Sum ||x - mu||^2, over r if there is one: (..., D) to (...)."""
        squares = (mean - self.values).square()
        if noise_profile is not None:
            squares = squares / noise_profile
        return squares.sum(-1)
