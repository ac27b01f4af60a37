"""From a file to an image."""

import warnings
from dataclasses import replace
from pathlib import Path

from evodenoise.errors import ImageError, ScratchError
from evodenoise.images.format import ReadOptions
from evodenoise.images.formats import HEAD_BYTES, format_of, is_image_folder, recognise
from evodenoise.images.image import Image


def read_image(path: Path, options: ReadOptions | None = None) -> Image:
    """Read an image or a stack of pages.

    Parameters
    ----------
    path : Path
        The file; its content decides what it is, not its name.
    options : ReadOptions, optional
        What the user knows about it.

    Returns
    -------
    Image
        Its pixels and all that stands beside them.

    Raises
    ------
    ImageError
        If the file is missing, unreadable, damaged, too large or of an unsupported kind.
    ScratchError
        If it is large, and there is no room for what is in it.
    """
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            image = _read(path, options or ReadOptions())
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except ScratchError as error:
        raise ScratchError(f"{path}: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(f"{path}: cannot be read: {reason}") from error
    except MemoryError as error:
        raise ImageError(f"{path}: does not fit into the memory") from error
    except Exception as error:  # decoders raise almost anything on damaged data
        reason = " ".join(str(error).split())
        raise ImageError(f"{path}: cannot be decoded, the file seems damaged: {reason}") from error
    # What a library says about the file is for the user; about the use of itself, for us.
    remarks = {str(item.message) for item in said if issubclass(item.category, UserWarning)}
    return replace(image, warnings=(*image.warnings, *sorted(remarks)))


def _read(path: Path, options: ReadOptions) -> Image:
    if is_image_folder(path):
        return _checked(format_of(path).read(path, options), options)
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        stream.seek(0)
        return _checked(recognise(head).read(stream, options), options)


def _checked(image: Image, options: ReadOptions) -> Image:
    if not image.pixels.size:
        raise ImageError("holds no pixels")
    _check_axes(image, options.axes)
    return image


def _check_axes(image: Image, said: str | None) -> None:
    """Refuse axes that a format without a choice of them does not have."""
    if said is None:
        return
    # A palette becomes an axis of colours that the file does not have.
    known, said = image.layout.axes, said.upper()
    if known not in (said, f"{said}S"):
        raise ImageError(f"a {image.format} file has axes {known}, not {said}; leave --axes out")
