"""What the formats that Pillow reads have in common."""

from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from evodenoise.errors import ImageError
from evodenoise.images.axes import Array, Layout
from evodenoise.images.format import ReadOptions
from evodenoise.images.image import EXIF, ICC_PROFILE, RESOLUTION, XMP, Image, from_samples

KEYWORDS: Mapping[str, str] = {
    RESOLUTION: "dpi",
    ICC_PROFILE: "icc_profile",
    EXIF: "exif",
    XMP: "xmp",
}
"""What Pillow calls the metadata that several formats know."""

EXIF_HEAD = b"Exif\0\0"
"""What EXIF begins with in most formats."""

# Our own limit is checked before Pillow decodes anything.
PillowImage.MAX_IMAGE_PIXELS = None


def open_picture(stream: IO[bytes], name: str, options: ReadOptions) -> PillowImage.Image:
    """Open a picture without decoding its pixels.

    Parameters
    ----------
    stream : IO[bytes]
        The file.
    name : str
        Pillow's name of the format.
    options : ReadOptions
        How many pixels are allowed.

    Returns
    -------
    PIL.Image.Image
        The picture.

    Raises
    ------
    ImageError
        If it is no picture of that format, too large or an animation.
    """
    try:
        picture = PillowImage.open(stream, formats=(name,))
    except UnidentifiedImageError as error:
        raise ImageError(f"is damaged: its header is not that of a {name} image") from error
    options.check_size(*picture.size)
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise ImageError("is an animation; only single images are supported")
    return picture


def samples_of(picture: PillowImage.Image) -> tuple[Array, bool, tuple[str, ...]]:
    """Decode gray levels or colours, bit depths below 8 and palettes expanded.

    Parameters
    ----------
    picture : PIL.Image.Image
        Of any mode.

    Returns
    -------
    samples : ndarray, shape (Y, X) or (Y, X, C)
        Colours and opacity.
    has_alpha : bool
        Whether the last channel is opacity.
    warnings : tuple of str
        What does not come back as it was.

    Raises
    ------
    ImageError
        If the mode is neither gray nor RGB.
    """
    mode, warnings = picture.mode, []
    if mode == "1":
        warnings.append("1-bit pixels come back as gray levels of 8 bits, which denoising needs")
        picture = picture.convert("L")
    elif mode in ("P", "PA"):
        warnings.append("the colours of its palette come back without the palette")
        see_through = mode == "PA" or "transparency" in picture.info
        picture = picture.convert("RGBA" if see_through else "RGB")
        picture = _without_false_colour(picture)
    elif "transparency" in picture.info and mode in ("L", "RGB"):
        warnings.append("its transparent colour comes back as an alpha channel")
        picture = picture.convert("LA" if mode == "L" else "RGBA")
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L"):
        raise ImageError(
            f"{picture.format or 'image'} of mode {mode} is not supported; "
            "convert it to gray or RGB first"
        )
    samples = np.asarray(picture)
    native = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    return native, picture.mode in ("LA", "RGBA"), tuple(warnings)


def _without_false_colour(picture: PillowImage.Image) -> PillowImage.Image:
    """Turn colours of a gray palette into gray levels."""
    samples = np.asarray(picture)
    is_gray = (samples[..., 0] == samples[..., 1]) & (samples[..., 0] == samples[..., 2])
    return picture.convert({"RGB": "L", "RGBA": "LA"}[picture.mode]) if is_gray.all() else picture


def shared_metadata(picture: PillowImage.Image) -> dict[str, Any]:
    """Collect the metadata that other formats know too."""
    shared = {
        name: picture.info[keyword]
        for name, keyword in KEYWORDS.items()
        if picture.info.get(keyword)
    }
    if EXIF in shared:  # of a WebP it comes without its head
        shared[EXIF] = EXIF_HEAD + shared[EXIF].removeprefix(EXIF_HEAD)
    return shared


def as_image(samples: Array, format_name: str, *, has_alpha: bool, **fields: Any) -> Image:
    """Make an image of one page's samples (Y, X) or (Y, X, C)."""
    layout = Layout("YXC"[: samples.ndim], samples.shape)
    pixels, alpha = from_samples(samples, layout, has_alpha=has_alpha)
    return Image(pixels, format_name, layout, alpha, **fields)
