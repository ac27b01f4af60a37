"""Files beside a result: what was taken away, how sure it is, and a picture for people."""

from pathlib import Path

import numpy as np

from evodenoise.errors import OutputError, WriteError
from evodenoise.evaluation.figures import draw_comparison
from evodenoise.evaluation.metrics import Quality
from evodenoise.images import Array, Image, check_output, write_image
from evodenoise.system.files import write_bytes
from evodenoise.system.scratch import map_pieces


def check_floats(path: Path, image: Image, *, source: Path, overwrite: bool) -> None:
    """Refuse, before any work, a residual or error bars that could not be written.

    Parameters
    ----------
    path : Path
        Where it is to go.
    image : Image
        The noisy image.
    source : Path
        Its file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the file could not or must not be written.
    """
    expected = Image.plain(image.blank(np.dtype(np.float32)).pixels, image.axes)
    check_output(path, expected, source=source, overwrite=overwrite)


def check_figure(path: Path, *, source: Path, overwrite: bool) -> None:
    """Refuse, before any work, a figure that could not be written; as `check_floats`."""
    blank = Image.plain(np.zeros((1, 1), np.uint8), "YX")
    check_output(path, blank, source=source, overwrite=overwrite)


def check_new_file(path: Path, *, source: Path | None = None, overwrite: bool) -> None:
    """Refuse, before any work, a file of ours that could not or must not be written.

    Parameters
    ----------
    path : Path
        Where it is to go.
    source : Path, optional
        The input, which is never overwritten.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If so.
    """
    if source is not None and path.exists() and path.samefile(source):
        raise OutputError(f"{path}: is the input itself; choose another output")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; choose another name or add --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder; create it first")


def make_folder(path: Path) -> None:
    """Make a folder for results, if it is not there.

    Raises
    ------
    OutputError
        If that fails.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be created: {error.strerror}") from error


def write_new_file(path: Path, content: bytes) -> None:
    """Write a file of ours, as a trained model; it appears complete or not at all.

    Parameters
    ----------
    path : Path
        Where it goes.
    content : bytes
        All of it.

    Raises
    ------
    WriteError
        If writing fails.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_floats(path: Path, image: Image, values: Array) -> None:
    """Write a value for each pixel, as 32-bit floats, without opacity and metadata.

    Parameters
    ----------
    path : Path
        A ``.tif`` or ``.npy`` file.
    image : Image
        The noisy image, whose axes these have.
    values : ndarray of float32
        Of the shape of its pixels.

    Raises
    ------
    WriteError
        If writing fails.
    """
    write_image(path, Image.plain(values, image.axes))


def residual(image: Image, denoised: Array) -> Array:
    """Return noisy minus denoised, as 32-bit floats.

    Parameters
    ----------
    image : Image
        The noisy image.
    denoised : ndarray
        Of the shape of its pixels.
    """
    return map_pieces(_difference, np.float32, image.pixels, denoised)


def _difference(noisy: Array, denoised: Array) -> Array:
    return noisy.astype(np.float64) - denoised


def write_figure(
    path: Path,
    image: Image,
    denoised: Array,
    *,
    noise_std: float,
    caption: str,
    reference: Array | None,
    qualities: tuple[Quality | None, Quality | None],
    std: Array | None = None,
) -> None:
    """Write the picture for comparison; of a stack its middle page.

    Parameters
    ----------
    path : Path
        A ``.png`` file.
    image : Image
        The noisy image.
    denoised, reference : ndarray
        Of the shape of its pixels; the reference may be missing.
    noise_std, caption, qualities
        As for `draw_comparison`.
    std : ndarray, optional
        Standard deviation of the errors, of the shape of the pixels.

    Raises
    ------
    WriteError
        If writing fails.
    """
    picture = draw_comparison(
        middle_page(image, image.pixels),
        middle_page(image, denoised),
        noise_std=noise_std,
        caption=caption,
        reference=None if reference is None else middle_page(image, reference),
        qualities=qualities,
        std=None if std is None else middle_page(image, std),
    )
    write_image(path, Image.plain(picture, "YXC"))


def middle_page(image: Image, pixels: Array) -> Array:
    """Return the page in the middle of a stack, or the only one.

    Parameters
    ----------
    image : Image
        Tells whether there are pages.
    pixels : ndarray
        Its own, or others of their shape.
    """
    return np.asarray(pixels[len(pixels) // 2] if image.is_stack else pixels)
