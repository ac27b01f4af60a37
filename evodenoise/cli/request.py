"""What is asked for, and which of it cannot be meant."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evodenoise.cli.output import Voice
from evodenoise.cli.streams import STREAM, goes_to_stdout
from evodenoise.errors import ConfigError, OutputError
from evodenoise.images import is_image_folder
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.naming import Naming
from evodenoise.jobs.plan import Plan
from evodenoise.jobs.shards import Shard


@dataclass(frozen=True)
class Request:
    """What is to be done with which files, as typed.

    Attributes
    ----------
    files : tuple of str
        Inputs: files, folders and glob patterns.
    recursive : bool
        Whether folders inside of folders count.
    jobs : int or None
        Images at once.
    fail_fast : bool
        Whether nothing is begun after a failure.
    dry_run : bool
        Whether the plan is printed, and nothing is done.
    reference : Path or None
        A clean image, or a folder of such.
    reports : tuple of Path
        Where records go.
    figure, residual : Path or None
        Where these go.
    uncertainty : str or None
        Where the standard deviation of the errors goes: a path, or `PAGE`.
    shard : Shard or None
        Which part of the images is done; None: all.
    scheduler : str or None
        Address of the cluster that does it; None: this machine does.
    """

    files: tuple[str, ...]
    recursive: bool = False
    jobs: int | None = None
    fail_fast: bool = False
    dry_run: bool = False
    reference: Path | None = None
    reports: tuple[Path, ...] = ()
    figure: Path | None = None
    residual: Path | None = None
    uncertainty: str | None = None
    shard: Shard | None = None
    scheduler: str | None = None

    def reports_of_shard(self) -> tuple[Path, ...]:
        """Return where the reports go: those of a shard are files of their own."""
        if self.shard is None:
            return self.reports
        return tuple(map(self.shard.report, self.reports))


def check_request(request: Request, settings: RunSettings, naming: Naming, voice: Voice) -> None:
    """Refuse options that contradict each other, or could do nothing whatever the files are.

    Parameters
    ----------
    request, settings, naming, voice
        All that was typed.

    Raises
    ------
    ConfigError
        If there are such.
    """
    check_renewal(overwrite=settings.overwrite, resume=settings.resume)
    for report, count in Counter(request.reports).items():
        if count > 1:
            raise ConfigError(f"--report {report} is given {count} times; give it once")
    if settings.data_range is not None and request.reference is None:
        raise ConfigError("--data-range says how to measure; it needs --reference")
    for name in ("shard", "scheduler"):
        streams = STREAM in request.files or naming.output == STREAM
        if getattr(request, name) is not None and streams:
            raise ConfigError(f"--{name} is for files; leave it out with -")
    if request.scheduler is not None and request.jobs is not None:
        raise ConfigError(
            "--jobs is for this machine; of a cluster the threads of its workers say how many "
            "images are done at once"
        )
    if goes_to_stdout(request.files, naming.output):
        if voice.as_json:
            raise ConfigError("--json and the image both want stdout; name a file with -o")
        if naming.suffix is not None:
            raise ConfigError("--suffix is for the name of a file, not for stdout; leave it out")
        if settings.resume:
            raise ConfigError("--skip-existing looks for files, not at stdout; leave it out")


def check_renewal(*, overwrite: bool, resume: bool) -> None:
    """Refuse two answers to the question what becomes of files that are there.

    Raises
    ------
    ConfigError
        If both are given.
    """
    if overwrite and resume:
        raise ConfigError("--overwrite and --skip-existing exclude each other; choose one")


def check_names(plan: Plan) -> None:
    """Refuse to write two files under one name.

    Raises
    ------
    OutputError
        If that was asked for.
    """
    taken: set[Path] = set()
    for path in (path for job in plan.jobs for path in job.outputs()):
        if path.absolute() in taken:
            raise OutputError(
                f"{path}: would be written twice; name results and what goes beside them apart"
            )
        taken.add(path.absolute())


def list_idle_options(request: Request, plan: Plan) -> Iterator[str]:
    """Name the options that do nothing for the files that there are.

    Parameters
    ----------
    request : Request
        What was typed.
    plan : Plan
        The files.

    Yields
    ------
    str
        A line each.
    """
    if request.recursive and not any(map(_is_searched, request.files)):
        yield "note: --recursive does nothing here: no input is a folder"
    if not plan.many and request.jobs is not None:
        yield "note: --jobs does nothing here: there is one image, which has all cores"
    if not plan.many and request.fail_fast:
        yield "note: --fail-fast does nothing here: there is one image"


def _is_searched(name: str) -> bool:
    return Path(name).is_dir() and not is_image_folder(Path(name))
