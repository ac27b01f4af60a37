"""A record for each image of a run, in a file that survives whatever happens to the run."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evodenoise.errors import OutputError, WriteError
from evodenoise.evaluation.views import Views
from evodenoise.jobs.records import Record, document
from evodenoise.system.files import write_bytes

ENDINGS = (".json", ".jsonl", ".csv")
HTML = ".html"

BETWEEN = " | "
"""Between the parts of a list in a cell of a table: nothing that stands in a sentence."""


@dataclass(eq=False)
class Report:
    """A file with one record for each output, whole after every record.

    Attributes
    ----------
    path : Path
        Its ending decides: ``.json`` is rewritten for each record, ``.jsonl`` and ``.csv`` grow.
    columns : mapping of str to type
        What a record tells, and as which type.
    key : callable
        Tells from a record what it is about; a second record about the same replaces the first.
    summary : callable
        Sums up records for the JSON document.
    records : dict
        What is known, by the keys.
    """

    path: Path
    columns: Mapping[str, type]
    key: Callable[[Record], Any]
    summary: Callable[[Sequence[Record]], Mapping[str, Any]]
    records: dict[Any, Record] = field(default_factory=dict, init=False)

    def resume(self, keep: Callable[[Record], bool], others: Iterable[Path] = ()) -> None:
        """Go on with the file of an earlier run, if there is one.

        Parameters
        ----------
        keep : callable
            Tells whether a record of it still holds; the others are dropped.
        others : iterable of Path
            Reports of parts of that run, whose records are taken over.

        Raises
        ------
        OutputError
            If a file is not one of our reports.
        """
        for path in (self.path, *others):
            for record, views in self._read(path) if path.exists() else ():
                if keep(record):
                    self.take(record, views)

    def take(self, record: Record, views: Views | None = None) -> None:  # noqa: ARG002 - see `add`
        """Take over what is known, without writing it; as for `add`."""
        self.records[self.key(record)] = record

    def start(self) -> None:
        """Write the records that there are so far.

        Raises
        ------
        WriteError
            If that fails.
        """
        self._rewrite()

    def add(self, record: Record, views: Views | None = None) -> None:  # noqa: ARG002 - text
        """Add a record; it is in the file when this returns.

        Parameters
        ----------
        record : dict
            What is known of an output.
        views : Views or None
            Its pictures, for which text has no place.

        Raises
        ------
        WriteError
            If it could not be written.
        """
        if self.records.get(self.key(record)) == record:
            return
        known = self.key(record) in self.records
        self.records[self.key(record)] = record
        if known or self.path.suffix == ".json":
            self._rewrite()
            return
        try:
            # In one piece: a killed run leaves a whole line or, on a full disk, a torn last one.
            with self.path.open("ab", buffering=0) as stream:
                stream.write(_encode(self._lines([record])))
        except OSError as error:
            raise _write_error(self.path, error) from error

    def finish(self, order: Sequence[Any]) -> None:
        """Bring the records into an order.

        Parameters
        ----------
        order : sequence
            Keys; records about anything else come first, as they were.
        """
        places = {key: place for place, key in enumerate(order)}
        keys = sorted(self.records, key=lambda key: places.get(key, -1))
        if keys != list(self.records) or self.path.suffix == ".json":
            self.records = {key: self.records[key] for key in keys}
            self._rewrite()

    def flush(self) -> None:
        """Write what has been held back, if anything has."""

    def _rewrite(self) -> None:
        records = list(self.records.values())
        if self.path.suffix == ".json":
            text = (
                json.dumps(document(records, self.summary(records)), indent=2, allow_nan=False)
                + "\n"
            )
        elif self.path.suffix == ".csv":
            text = _csv([self.columns]) + self._lines(records)
        else:
            text = self._lines(records)
        self._write(text)

    def _write(self, text: str) -> None:
        """Replace the file."""
        try:
            write_bytes(self.path, _encode(text))
        except OSError as error:
            raise _write_error(self.path, error) from error

    def _lines(self, records: Sequence[Record]) -> str:
        if self.path.suffix == ".csv":
            return _csv([_cell(record[name]) for name in self.columns] for record in records)
        return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)

    def _read(self, path: Path) -> list[tuple[Record, Views | None]]:
        """Read the records of a file, and the pictures if it has such."""
        return [(record, None) for record in _read(path, self.columns)]


def check_report(path: Path, *, replace_it: bool, endings: Sequence[str] = ENDINGS) -> None:
    """Refuse, before any work, a report that could not be written.

    Parameters
    ----------
    path : Path
        The report.
    replace_it : bool
        Whether one that exists may be replaced or gone on with.
    endings : sequence of str
        Those that are known.

    Raises
    ------
    OutputError
        If the ending is unknown or the folder is not there.
    """
    if path.suffix not in endings:
        raise OutputError(f"{path}: unknown ending of a report; use one of {', '.join(endings)}")
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


def _cell(value: Any) -> Any:
    return BETWEEN.join(value) if isinstance(value, list) else value


def _value(cell: str, kind: type) -> Any:
    """Read a cell: what is empty is an empty list, or not known."""
    if kind is list:
        return cell.split(BETWEEN) if cell else []
    return kind(cell) if cell else None


def _read(path: Path, columns: Mapping[str, type]) -> list[Record]:
    """Read the records of a report; a torn last line counts for nothing."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if path.suffix == ".json":
            records = json.loads(text)["files"] if text.strip() else []
        elif path.suffix == ".csv":
            records = _read_csv(text, columns)
        else:
            records = [
                json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"
            ]
        if all(set(record) == set(columns) for record in records):
            return list(records)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is not a report to go on with: {error}") from error
    raise OutputError(f"{path}: is a report with other columns; choose another name")


def _read_csv(text: str, columns: Mapping[str, type]) -> list[Record]:
    whole = text[: text.rfind("\n") + 1]
    records = csv.DictReader(io.StringIO(whole), strict=True)
    return [
        {name: _value(cell, columns[name]) for name, cell in record.items()}
        for record in records
        if None not in record.values()
    ]
