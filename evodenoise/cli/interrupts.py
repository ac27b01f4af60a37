"""Ctrl-C and SIGTERM: stop gently when asked once, at once when asked again."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

import typer

from evodenoise.errors import RunError

INTERRUPTED = 130
TERMINATED = 143


class InterruptedRunError(RunError):
    """Ctrl-C ended the run before anything was written."""

    exit_code = INTERRUPTED


class Terminated(SystemExit):
    """SIGTERM arrived: leave at once, cleaning up on the way out."""


class Interrupts:
    """While entered, SIGTERM ends the run, and Ctrl-C as `gentle` says.

    Attributes
    ----------
    stop_requested : bool
        Whether Ctrl-C asked for a gentle stop.
    """

    def __init__(self) -> None:
        self.stop_requested = False
        self._patient = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        # Python hands signals to the main thread only; elsewhere nothing can be installed.
        if threading.current_thread() is threading.main_thread():
            self._previous = {
                signal.SIGINT: signal.signal(signal.SIGINT, self._on_interrupt),
                signal.SIGTERM: signal.signal(signal.SIGTERM, self._on_terminate),
            }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if kind is KeyboardInterrupt:
            raise InterruptedRunError("interrupted; nothing was written") from None

    @contextmanager
    def gentle(self) -> Iterator[None]:
        """Within, the first Ctrl-C only sets `stop_requested`; the second one interrupts."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self._patient or self.stop_requested:
            raise KeyboardInterrupt
        self.stop_requested = True
        typer.echo(
            "\nstopping: the picture is finished with what has been learned "
            "(Ctrl-C again: quit, write nothing)",
            err=True,
        )

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        raise Terminated(TERMINATED)
