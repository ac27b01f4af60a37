"""Image files: read, check, write. The only module that knows Pillow and tifffile."""

import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from evodenoise.errors import ImageError, OutputError, WriteError
from evodenoise.files import NewFile

Array = npt.NDArray[Any]

FORMATS: Mapping[str, str] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".npy": "NPY",
}
"""File name endings and what they stand for."""

_DTYPES: Mapping[str, tuple[str, ...]] = {
    "PNG": ("uint8", "uint16"),
    "JPEG": ("uint8",),
    "TIFF": ("uint8", "uint16", "float32"),
    "NPY": ("uint8", "uint16", "float16", "float32", "float64"),
}
_PILLOW_MODES = ("L", "RGB", "I;16", "I;16B")
_NPY_MAGIC = b"\x93NUMPY"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ICC_PROFILE_TAG = 34675

# What tifffile thinks of a damaged file is told in one line by the ImageError.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Image:
    """The pixels of a file and what goes back into the file beside them.

    Attributes
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
        Values as they are in the file.
    metadata : mapping
        Keyword arguments for the writer of the same format: resolution, colour profile, EXIF.
    format : str
        ``PNG``, ``JPEG``, ``TIFF`` or ``NPY``.
    """

    pixels: Array
    format: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_image(path: Path) -> Image:
    """Read one gray or RGB image.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, TIFF or ``.npy`` file; the content decides, not the name.

    Returns
    -------
    Image
        Its pixels and its metadata.

    Raises
    ------
    ImageError
        If the file is missing, unreadable, damaged or of a kind that is not supported.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
            stream.seek(0)
            if not head:
                raise ImageError(f"{path}: the file is empty")
            return _reader(head)(stream, path)
    except ImageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(f"{path}: cannot be read: {reason}") from error
    except Exception as error:  # decoders raise almost anything on damaged data
        raise ImageError(f"{path}: cannot be decoded, the file seems damaged: {error}") from error


def check_output(path: Path, pixels: Array, *, source: Path, overwrite: bool) -> None:
    """Make sure, before any work, that a result can be written.

    Parameters
    ----------
    path : Path
        Where the result is to go.
    pixels : ndarray
        An array of the result's shape and dtype.
    source : Path
        The input file, which is never overwritten.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the result would not fit the format, or the file could not or must not be written.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise OutputError(f"{path}: unknown ending; use one of {', '.join(FORMATS)}")
    try:
        _check_free(path, source, overwrite=overwrite)
        _check_fits(path, name, pixels)
        _check_writable(path.parent)
    except OSError as error:  # a name that is too long, for example
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _check_free(path: Path, source: Path, *, overwrite: bool) -> None:
    if path.exists() and path.samefile(source):
        raise OutputError(f"{path}: is the input itself; choose another output")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; choose another name or add --overwrite")


def _check_fits(path: Path, name: str, pixels: Array) -> None:
    dtype = pixels.dtype.name
    if dtype not in _DTYPES[name]:
        raise OutputError(f"{path}: {name} cannot hold {dtype} values; {_home_of(dtype)}")
    if name == "PNG" and dtype == "uint16" and pixels.ndim == 3:
        raise OutputError(f"{path}: 16-bit colour PNG is not supported yet; write a .tif file")
    if pixels.ndim == 3 and pixels.shape[2] != 3 and name != "NPY":
        raise OutputError(f"{path}: {pixels.shape[2]} channels; {name} needs gray or RGB")


def _home_of(dtype: str) -> str:
    """Name a format that holds values of a type, as advice."""
    if dtype in _DTYPES["TIFF"]:
        return "write a .tif file instead"
    if dtype in _DTYPES["NPY"]:
        return "write a .npy file instead"
    return "convert the image to float32 first"


def _check_writable(folder: Path) -> None:
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder; create it first")
    try:
        with NewFile(folder / "probe"):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to: {error.strerror}") from error


def write_image(path: Path, image: Image, *, on_ready: Callable[[], object] | None = None) -> None:
    """Write an image; it appears under its name complete or not at all.

    Parameters
    ----------
    path : Path
        Its ending decides the format.
    image : Image
        Metadata is written if the format is still the same.
    on_ready : callable, optional
        Called when all is on the disk but the name, to note it down first.

    Raises
    ------
    WriteError
        If writing fails, for example on a full disk.
    """
    name = FORMATS[path.suffix.lower()]
    metadata = image.metadata if name == image.format else {}
    try:
        with NewFile(path) as file:
            _WRITERS[name](file.stream, image.pixels, metadata)
            file.flush()
            if on_ready is not None:
                on_ready()
            file.put()
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error


def _reader(head: bytes) -> Callable[[IO[bytes], Path], Image]:
    if head.startswith(_NPY_MAGIC[:6]):
        return _read_npy
    if head.startswith(_TIFF_MAGIC):
        return _read_tiff
    return _read_pillow


