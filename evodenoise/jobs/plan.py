"""Many images: what maps to what, in which order, and what is passed over."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evodenoise.errors import ConfigError, ImageError, OutputError, plural
from evodenoise.images import FORMATS, is_folder_name, is_image_folder
from evodenoise.jobs.job import Job
from evodenoise.jobs.naming import Naming

RESIDUAL_ENDINGS = (".tif", ".tiff", ".npy")
FIGURE_ENDINGS = (".png",)

PAGE = "page"
"""Typed for a file: the standard deviation of the errors goes into the result itself."""

PAGED_ENDINGS = (".tif", ".tiff")
"""Of files that hold pages of different types."""

NAMED_AT_MOST = 3
"""Files that a message names before it only counts."""


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes
    ----------
    jobs : tuple of Job
        In the order of the inputs, those of a folder by name; no output twice.
    passed_over : int
        Files in folders that are not for us: hidden, of an unknown ending, or our own outputs.
    many : bool
        Whether more than one image could have been meant, so that one that fails does not
        end the run.
    make_folders : bool
        Whether the results go to folders, which are made, and not to a file that was named.
    """

    jobs: tuple[Job, ...]
    passed_over: int
    many: bool
    make_folders: bool


def make_plan(
    inputs: Sequence[str],
    naming: Naming,
    *,
    recursive: bool = False,
    reference: Path | None = None,
) -> Plan:
    """Find out which images there are and where their results go.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders and glob patterns, as typed.
    naming : Naming
        Where results go.
    recursive : bool
        Whether folders inside of folders count.
    reference : Path, optional
        A clean image for all, or a folder with clean images of the same names.

    Returns
    -------
    Plan
        The jobs.

    Raises
    ------
    ImageError
        If a named input does not exist, or no image or no reference is found.
    OutputError
        If two inputs have one output.
    """
    many = len(inputs) > 1 or any(_is_many(each) for each in inputs)
    if not many:
        jobs = [_single(Path(inputs[0]), naming)]
        pairs = _with_references(jobs, reference)
        return Plan(pairs, 0, many=False, make_folders=naming.is_folder())
    if naming.folder is not None and is_folder_name(naming.folder):
        raise OutputError(f"{naming.folder}: names one image; results of several need a folder")
    if naming.folder is not None and naming.folder.is_file():
        raise OutputError(f"{naming.folder}: is a file; results of several images need a folder")
    if reference is not None and not reference.exists():
        raise ImageError(f"{reference}: cannot be read: No such file")
    found, passed_over = [], 0
    for each in inputs:
        images, others = _find(each, naming, recursive=recursive)
        found += [_job(path, base, naming) for path, base in images]
        passed_over += others
    _refuse_inputs_as_outputs(found)
    results = {_key(job.target) for job in found}
    jobs = [job for job in found if _key(job.source) not in results]
    passed_over += len(found) - len(jobs)
    if not jobs:
        hint = "" if recursive else "; -r looks into subfolders"
        files = plural(passed_over, "file")
        raise ImageError(f"{', '.join(inputs)}: no images found ({files} passed over){hint}")
    pairs = _with_references(list(_distinct(jobs)), reference)
    return Plan(pairs, passed_over, many=True, make_folders=True)


def _job(source: Path, base: Path, naming: Naming) -> Job:
    inside = source.relative_to(base)
    return Job(source, naming.target(source, inside), inside=inside)


