"""Patches some of whose pixels nobody has seen.

Dimensions: N patches, D coefficients (as many as pixels), M missing pixels of a patch at most,
R patches worked on together, m and o missing and observed pixels of one patch.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from evodenoise.tvae.decoder import Emission
from evodenoise.tvae.gap_systems import FewMissing, FewSeen
from evodenoise.tvae.observations import CompletePatches, Observations, total_variance

MOST_EXACT = 4
"""Offspring and migrants of a patch with gaps that are evaluated exactly, for it is expensive."""

MATRIX_VALUES = 2**22
"""Values of the matrices U_m held at once: 16 MiB, and as much for each intermediate result."""


@dataclass(frozen=True)
class GappedPatches:
    """Patches (N, D), of some of which pixels are missing; see `Observations`.

    Attributes
    ----------
    values : Tensor, shape (..., D)
        Coefficients; missing pixels were filled with something before the transform.
    missing : Tensor of int16, shape (..., M)
        Numbers of the missing pixels; D marks an empty place.
    basis : Tensor, shape (D + 1, D)
        Row d holds the coefficients of a patch whose pixel d is 1 and all others 0; the last row,
        that of the empty place, is zero.
    """

    values: Tensor
    missing: Tensor
    basis: Tensor
    most_exact = MOST_EXACT

    @classmethod
    def of(cls, values: Tensor, missing: Tensor, basis: Tensor) -> Self:
        """Describe patches by their coefficients (N, D), missing pixels (N, D), and basis (D, D).

        Parameters
        ----------
        values : Tensor, shape (N, D)
            Coefficients.
        missing : Tensor of bool, shape (N, D)
            Which pixels are missing.
        basis : Tensor, shape (D, D)
            The transform of pixels (N, D) is their product with it.
        """
        most = int(missing.sum(1).max()) if len(missing) else 0
        pixels = torch.arange(len(basis), device=values.device).expand_as(missing)
        named = pixels.masked_fill(~missing, len(basis)).sort(dim=1).values[:, :most]
        return cls(values, named.short(), torch.cat([basis, torch.zeros_like(basis[:1])]))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> "GappedPatches":
        return GappedPatches(self.values[index], self.missing[index], self.basis)

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.values.device

    @property
    def gaps(self) -> Tensor:
        """Number of missing pixels of each patch (...)."""
        return (self.missing < self.basis.shape[1]).sum(-1)

    def split(self, size: int) -> list["GappedPatches"]:
        """Cut into parts of at most `size` patches."""
        parts = zip(self.values.split(size), self.missing.split(size), strict=True)
        return [GappedPatches(values, missing, self.basis) for values, missing in parts]

    @torch.no_grad()
    def complete(self, errors: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Put the most probable values in place of the missing pixels.

        Parameters
        ----------
        errors : Tensor, shape (..., D)
            Coefficients less their mean.
        variance : Tensor, shape (..., D)
            Of the coefficients.

        Returns
        -------
        errors : Tensor, shape (..., D)
            The same with the missing pixels at their mean given the others.
        unseen : Tensor, shape (..., D)
            Variance of the coefficients that comes from the missing pixels.
        """
        flat, unseen = errors.flatten(0, -2).clone(), torch.zeros_like(errors).flatten(0, -2)
        for place, gap in self._gaps(errors, variance):
            flat[place], unseen[place] = gap.complete()
        return flat.view_as(errors), unseen.view_as(errors)

    def log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate the log-density of what was observed: (...)."""
        density = CompletePatches(self.values).log_likelihood(emission, noise_variance)
        flat = density.flatten()
        variance = total_variance(emission, noise_variance)
        for place, gap in self._gaps(self.values - emission.mean, variance):
            flat = flat.index_put((place,), gap.log_density(flat[place]))
        return flat.view(density.shape)

    def surrogate_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate what has the gradient of `log_likelihood` at little cost: (...).

        The expectation of log p(x | z) over missing pixels, given the others and the present
        emission, which is held fixed: by Fisher's identity its gradient is the one wanted.
        """
        variance = total_variance(emission, noise_variance)
        with torch.no_grad():
            errors, unseen = self.complete(self.values - emission.mean, variance)
            completed = CompletePatches(emission.mean + errors)
        everything = completed.log_likelihood(emission, noise_variance)
        return everything - 0.5 * (unseen / variance).sum(-1)

    def rough_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate the density as if the pixels were independent: (N, M, D) to (N, M).

        Of `patches[:, None]`, for M states of each of the N patches.
        """
        variance = total_variance(emission, noise_variance).expand_as(emission.mean)
        errors, spread = (emission.mean - self.values) @ self._pixels, variance @ self._squares
        terms = errors.square() / spread + (2 * math.pi * spread).log()
        return -0.5 * (terms @ self.seen.transpose(-1, -2))[..., 0]

    def cross_log_likelihood(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Estimate log p(x_n | z_m) of all pairs of N patches and M emissions: (N, M).

        Pixels of patches with gaps count as if they were independent given the state.
        """
        scores = CompletePatches(self.values).cross_log_likelihood(emission, noise_variance)
        gapped = self.gaps > 0
        scores[gapped] = self[gapped]._cross_rough(emission, noise_variance)
        return scores

    def _cross_rough(self, emission: Emission, noise_variance: Tensor) -> Tensor:
        """Evaluate `rough_log_likelihood` of all pairs: (N, M)."""
        variance = total_variance(emission, noise_variance).expand_as(emission.mean)
        seen, values = self.seen, self.values @ self._pixels
        mean, spread = emission.mean @ self._pixels, variance @ self._squares
        constants = mean.square() / spread + (2 * math.pi * spread).log()
        exponent = (seen * values.square()) @ (1 / spread).T + seen @ constants.T
        return -0.5 * exponent.addmm_(seen * values, (mean / spread).T, alpha=-2)

    def clean_moments(self, emission: Emission, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and variance of the clean coefficients given x and z: (..., D) each.

        Missing pixels of x are at their mean given the others, and add to the variance.
        """
        if emission.variance is None:
            return emission.mean, torch.zeros_like(emission.mean)
        total = total_variance(emission, noise_variance)
        gain = emission.variance / total
        errors, unseen = self.complete(self.values - emission.mean, total)
        variance = gain * noise_variance + gain.square() * unseen
        return emission.mean + gain * errors, variance

    @property
    def seen(self) -> Tensor:
        """1 for pixels that are there, 0 for missing ones: (..., D)."""
        ones = self.values.new_ones(*self.values.shape[:-1], len(self.basis))
        return ones.scatter_(-1, self.missing.long(), 0.0)[..., :-1]

    @property
    def _pixels(self) -> Tensor:
        """From coefficients (..., D) to pixels."""
        return self.basis[:-1].T

    @property
    def _squares(self) -> Tensor:
        """From the variances of coefficients (..., D) to those of pixels."""
        return self._pixels.square()

    def squared_errors(self, mean: Tensor, noise_profile: Tensor | None = None) -> Tensor:
        """Sum the squared errors of the observed pixels: (..., D) to (...)."""
        errors = self.values - mean
        if noise_profile is not None:
            # With missing pixels at their mean, the form of all is that of the observed ones.
            filled, _ = self.complete(errors, noise_profile)
            return (filled.square() / noise_profile).sum(-1)
        at_gaps = torch.einsum("...d,...md->...m", errors, self.basis[self.missing.long()])
        return errors.square().sum(-1) - at_gaps.square().sum(-1)

    def observed_values(self) -> Tensor:
        """Count the pixels that are there, of all patches together."""
        return self.values.numel() - self.gaps.sum()

    def _gaps(
        self, errors: Tensor, variance: Tensor
    ) -> "Iterator[tuple[Tensor, FewMissing | FewSeen]]":
        """Gather what the equations need, for some flattened rows of errors (..., D) at a time."""
        pixels = self.basis.shape[1]
        # Rows with as many gaps as each other go together: the widest sets the size of them all.
        counts, rows = self.gaps.expand(errors.shape[:-1]).flatten().sort(stable=True)
        missing = self.missing.expand(*errors.shape[:-1], -1).flatten(0, -2)
        variance = variance.expand_as(errors).flatten(0, -2)
        errors = errors.flatten(0, -2)
        size = max(1, MATRIX_VALUES // (max(1, min(missing.shape[-1], pixels // 2)) * pixels))
        few = rows[(counts > 0) & (2 * counts <= pixels)]
        for some in few.split(size) if len(few) else ():
            yield some, FewMissing(*self._rows(missing[some]), errors[some], variance[some])
        many = rows[2 * counts > pixels]
        for some in many.split(size) if len(many) else ():
            gapped = GappedPatches(errors[some], missing[some], self.basis)
            numbers = torch.arange(pixels, device=some.device).expand(len(some), -1)
            seen = numbers.masked_fill(gapped.seen == 0, pixels).sort(1).values
            yield some, FewSeen(*self._rows(seen), errors[some], variance[some])

    def _rows(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Look up the rows of the basis at pixels (R, M), and tell which places are empty."""
        empty = pixels == self.basis.shape[1]
        most = max(1, int((~empty).sum(1).max()))
        return self.basis[pixels[:, :most].long()], empty[:, :most]


def concatenate_patches(parts: Sequence[CompletePatches | GappedPatches]) -> Observations:
    """Join patches (N, D) of the same size, some with gaps and some without, to one list."""
    gapped = [part for part in parts if isinstance(part, GappedPatches)]
    values = torch.cat([part.values for part in parts])
    if not gapped:
        return CompletePatches(values)
    basis = gapped[0].basis
    most = max(part.missing.shape[1] for part in gapped)
    none = basis.new_empty(0, dtype=torch.int16)
    missing = [
        part.missing if isinstance(part, GappedPatches) else none.expand(len(part), 0)
        for part in parts
    ]
    padded = [F.pad(each, (0, most - each.shape[1]), value=basis.shape[1]) for each in missing]
    return GappedPatches(values, torch.cat(padded), basis)
