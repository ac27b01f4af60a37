"""What a Gaussian of all pixels of a patch says of the observed ones, and of the missing ones.

It takes a matrix of the missing pixels or one
of the observed pixels, whichever are fewer. With v the variances of the coefficients, p = 1 / v, e
their errors, U_m and U_o the rows of the basis at missing and observed pixels:

- G = U_m diag(p) U_m^T is the precision of the missing pixels given the others, and with
  g = U_m (p * e), 2 log p(x_o) = 2 log p(x) + g^T G^-1 g - log det G + m log 2 pi, whatever the
  missing pixels of x were filled with;
- C = U_o diag(v) U_o^T is the covariance of the observed pixels, and with c = U_o e,
  2 log p(x_o) = -c^T C^-1 c - log det C - o log 2 pi.

Dimensions: R patches, D coefficients (as many as pixels), M pixels of a patch at most, m and o
missing and observed pixels of one patch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FewMissing:
    """Patches of which fewer pixels are missing than seen: see the head of the module.

    Attributes
    ----------
    rows : Tensor, shape (R, M, D)
        U_m; zero at empty places.
    empty : Tensor of bool, shape (R, M)
        Empty places.
    errors, variance : Tensor, shape (R, D)
        e and v.
    """

    rows: Tensor
    empty: Tensor
    errors: Tensor
    variance: Tensor

    def _system(self) -> tuple[Tensor, Tensor]:
        """Return the factor of G (R, M, M), the identity at empty places, and g (R, M, 1)."""
        weighted = self.rows / self.variance[:, None]
        return _factor(weighted, self.rows, self.empty), weighted @ self.errors[..., None]

    def log_density(self, everything: Tensor) -> Tensor:
        """Evaluate log p(x_o) from log p(x), (R,) both."""
        factor, slope = self._system()
        square, log_determinant = _forms(factor, slope)
        constant = (~self.empty).sum(1) * math.log(2 * math.pi)
        return everything + 0.5 * (square - log_determinant + constant)

    def complete(self) -> tuple[Tensor, Tensor]:
        """Return the errors (R, D) with the missing pixels at their mean, and their variance."""
        factor, slope = self._system()
        shift = torch.cholesky_solve(slope, factor)[..., 0]
        errors = self.errors - torch.einsum("rm,rmd->rd", shift, self.rows)
        spread = torch.linalg.solve_triangular(factor, self.rows, upper=False)
        return errors, spread.square().sum(1)


@dataclass(frozen=True)
class FewSeen:
    """Patches of which more pixels are missing than seen; attributes as of `FewMissing`.

    The rows of the basis are those of the observed pixels, U_o.
    """

    rows: Tensor
    empty: Tensor
    errors: Tensor
    variance: Tensor

    def _system(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return U_o diag(v), the factor of C, the identity at empty places, and c (R, M, 1)."""
        weighted = self.rows * self.variance[:, None]
        factor = _factor(weighted, self.rows, self.empty)
        return weighted, factor, self.rows @ self.errors[..., None]

    def log_density(self, _: Tensor) -> Tensor:
        """Evaluate log p(x_o): (R,)."""
        _, factor, seen = self._system()
        square, log_determinant = _forms(factor, seen)
        constant = (~self.empty).sum(1) * math.log(2 * math.pi)
        return -0.5 * (square + log_determinant + constant)

    def complete(self) -> tuple[Tensor, Tensor]:
        """Return the errors (R, D) with the missing pixels at their mean, and their variance."""
        weighted, factor, seen = self._system()
        solved = torch.cholesky_solve(seen, factor)[..., 0]
        spread = torch.linalg.solve_triangular(factor, weighted, upper=False)
        unseen = (self.variance - spread.square().sum(1)).clamp(min=0)
        return torch.einsum("rm,rmd->rd", solved, weighted), unseen


def _factor(weighted: Tensor, rows: Tensor, empty: Tensor) -> Tensor:
    """Factorise the products of rows (R, M, D), of which the empty ones (R, M) are zero."""
    matrix = weighted @ rows.transpose(1, 2) + torch.diag_embed(empty.to(rows))
    factor: Tensor = torch.linalg.cholesky(matrix)
    return factor


def _forms(factor: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """Compute x^T (L L^T)^-1 x and log det L L^T of L (R, M, M) and x (R, M, 1): (R,) each."""
    solved = torch.linalg.solve_triangular(factor, vector, upper=False)
    return solved.square().sum((1, 2)), 2 * torch.diagonal(factor, dim1=1, dim2=2).log().sum(1)
