"""Tables on stdout."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 120
"""Columns of a table that goes to a file or a pipe."""


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0) -> None:
    """Print a table on stdout.

    Parameters
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequences of str
        The cells.
    numbers : int
        How many of the last columns are set flush right.
    """
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(header):
        is_number = place >= len(header) - numbers
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def print_markdown(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0
) -> None:
    """Print a table on stdout as Markdown; parameters as for `print_table`."""
    rules = ["---"] * (len(header) - numbers) + ["--:"] * numbers
    for line in (header, rules, *rows):
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |")


def print_record(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and what they stand for on stdout, long texts on lines of their own.

    Parameters
    ----------
    rows : sequence of (str, str)
        The names and their texts.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    for name, text in rows:
        grid.add_row(name, Text(text))
    _console().print(grid)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)
