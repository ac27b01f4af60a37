"""What the user sees of a run on stderr: a bar on a terminal, lines on request."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from evodenoise.tvae.training import EpochReport


class RunProgress:
    """Show the course of one run.

    Parameters
    ----------
    bar : Progress
        The bar, started by the caller.
    verbose : bool
        Print a line an epoch as well.
    """

    def __init__(self, bar: Progress, *, verbose: bool) -> None:
        self.bar, self.verbose, self.rebuilding = bar, verbose, False
        self.page = ""
        self.task = bar.add_task("starting", total=1.0, status="")

    def on_page(self, number: int) -> None:
        """Take in that the next page of a stack begins."""
        self.page, self.rebuilding = f"page {number}, ", False
        self.bar.reset(self.task, description=f"page {number}", total=1.0)

    def on_epoch(self, report: EpochReport) -> None:
        """Take in an epoch of the training."""
        status = f"free energy {report.free_energy:.1f}  noise {report.noise_std:.3g}"
        self.bar.update(
            self.task,
            description=f"{self.page}epoch {report.epoch}",
            completed=report.progress,
            status=status,
        )
        if self.verbose:
            print(f"{self.page}{_line(report)}", file=sys.stderr)

    def on_reconstruction(self, share: float) -> None:
        """Take in the share of the reconstruction that is done."""
        if not self.rebuilding:
            self.rebuilding = True
            self.bar.reset(self.task, description=f"{self.page}rebuilding", status="")
        self.bar.update(self.task, completed=share)
        if share >= 1:
            self.bar.update(self.task, description=f"{self.page}refining", total=None)


@contextmanager
def show_progress(*, quiet: bool, verbose: bool) -> Iterator[RunProgress]:
    """Show the course of a run on stderr.

    Parameters
    ----------
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
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        yield RunProgress(bar, verbose=verbose and not quiet)


def _line(report: EpochReport) -> str:
    return (
        f"epoch {report.epoch:>3}  free energy {report.free_energy:.2f}"
        f"  noise {report.noise_std:.3f}  active {report.active_latents:.2f}"
        f"  replaced {report.replaced:.2f}  rate {report.learning_rate:.1e}"
        f"  {report.seconds:.2f} s"
    )