def _refuse_inputs_as_outputs(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if _key(job.source) == _key(job.target):
            raise OutputError(f"{job.target}: is the input itself; choose another output")


def _is_many(typed: str) -> bool:
    """Tell whether an input may stand for several files: a folder or a glob."""
    if is_image_folder(Path(typed)):
        return False
    return os.path.isdir(typed) or (glob.has_magic(typed) and not os.path.lexists(typed))  # noqa: PTH112


def _single(source: Path, naming: Naming) -> Job:
    if not source.name:
        raise ImageError(f"{source}: is a folder; name an image file")
    if naming.folder is None or naming.is_folder():
        return _job(source, source.parent, naming)
    if naming.suffix is not None or naming.ending is not None:
        raise ConfigError(
            f"-o {naming.output} names the file already; leave --suffix, --format out"
        )
    return Job(source, naming.folder, inside=Path(source.name))


def _find(typed: str, naming: Naming, *, recursive: bool) -> tuple[list[tuple[Path, Path]], int]:
    """Find the images that an input stands for, each with the folder that was searched.

    Whatever was named itself is taken for an image; of what was searched for, the number of
    files is returned that are none.
    """
    path = Path(typed)
    if not _is_many(typed):
        if not typed or not path.exists():
            raise ImageError(f"{typed or repr(typed)}: cannot be read: No such file")
        return [(path, path.parent)], 0
    if path.is_dir():
        base, listed = path, list(_walk(path, recursive))
    else:
        base = _fixed_part(path)
        listed = [Path(each) for each in sorted(glob.glob(typed, recursive=True))]  # noqa: PTH207
        listed = [each for each in listed if _is_there(each)]
        if not listed:
            raise ImageError(f"{typed}: no file matches")
    images = [each for each in listed if _is_image(each) and not naming.claims(each, base)]
    return [(each, base) for each in images], len(listed) - len(images)


def _fixed_part(pattern: Path) -> Path:
    """Return the folder that a glob pattern starts from."""
    fixed = pattern.parent
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    return fixed


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    """List the files of a folder by name, files before folders; hidden folders are left alone.

    A folder that is an image counts as a file.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ImageError(f"{folder}: cannot be read: {error.strerror}") from error
    yield from (entry for entry in entries if _is_there(entry))
    for entry in entries:
        if is_image_folder(entry):
            continue
        # Not through links, which could lead in circles.
        if recursive and entry.is_dir() and not entry.is_symlink() and entry.name[0] != ".":
            yield from _walk(entry, recursive)


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in FORMATS


def _distinct(jobs: Sequence[Job]) -> Iterator[Job]:
    """Drop inputs that were named twice; refuse two inputs with one output."""
    seen: dict[str, Job] = {}
    for job in jobs:
        other = seen.setdefault(_key(job.target), job)
        if other is job:
            yield job
        elif _key(other.source) != _key(job.source):
            raise OutputError(
                f"{other.source} and {job.source} would both become {job.target}; "
                "name the outputs apart, with --suffix or one folder at a time"
            )


def _key(path: Path) -> str:
    return os.path.normcase(path.resolve())


def _with_references(jobs: Sequence[Job], reference: Path | None) -> tuple[Job, ...]:
    """Give each job its clean image: of the same place and name, else of the same name."""
    if reference is None:
        return tuple(jobs)
    if not reference.is_dir() or is_image_folder(reference):
        return tuple(replace(job, reference=reference) for job in jobs)
    found = [path for path in _walk(reference, recursive=True) if _is_image(path)]
    places: dict[str, Path] = {}
    for path in reversed(found):  # the first of several is the one that counts
        places[path.stem] = path
        places[path.name] = path
    pairs = []
    for job in jobs:
        mirrored = reference / job.inside
        by_name = places.get(job.source.name) or places.get(job.source.stem)
        pairs.append(replace(job, reference=mirrored if _is_there(mirrored) else by_name))
    if all(job.reference is None for job in pairs):
        raise ImageError(f"{reference}: holds no image with the name of an input")
    return tuple(pairs)


def _is_there(path: Path) -> bool:
    return path.is_file() or is_image_folder(path)


def add_extras(
    plan: Plan,
    *,
    residual: Path | None = None,
    figure: Path | None = None,
    uncertainty: str | None = None,
) -> Plan:
    """Say where residuals, figures and error bars go: in files, or for many images in folders.

    Parameters
    ----------
    plan : Plan
        Without them.
    residual, figure : Path, optional
        As typed.
    uncertainty : str, optional
        As typed: a path, or `PAGE`.

    Returns
    -------
    Plan
        With them.

    Raises
    ------
    OutputError
        If one is a file where a folder is needed, or of an ending that cannot be.
    """
    in_result = uncertainty == PAGE
    bars = None if uncertainty is None or in_result else Path(uncertainty)
    if in_result:
        _refuse_pages(plan.jobs)
    elif any(job.target == bars for job in plan.jobs):
        raise OutputError(
            f"{bars}: would be written twice; name another file, or write --uncertainty {PAGE}"
        )
    for path, endings in (
        (residual, RESIDUAL_ENDINGS),
        (figure, FIGURE_ENDINGS),
        (bars, RESIDUAL_ENDINGS),
    ):
        if path is not None and plan.many and (path.is_file() or path.suffix in endings):
            raise OutputError(f"{path}: is a file; for several images name a folder")
        if path is not None and not plan.many and path.suffix not in endings and not path.is_dir():
            raise OutputError(f"{path}: unknown ending; use {' or '.join(endings)}")
    return replace(
        plan,
        jobs=tuple(
            replace(
                job,
                residual=_extra(job, plan, residual, RESIDUAL_ENDINGS),
                figure=_extra(job, plan, figure, FIGURE_ENDINGS),
                uncertainty=(
                    job.target if in_result else _extra(job, plan, bars, RESIDUAL_ENDINGS)
                ),
            )
            for job in plan.jobs
        ),
    )


def _refuse_pages(jobs: Sequence[Job]) -> None:
    """Refuse pages of error bars in files that cannot hold them."""
    for job in jobs:
        if job.target.suffix.lower() not in PAGED_ENDINGS:
            raise OutputError(
                f"{job.target}: --uncertainty {PAGE} needs a TIFF result; add --format tif, "
                "or name a .tif or .npy file"
            )


def _extra(job: Job, plan: Plan, path: Path | None, endings: Sequence[str]) -> Path | None:
    if path is None or path.suffix in endings:
        return path
    place = job.target.with_suffix("")
    alone = sum(other.target.with_suffix("") == place for other in plan.jobs) == 1
    return path / job.inside.with_name((place.name if alone else job.target.name) + endings[0])


def refuse_existing(jobs: Sequence[Job]) -> None:
    """Refuse, before any work, to replace results.

    Raises
    ------
    OutputError
        If an output exists.
    """
    wanted = [path for job in jobs for path in job.outputs()]
    existing = [path for path in wanted if os.path.lexists(path)]
    if existing:
        names = ", ".join(map(str, existing[:NAMED_AT_MOST]))
        more = len(existing) - NAMED_AT_MOST
        raise OutputError(
            f"{names}{f' and {more} more' if more > 0 else ''}: "
            f"exist{'s' if len(existing) == 1 else ''} already; "
            "add --skip-existing to go on where a run stopped, or --overwrite"
        )
