"""An image as its overlapping patches, and back.

Dimensions: Y, X height and width, C channels, p patch size, N patches, D = p*p*C.
"""

from collections.abc import Sequence

from torch import Tensor


def extract_patches(image: Tensor, patch_size: int) -> Tensor:
    """Cut an image into all its overlapping patches (stride 1).

    Parameters
    ----------
    image : Tensor, shape (Y, X, C)
        The image.
    patch_size : int
        Side p of a patch in pixels, at most min(Y, X).

    Returns
    -------
    Tensor, shape (N, D)
        Row-major by the upper left corner, N = (Y-p+1)(X-p+1); a patch is flattened as (p, p, C).
    """
    windows = image.unfold(0, patch_size, 1).unfold(1, patch_size, 1)  # (Y', X', C, p, p)
    pixels = patch_size * patch_size * image.shape[2]
    return windows.permute(0, 1, 3, 4, 2).reshape(-1, pixels)


def merge_patches(patches: Tensor, shape: Sequence[int], patch_size: int) -> Tensor:
    """Average overlapping patches into an image; the inverse of `extract_patches`.

    Parameters
    ----------
    patches : Tensor, shape (N, D)
        Patches in the order of `extract_patches`.
    shape : sequence of int
        (Y, X, C) of the image.
    patch_size : int
        Side p of a patch in pixels.

    Returns
    -------
    Tensor, shape (Y, X, C)
        At each pixel the mean over all patches that cover it.
    """
    height, width, channels = shape
    rows, columns = height - patch_size + 1, width - patch_size + 1
    grid = patches.reshape(rows, columns, patch_size, patch_size, channels)
    total = patches.new_zeros(shape)
    covered = patches.new_zeros((height, width, 1))
    for dy in range(patch_size):
        for dx in range(patch_size):
            total[dy : dy + rows, dx : dx + columns] += grid[:, :, dy, dx]
            covered[dy : dy + rows, dx : dx + columns] += 1
    return total / covered
