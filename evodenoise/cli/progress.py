"""What the user sees of a run on stderr: a bar on a terminal, lines on request."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
)

from evodenoise.cli.time_left import TimeLeftColumn
from evodenoise.jobs.progress import ImageProgress
from evodenoise.tvae.training import EpochReport


class RunProgress:
    """Show the course of one run.

    Parameters
    ----------
    bar : Progress
        The bar, started by the caller.
    image : ImageProgress
        Told of all that happens; it knows how long the rest takes.
    verbose : bool
        Print a line an epoch as well.
    """

    def __init__(self, bar: Progress, image: ImageProgress, *, verbose: bool) -> None:
        self.bar, self.image, self.verbose = bar, image, verbose
        self.page = ""
        self.task = bar.add_task(
            "starting", total=1.0, status="", left=lambda: self.image.seconds_left
        )

    def on_page(self, number: int) -> None:
        """Take in that the next page of a stack begins."""
        self.image.begin_page(number)
        self.page = f"page {number}, "
        self._show(f"page {number}", "")

    def on_epoch(self, report: EpochReport) -> None:
        """Take in an epoch of the training."""
        status = f"free energy {report.free_energy:.1f}  noise {report.noise_std:.3g}"
        self.image.train(report)
        self._show(f"{self.page}epoch {report.epoch}", status)
        if self.verbose:
            print(f"{self.page}{_line(report)}", file=sys.stderr)

    def on_reconstruction(self, share: float) -> None:
        """Take in the share of the reconstruction that is done."""
        self.image.rebuild(share)
        self._show(f"{self.page}rebuilding", "")

    def on_refinement(self, share: float) -> None:
        """Take in the share of the refinement that is done."""
        self.image.refine(share)
        self._show(f"{self.page}refining", "")

    def _show(self, phase: str, status: str) -> None:
        self.bar.update(self.task, description=phase, completed=self.image.share, status=status)


@contextmanager
def show_progress(image: ImageProgress, *, quiet: bool, verbose: bool) -> Iterator[RunProgress]:
    """Show the course of a run on stderr.

    Parameters
    ----------
    image : ImageProgress
        What the image will take.
    quiet : bool
        Show nothing at all.
    verbose : bool
        Print a line an epoch.

    Yields
    ------
    RunProgress
        To be told what happens.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[status]}"),
        TimeLeftColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        yield RunProgress(bar, image, verbose=verbose and not quiet)


def _line(report: EpochReport) -> str:
    return (
        f"epoch {report.epoch:>3}  free energy {report.free_energy:.2f}"
        f"  noise {report.noise_std:.3f}  active {report.active_latents:.2f}"
        f"  replaced {report.replaced:.2f}  rate {report.learning_rate:.1e}"
        f"  {report.seconds:.2f} s"
    )
