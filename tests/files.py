"""Image files for the tests, good and bad, made without the code that is tested."""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage

GRAY = as_dtype(add_noise(wave(12, 10)), "uint8")
COLOUR = as_dtype(add_noise(wave(12, 10, channels=3)), "uint8")
GRAY16 = GRAY.astype(np.uint16) * 257 - 3


def snapshot(folder: Path) -> dict[str, bytes]:
    """Take down everything in a folder, hidden files too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def png(pixels: np.ndarray, colour_type: int) -> bytes:
    """Assemble a PNG of 8 or 16 bits a channel by hand; Pillow cannot write them all."""
    height, width = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    lines = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    data = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _save_pillow(pixels: np.ndarray, mode: str | None = None) -> Callable[[Path], object]:
    picture = PillowImage.fromarray(pixels)
    return (picture.convert(mode) if mode else picture).save


def _save_animation(path: Path) -> None:
    PillowImage.fromarray(GRAY).save(
        path, save_all=True, append_images=[PillowImage.fromarray(GRAY[::-1])]
    )


def _save_sizes(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(GRAY)
        writer.write(GRAY[1:])


def _save_npy(pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.save(path, pixels)


def _save_tiff(pixels: np.ndarray, photometric: str = "minisblack") -> Callable[[Path], object]:
    return lambda path: tifffile.imwrite(path, pixels, photometric=photometric)


def _save_truncated_png(path: Path) -> None:
    path.write_bytes(png(GRAY, 0)[:-60])


def _save_truncated_tiff(path: Path, keep: int = -60) -> None:
    tifffile.imwrite(path, GRAY)
    path.write_bytes(path.read_bytes()[:keep])


REFUSED_FILES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "text.png": (lambda path: path.write_text("no image at all"), "is not a PNG"),
    "zero.png": (lambda path: path.write_bytes(b""), "is empty"),
    "truncated.png": (_save_truncated_png, "truncated"),
    "truncated.tif": (_save_truncated_tiff, "truncated"),
    # Ends amid its tags, about which tifffile has a lot to say.
    "headless.tif": (lambda path: _save_truncated_tiff(path, keep=240), "cannot be"),
    "folder.png": (lambda path: path.mkdir(), "directory"),
    "animation.png": (_save_animation, "animation"),
    "cmyk.jpg": (_save_pillow(COLOUR, "CMYK"), "CMYK"),
    "sizes.tif": (_save_sizes, "2 images of different"),
    "picture.gif": (_save_pillow(GRAY), "is not a PNG"),
    "line.npy": (_save_npy(GRAY[0]), "shape (10,)"),
    "dimensions.npy": (_save_npy(np.zeros((1,) * 5 + (8, 8))), "2 to 6 dimensions"),
    "objects.npy": (
        _save_npy(np.array([None, "x"], dtype=object)),
        "holds Python objects; save numbers",
    ),
    "bands.npy": (_save_npy(np.zeros((40, 40, 5))), "--axes YXT or, if that is right, --axes TYX"),
    "narrow_stack.npy": (_save_npy(np.stack([GRAY[:3]] * 5)), "--axes YCX"),
}
"""Files that cannot be read as an image, how to make them, and what the refusal names."""

_HOLED = np.stack([GRAY, GRAY * np.nan, GRAY])
_PEAK = np.where(GRAY > 200, np.inf, GRAY.astype(np.float32))

REFUSED_IMAGES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "nan.npy": (_save_npy(GRAY * np.nan), "every pixel is missing"),
    "nan.tif": (_save_tiff((GRAY * np.nan).astype(np.float32)), "every pixel is missing"),
    "nan_page.npy": (_save_npy(_HOLED), "every pixel of page 2 is missing"),
    "inf.npy": (_save_npy(_PEAK), "infinite"),
    "inf.tif": (_save_tiff(_PEAK), "infinite"),
    "tiny.png": (_save_pillow(GRAY[:3]), "10 x 3 pixels"),
    "narrow.npy": (_save_npy(GRAY[:, :3]), "3 x 12 pixels"),
    "complex.npy": (_save_npy(GRAY * 1j), "complex128"),
    "mask.npy": (_save_npy(GRAY > 128), "bool"),
}
"""Files that can be read, but not denoised."""


@contextmanager
def full_disk(capacity: int = 64) -> Iterator[None]:
    """Let no file grow beyond some bytes for a while, as if the disk were full."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (capacity, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
