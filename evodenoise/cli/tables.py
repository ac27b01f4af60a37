"""Tables on stdout."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

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
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(header):
        is_number = place >= len(header) - numbers
        table.add_column(name, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_markdown(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0
) -> None:
    """Print a table on stdout as Markdown; parameters as for `print_table`."""
    rules = ["---"] * (len(header) - numbers) + ["--:"] * numbers
    for line in (header, rules, *rows):
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |")
