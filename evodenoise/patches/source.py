"""One scaled image as a source of patches, with gaps where pixels are missing."""

from functools import cached_property

from torch import Tensor

from evodenoise.patches.grid import PatchGrid, cosine_basis, extract_patches
from evodenoise.tvae.gaps import GappedPatches
from evodenoise.tvae.observations import CompletePatches


class PatchSource:
    """A noisy image and its patches, as coefficients of the cosine basis.

    Parameters
    ----------
    image : Tensor, shape (Y, X, C)
        Noisy image of unit variance; missing pixels hold anything finite.
    patch_size : int
        Side of the patches in pixels.
    missing : Tensor of bool, shape (Y, X), optional
        Missing pixels.
    """

    def __init__(self, image: Tensor, patch_size: int, missing: Tensor | None = None) -> None:
        self.image = image
        self.grid = PatchGrid(image.shape, patch_size)
        self.missing = missing if missing is not None and bool(missing.any()) else None

    @cached_property
    def basis(self) -> Tensor:
        """U, shape (D, D): see `cosine_basis`."""
        return cosine_basis(self.grid.patch_size, self.image.shape[2]).to(self.image)

    def patches(self, positions: Tensor) -> CompletePatches | GappedPatches:
        """Cut out patches (N,): their coefficients (N, D), with gaps if the image has any."""
        coefficients = extract_patches(self.image, self.grid.patch_size, positions) @ self.basis
        if self.missing is None:
            return CompletePatches(coefficients)
        return GappedPatches.of(coefficients, self._missing(positions), self.basis)

    def visible(self, positions: Tensor) -> Tensor:
        """Keep the positions (N,) of patches of which at least one pixel is there."""
        if self.missing is None:
            return positions
        return positions[~self._missing(positions).all(1)]

    def filled(self, estimate: Tensor) -> Tensor:
        """Put an estimate (Y, X, C) in place of the missing pixels."""
        if self.missing is None:
            return self.image
        return self.image.where(~self.missing[..., None], estimate)

    def _missing(self, positions: Tensor) -> Tensor:
        assert self.missing is not None
        everywhere = self.missing[..., None].expand(self.image.shape).contiguous()
        return extract_patches(everywhere, self.grid.patch_size, positions)
