"""From an image to a file, after a check that it can be held there."""

import errno
import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO

from evodenoise.errors import ImageError, OutputError, ScratchError, WriteError
from evodenoise.images.format import Format, WriteOptions
from evodenoise.images.formats import ALL, FORMATS, is_folder_name, is_image_folder
from evodenoise.images.image import EXIF, Image
from evodenoise.images.zarr_nodes import is_store
from evodenoise.system.files import NewFile
from evodenoise.system.folders import NewFolder
from evodenoise.system.scratch import is_large

_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_COLOURS = {1: "gray", 3: "RGB"}


def check_output(
    path: Path,
    image: Image,
    *,
    source: Path,
    overwrite: bool,
    options: WriteOptions | None = None,
) -> tuple[str, ...]:
    """Make sure, before any work, that a result can be written.

    Parameters
    ----------
    path : Path
        Where the result is to go.
    image : Image
        Of the result's shape and type, with the metadata that it should keep.
    source : Path
        The input file, which is never overwritten.
    overwrite : bool
        Whether an existing file may be replaced.
    options : WriteOptions, optional
        How it will be written.

    Returns
    -------
    tuple of str
        What will not be kept there, in plain sentences.

    Raises
    ------
    OutputError
        If the result would not fit the format, or the file could not or must not be written.
    """
    known = FORMATS.get(path.suffix.lower())
    if known is None:
        raise OutputError(f"{path}: unknown ending; use one of {', '.join(FORMATS)}")
    options = options or WriteOptions()
    try:
        _check_free(path, source, overwrite=overwrite)
        _check_fits(path, known, image)
        _check_quality(path, known, options)
        _check_writable(path.parent)
        _rehearse(path, known, image, options)
    except OSError as error:  # a name that is too long, for example
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    return _losses(known, image)


def _check_free(path: Path, source: Path, *, overwrite: bool) -> None:
    if path.exists() and path.samefile(source):
        raise OutputError(f"{path}: is the input itself; choose another output")
    place, origin = path.resolve(), source.resolve()
    contains = is_folder_name(path) and place in origin.parents
    if contains or (origin in place.parents and is_image_folder(origin)):
        raise OutputError(f"{path}: input and output lie in each other; choose another output")
    if is_folder_name(path):
        if path.exists() and not (is_store(path) or (path.is_dir() and not any(path.iterdir()))):
            raise OutputError(f"{path}: is there, and no Zarr image; choose another name")
    elif path.is_dir():
        raise OutputError(f"{path}: is a folder")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; choose another name or add --overwrite")


def _check_fits(path: Path, known: Format, image: Image) -> None:
    dtype, channels = image.pixels.dtype.name, image.channels
    if dtype not in known.dtypes:
        raise OutputError(
            f"{path}: {known.name} cannot hold {dtype} values; {_home_of(dtype, known)}"
        )
    if image.is_stack and not known.pages:
        raise OutputError(
            f"{path}: {known.name} holds one page, not {len(image.pages)}; write a .tif file"
        )
    if known.channels and channels not in known.channels:
        allowed = " or ".join(_COLOURS.get(count, str(count)) for count in known.channels)
        raise OutputError(f"{path}: {channels} channels; {known.name} needs {allowed}")
    if image.uncertainty is not None and not known.takes_pages(image):
        raise OutputError(
            f"{path}: cannot hold pages of error bars: the file's own description says which pages "
            "there are; name a .tif or .npy file with --uncertainty"
        )
    if image.alpha is not None and not known.alpha:
        raise OutputError(f"{path}: {known.name} cannot hold opacity; write a .png or .tif file")


def _home_of(dtype: str, unfit: Format) -> str:
    """Name, as advice, a format that holds values of a type, and a type that the format holds."""
    home = next((known for known in ALL if known is not unfit and dtype in known.dtypes), None)
    advice = [f"write a {home.endings[0]} file"] if home else []
    if "float32" in unfit.dtypes:
        advice.append("add --dtype float32")
    else:
        also = " (or uint16)" if "uint16" in unfit.dtypes else ""
        advice.append(f"add --dtype uint8 --rescale{also}")
    return " or ".join(advice)


def _check_quality(path: Path, known: Format, options: WriteOptions) -> None:
    if options.quality is None:
        return
    if not known.quality:
        raise OutputError(f"{path}: --quality is for JPEG and WebP, not for {known.name}")
    if not 1 <= options.quality <= 100:
        raise OutputError(f"--quality is {options.quality}; it goes from 1 to 100")


def _check_writable(folder: Path) -> None:
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder; create it first")
    try:
        with NewFile(folder / "probe"):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to: {error.strerror}") from error


def _rehearse(path: Path, known: Format, image: Image, options: WriteOptions) -> None:
    """Write a blank image with the same metadata, for damaged metadata can be read.

    A large one goes beside the result for as long as that takes, which shows that it has room.
    """
    blank = image.blank()
    try:
        if known.is_folder:
            with NewFolder(path) as place:
                _write(known, place.folder, blank, options)
        elif is_large(blank.pixels.shape, blank.pixels.dtype):
            with NewFile(path) as file:
                _write(known, file.stream, blank, options)
        else:
            _write(known, io.BytesIO(), blank, options)
    except ScratchError:
        raise
    except ImageError as error:  # a library is not there
        raise OutputError(f"{path}: {error}") from error
    except Exception as error:  # as many kinds as there are libraries
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        if _fails(known, blank.stripped(), options):
            raise OutputError(f"{path}: cannot be written as {known.name}: {error}") from error
        raise OutputError(
            f"{path}: cannot be written, the metadata of the input seems damaged: {error}; "
            "add --strip to drop it"
        ) from error


def _fails(known: Format, image: Image, options: WriteOptions) -> bool:
    try:
        with tempfile.TemporaryDirectory(prefix="evodenoise-") as folder:
            _write(known, Path(folder) if known.is_folder else io.BytesIO(), image, options)
    except Exception:
        return True
    return False


def _losses(known: Format, image: Image) -> tuple[str, ...]:
    """Name the metadata that another format does not take."""
    if known.name == image.format:
        return ()
    metadata = image.metadata
    taken = known.shared & metadata.shared.keys()
    kept = taken | (metadata.inside_exif if EXIF in taken else frozenset())
    lost = [name for name in metadata.names if name not in kept]
    lost.extend(known.drops(image))
    return (f"a {known.name} file does not keep: {', '.join(lost)}",) if lost else ()


def _write(known: Format, place: IO[bytes] | Path, image: Image, options: WriteOptions) -> None:
    with warnings.catch_warnings():
        # What a library has to say about the metadata was heard when it was read.
        warnings.simplefilter("ignore", UserWarning)
        known.write(place, image, options)


def write_image(
    path: Path,
    image: Image,
    options: WriteOptions | None = None,
    *,
    on_ready: Callable[[], object] | None = None,
) -> None:
    """Write an image; it appears under its name complete or not at all.

    Parameters
    ----------
    path : Path
        Its ending decides the format, which must fit, see `check_output`.
    image : Image
        What is written, with as much of its metadata as the format takes.
    options : WriteOptions, optional
        How it is written.
    on_ready : callable, optional
        Called when all is on the disk but the name, to note it down first.

    Raises
    ------
    WriteError
        If writing fails, for example on a full disk.
    """
    try:
        known = FORMATS[path.suffix.lower()]
        with NewFolder(path) if known.is_folder else NewFile(path) as new:
            place = new.folder if isinstance(new, NewFolder) else new.stream
            _write(known, place, image, options or WriteOptions())
            new.flush()
            if on_ready is not None:
                on_ready()
            new.put()
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error
