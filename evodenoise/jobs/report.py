"""A row for each image of a run, in a file that survives whatever happens to the run."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evodenoise.errors import OutputError, WriteError
from evodenoise.jobs.records import Record, document
from evodenoise.system.files import write_bytes

ENDINGS = (".json", ".jsonl", ".csv")


class Report:
    """A file with one row for each output, whole after every row.

    Parameters
    ----------
    path : Path
        Its ending decides: ``.json`` is rewritten for each row, ``.jsonl`` and ``.csv`` grow.
    columns : sequence of str
        The names of a row.
    key : callable
        Tells from a row what it is about; a second row about the same replaces the first.
    summary : callable
        Sums up rows for the JSON document.
    """

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, type],
        key: Callable[[Record], Any],
        summary: Callable[[Sequence[Record]], Mapping[str, Any]],
    ) -> None:
        self.path, self.columns, self.key, self.summary = path, columns, key, summary
        self.rows: dict[Any, Record] = {}

    def resume(self, keep: Callable[[Record], bool]) -> None:
        """Go on with the file of an earlier run, if there is one.

        Parameters
        ----------
        keep : callable
            Tells whether a row of it still holds; the others are dropped.

        Raises
        ------
        OutputError
            If the file is not one of our reports.
        """
        if self.path.exists():
            found = _read(self.path, self.columns)
            self.rows = {self.key(row): row for row in found if keep(row)}

    def start(self) -> None:
        """Write the rows that there are so far.

        Raises
        ------
        WriteError
            If that fails.
        """
        self._rewrite()

    def add(self, row: Record) -> None:
        """Add a row; it is in the file when this returns.

        Raises
        ------
        WriteError
            If it could not be written.
        """
        if self.rows.get(self.key(row)) == row:
            return
        known = self.key(row) in self.rows
        self.rows[self.key(row)] = row
        if known or self.path.suffix == ".json":
            self._rewrite()
            return
        try:
            # In one piece: a killed run leaves a whole line or, on a full disk, a torn last one.
            with self.path.open("ab", buffering=0) as stream:
                stream.write(_encode(self._lines([row])))
        except OSError as error:
            raise _write_error(self.path, error) from error

    def finish(self, order: Sequence[Any]) -> None:
        """Bring the rows into an order.

        Parameters
        ----------
        order : sequence
            Keys; rows about anything else come first, as they were.
        """
        places = {key: place for place, key in enumerate(order)}
        keys = sorted(self.rows, key=lambda key: places.get(key, -1))
        if keys != list(self.rows) or self.path.suffix == ".json":
            self.rows = {key: self.rows[key] for key in keys}
            self._rewrite()

    def _rewrite(self) -> None:
        rows = list(self.rows.values())
        if self.path.suffix == ".json":
            text = json.dumps(document(rows, self.summary(rows)), indent=2, allow_nan=False) + "\n"
        elif self.path.suffix == ".csv":
            text = _csv([self.columns]) + self._lines(rows)
        else:
            text = self._lines(rows)
        try:
            write_bytes(self.path, _encode(text))
        except OSError as error:
            raise _write_error(self.path, error) from error

    def _lines(self, rows: Sequence[Record]) -> str:
        if self.path.suffix == ".csv":
            return _csv([row[name] for name in self.columns] for row in rows)
        return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def check_report(path: Path, *, replace_it: bool) -> None:
    """Refuse, before any work, a report that could not be written.

    Parameters
    ----------
    path : Path
        The report.
    replace_it : bool
        Whether one that exists may be replaced or gone on with.

    Raises
    ------
    OutputError
        If the ending is unknown or the folder is not there.
    """
    if path.suffix not in ENDINGS:
        raise OutputError(f"{path}: unknown ending of a report; use one of {', '.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder; create it first")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder")
    if path.exists() and not replace_it:
        raise OutputError(
            f"{path}: exists already; "
            "add --skip-existing to go on where a run stopped, or --overwrite"
        )


def _write_error(path: Path, error: OSError) -> WriteError:
    return WriteError(f"{path}: cannot be written: {error.strerror or error}")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")  # file names may be any bytes


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read(path: Path, columns: Mapping[str, type]) -> list[Record]:
    """Read the rows of a report; a torn last line counts for nothing."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if path.suffix == ".json":
            rows = json.loads(text)["files"] if text.strip() else []
        elif path.suffix == ".csv":
            rows = _read_csv(text, columns)
        else:
            rows = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        if all(set(row) == set(columns) for row in rows):
            return list(rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is not a report to go on with: {error}") from error
    raise OutputError(f"{path}: is a report with other columns; choose another name")


def _read_csv(text: str, columns: Mapping[str, type]) -> list[Record]:
    whole = text[: text.rfind("\n") + 1]
    rows = csv.DictReader(io.StringIO(whole), strict=True)
    return [
        {name: columns[name](value) if value else None for name, value in row.items()}
        for row in rows
        if None not in row.values()
    ]
