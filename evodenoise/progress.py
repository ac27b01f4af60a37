"""What the user sees of a run on stderr: a bar on a terminal, lines on request."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from evodenoise.tvae.training import EpochReport

OnEpoch = Callable[[EpochReport], None]


@contextmanager
def show_epochs(epochs: int, *, quiet: bool, verbose: bool) -> Iterator[OnEpoch]:
    """Show the course of a training on stderr.

    Parameters
    ----------
    epochs : int
        Length of the run.
    quiet : bool
        Show nothing at all.
    verbose : bool
        Print a line an epoch.

    Yields
    ------
    callable
        To be called with every `EpochReport`.
    """
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    task = progress.add_task("", total=epochs, status="")

    def on_epoch(report: EpochReport) -> None:
        status = f"free energy {report.free_energy:.1f}  noise {report.noise_std:.3g}"
        progress.update(task, completed=report.epoch, status=status)
        if verbose and not quiet:
            print(_line(report), file=sys.stderr)

    with progress:
        yield on_epoch


def _line(report: EpochReport) -> str:
    return (
        f"epoch {report.epoch:>3}/{report.epochs}  free energy {report.free_energy:.2f}"
        f"  noise {report.noise_std:.3f}  active {report.active_latents:.2f}"
        f"  replaced {report.replaced:.2f}  rate {report.learning_rate:.1e}"
        f"  {report.seconds:.2f} s"
    )
