"""A dask array, too large for memory or not, denoised block by block with one shared model.

    python -m pip install 'evodenoise[dask]'
    python examples/dask_array.py

The model learns from one block and serves all; blocks overlap, so that there are no seams.
"""

import dask.array as da
import numpy as np

from evodenoise import denoise_tvae, estimate_noise, preset_config, train_model

SIDE, BLOCK, OVERLAP, SIGMA = 192, 96, 16, 0.1


def main() -> None:
    """Make a noisy array, denoise it, and print how far it is from the truth."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / 20
    clean = 0.5 + 0.4 * np.sin(rows) * np.cos(1.7 * columns)
    noisy = clean + SIGMA * np.random.default_rng(0).standard_normal(clean.shape)
    lazy = da.from_array(noisy, chunks=BLOCK)

    first = np.asarray(lazy.blocks[0, 0])
    model = train_model(first[None], preset_config("fast", first.shape), rng=0)
    sigma = estimate_noise(noisy).level  # once for all blocks, so that they match

    def denoise_block(block: np.ndarray) -> np.ndarray:
        return denoise_tvae(block, model=model, sigma=sigma, rng=0)

    denoised = lazy.map_overlap(denoise_block, depth=OVERLAP, boundary="none", dtype=float)
    # Blocks are denoised with all cores, one after the other.
    result = denoised.compute(scheduler="synchronous")
    print(f"error before {np.std(noisy - clean):.3f}, after {np.std(result - clean):.3f}")


if __name__ == "__main__":
    main()
