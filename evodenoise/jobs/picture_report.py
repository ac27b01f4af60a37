"""A report to look at: a page that is rewritten while a run gets on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evodenoise.errors import OutputError
from evodenoise.evaluation.views import Views
from evodenoise.jobs.card import make_card
from evodenoise.jobs.page import make_page, read_page
from evodenoise.jobs.records import Record
from evodenoise.jobs.report import Report

WRITING_SHARE = 0.05
"""Of the time, for writing the page again and again."""


@dataclass(eq=False)
class PictureReport(Report):
    """A page to look at, with pictures of each image.

    It is rewritten for each record, unless that would take more than `WRITING_SHARE` of the time:
    then records are held back for a while.

    Attributes
    ----------
    path, columns, key, summary, records
        As of `Report`.
    views : dict
        The pictures of each image, if there are any, by the same keys.
    """

    views: dict[Any, Views | None] = field(default_factory=dict, init=False)
    _cards: dict[Any, str] = field(default_factory=dict, init=False)
    _held_back: bool = field(default=False, init=False)
    _next: float = field(default=0.0, init=False)

    def take(self, record: Record, views: Views | None = None) -> None:
        """Take over what is known, without writing it; as for `add`."""
        key = self.key(record)
        super().take(record, views)
        self.views[key], self._cards[key] = views, make_card(record, views)

    def add(self, record: Record, views: Views | None = None) -> None:
        """Add a record; the file shows it when this returns, or some seconds later.

        Parameters
        ----------
        record : dict
            What is known of an output.
        views : Views or None
            Its pictures.

        Raises
        ------
        WriteError
            If it could not be written.
        """
        self.take(record, views)
        self._held_back = True
        if time.monotonic() >= self._next:
            self._rewrite()

    def finish(self, order: Sequence[Any]) -> None:
        """Bring the records into an order; as for `Report.finish`."""
        super().finish(order)
        self.flush()

    def flush(self) -> None:
        """Write what has been held back, if anything has."""
        if self._held_back:
            self._rewrite()

    def _rewrite(self) -> None:
        started, records = time.monotonic(), list(self.records.values())
        cards = [self._cards[key] for key in self.records]
        views = [self.views[key] for key in self.records]
        self._write(make_page(records, cards, views, self.summary(records)))
        ended = time.monotonic()
        self._held_back, self._next = False, ended + (ended - started) / WRITING_SHARE

    def _read(self, path: Path) -> list[tuple[Record, Views | None]]:
        try:
            found = list(read_page(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path}: is not a report to go on with: {error}") from error
        if all(_fits(record, self.columns) for record, _ in found):
            return found
        raise OutputError(f"{path}: is a report with other columns; choose another name")


def _fits(record: Record, columns: Mapping[str, type]) -> bool:
    """Tell whether a record is of the columns and their types."""
    return set(record) == set(columns) and all(
        record[name] is None or isinstance(record[name], (float, int) if kind is float else kind)
        for name, kind in columns.items()
    )
