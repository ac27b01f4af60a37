"""Where results go, and what they are called."""

import os
from dataclasses import dataclass
from pathlib import Path

from evodenoise.errors import ConfigError
from evodenoise.images import FORMATS, is_folder_name

DEFAULT_SUFFIX = "_denoised"
"""What is added to the name of a result that stands beside its input."""


@dataclass(frozen=True)
class Naming:
    """Where results go.

    Attributes
    ----------
    output : str or None
        As typed: a file, or a folder; None: beside each input.
    suffix : str or None
        Added to the name before its ending; None: `DEFAULT_SUFFIX` beside the input, else none.
    ending : str or None
        Ending of the results without its dot, as ``tif``; None: that of the input.
    aside : tuple of Path
        Files and folders that are no inputs even if a search finds them, as references.
    """

    output: str | None = None
    suffix: str | None = None
    ending: str | None = None
    aside: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.ending is not None and f".{self.ending}" not in FORMATS:
            known = ", ".join(ending[1:] for ending in FORMATS)
            raise ConfigError(f"--format {self.ending!r} is unknown; use one of {known}")
        if self.suffix is not None and Path(f"a{self.suffix}").name != f"a{self.suffix}":
            raise ConfigError(f"--suffix {self.suffix!r} cannot be a part of a file's name")

    @property
    def folder(self) -> Path | None:
        """The output as a folder."""
        return None if self.output is None else Path(self.output)

    def is_folder(self) -> bool:
        """Tell whether the output is a folder by itself, whatever the inputs are."""
        output = self.output or ""
        if is_folder_name(Path(output)):  # an image, also with the slash of a shell's completion
            return False
        return output.endswith(("/", os.sep)) or os.path.isdir(output)  # noqa: PTH112 - never raises

    def name(self, source: Path) -> str:
        """Name the result of an input."""
        suffix = self.suffix
        if suffix is None:
            suffix = "" if self.output is not None else DEFAULT_SUFFIX
        ending = source.suffix if self.ending is None else f".{self.ending}"
        return f"{source.stem}{suffix}{ending}"

    def target(self, source: Path, inside: Path) -> Path:
        """Say where the result of an input goes.

        Parameters
        ----------
        source : Path
            The input.
        inside : Path
            Its path inside of the folder that was named, for an output that mirrors it.
        """
        if self.folder is None:
            return source.with_name(self.name(source))
        return self.folder / inside.with_name(self.name(source))

    def claims(self, path: Path, base: Path) -> bool:
        """Tell whether a file is none of the inputs, but looks like something of ours.

        Parameters
        ----------
        path : Path
            A file that was found.
        base : Path
            The folder that was searched.
        """
        place = path.resolve()
        if any(each.resolve() in (place, *place.parents) for each in self.aside):
            return True
        if self.folder is None or self.suffix:
            suffix = DEFAULT_SUFFIX if self.suffix is None else self.suffix
            return bool(suffix) and path.stem.endswith(suffix)
        # Results have a folder of their own if it lies inside of the one that is searched.
        folder = self.folder.resolve()
        return base.resolve() in folder.parents and folder in place.parents