def _read_npy(stream: IO[bytes], _: Path) -> Image:
    return Image(np.load(stream, allow_pickle=False), "NPY")


def _read_tiff(stream: IO[bytes], path: Path) -> Image:
    with tifffile.TiffFile(stream) as file:
        if len(file.pages) != 1:
            raise ImageError(f"{path}: {len(file.pages)} pages; only single images are supported")
        page, axes = file.series[0].pages[0], file.series[0].axes
        if not isinstance(page, tifffile.TiffPage) or axes not in ("YX", "YXS"):
            raise ImageError(f"{path}: axes {axes}; only gray (YX) and RGB (YXS) are supported")
        photometric = tifffile.PHOTOMETRIC(page.photometric).name.lower()
        samples = page.samplesperpixel
        if photometric not in ("minisblack", "miniswhite", "rgb") or samples not in (1, 3):
            raise ImageError(
                f"{path}: {photometric} with {samples} samples; only gray and RGB are supported"
            )
        pixels = _decode_tiff(page, path)
        if pixels.dtype.name not in _DTYPES["TIFF"]:
            raise ImageError(
                f"{path}: {pixels.dtype} values; TIFF of uint8, uint16 or float32 is supported"
            )
        metadata: dict[str, Any] = {"photometric": photometric}
        if "XResolution" in page.tags and "YResolution" in page.tags:
            metadata["resolution"] = (
                page.tags["XResolution"].value,
                page.tags["YResolution"].value,
            )
            metadata["resolutionunit"] = page.resolutionunit
        if _ICC_PROFILE_TAG in page.tags:
            metadata["iccprofile"] = page.tags[_ICC_PROFILE_TAG].value
        return Image(pixels, "TIFF", metadata)


def _decode_tiff(page: tifffile.TiffPage, path: Path) -> Array:
    segments = zip(page.dataoffsets, page.databytecounts, strict=True)
    # tifffile fills up some truncated tiles without a word.
    if max(offset + count for offset, count in segments) > page.parent.filehandle.size:
        raise ImageError(f"{path}: cannot be read: image file is truncated")
    try:
        return page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        kind = tifffile.COMPRESSION(page.compression).name
        raise ImageError(
            f"{path}: {kind} compression is not supported; save it uncompressed or with Deflate"
        ) from error


def _read_pillow(stream: IO[bytes], path: Path) -> Image:
    try:
        picture = PillowImage.open(stream, formats=("PNG", "JPEG"))
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: is not a PNG, JPEG, TIFF or .npy image") from error
    if picture.mode not in _PILLOW_MODES or "transparency" in picture.info:
        raise ImageError(
            f"{path}: {picture.format} of mode {picture.mode}"
            f"{' with transparency' if 'transparency' in picture.info else ''} is not supported; "
            "convert it to gray or RGB first"
        )
    if getattr(picture, "n_frames", 1) > 1:
        raise ImageError(f"{path}: is an animation; only single images are supported")
    # Pillow would silently drop the lower eight bits of each channel.
    if picture.mode == "RGB" and any("16" in str(tile[3]) for tile in picture.tile):
        raise ImageError(f"{path}: 16-bit colour PNG is not supported; convert it to TIFF first")
    metadata: dict[str, Any] = {
        key: picture.info[key] for key in ("dpi", "icc_profile", "exif") if key in picture.info
    }
    pixels = np.asarray(picture)
    native = pixels.astype(pixels.dtype.newbyteorder("="))
    return Image(native, str(picture.format), metadata)


def _write_png(stream: IO[bytes], pixels: Array, metadata: Mapping[str, Any]) -> None:
    _save_pillow(stream, pixels, format="PNG", **metadata)


def _write_jpeg(stream: IO[bytes], pixels: Array, metadata: Mapping[str, Any]) -> None:
    # High quality and full colour resolution: compression must not undo the denoising.
    _save_pillow(stream, pixels, format="JPEG", quality=95, subsampling=0, **metadata)


def _save_pillow(stream: IO[bytes], pixels: Array, **options: Any) -> None:
    # By way of memory: given a file, Pillow overlooks that a full disk took only a part of it.
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, **options)
    stream.write(buffer.getbuffer())


def _write_tiff(stream: IO[bytes], pixels: Array, metadata: Mapping[str, Any]) -> None:
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(stream, pixels, **{"photometric": photometric, "metadata": None, **metadata})


def _write_npy(stream: IO[bytes], pixels: Array, _: Mapping[str, Any]) -> None:
    np.save(stream, pixels, allow_pickle=False)


_WRITERS: Mapping[str, Callable[[IO[bytes], Array, Mapping[str, Any]], None]] = {
    "PNG": _write_png,
    "JPEG": _write_jpeg,
    "TIFF": _write_tiff,
    "NPY": _write_npy,
}
