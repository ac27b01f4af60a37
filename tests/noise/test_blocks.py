"""JPEG is recognised by what it takes from its blocks."""

import io

import numpy as np
import pytest
from pictures import Array, add_noise, wave
from PIL import Image

from evodenoise.noise.blocks import was_compressed


def compressed(pixels: Array, quality: int) -> Array:
    file = io.BytesIO()
    Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(
        file, "JPEG", quality=quality
    )
    return np.asarray(Image.open(file)).astype(float)


NOISY = add_noise(wave(96, 104), 15.0)


@pytest.mark.parametrize("quality", [75, 50, 20])
def test_a_compressed_image_is_recognised(quality: int) -> None:
    assert was_compressed(compressed(NOISY, quality)[None])


def test_other_images_are_not() -> None:
    file = compressed(NOISY, 50)
    assert not was_compressed(NOISY.round().clip(0, 255)[None])
    assert not was_compressed(file[None, 4:, 4:])
    assert not was_compressed(np.zeros((1, 64, 64)))
    assert not was_compressed(2 * file[None])
    assert not was_compressed(file[None, :24, :24])
