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

    Parameters
    ----------
    farewell : str
        What is said when Ctrl-C ends the run at once.

    Attributes
    ----------
    stop_requested : bool
        Whether Ctrl-C asked for a gentle stop.
    """

    def __init__(self, farewell: str = "interrupted; nothing was written") -> None:
        self.farewell = farewell
        self.stop_requested = False
        self._request: str | None = None
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
            raise InterruptedRunError(self.farewell) from None

    @contextmanager
    def gentle(self, message: str) -> Iterator[None]:
        """Within, the first Ctrl-C only sets `stop_requested`; the second one interrupts.

        Parameters
        ----------
        message : str
            What the first one is answered with.
        """
        self._request = message
        try:
            yield
        finally:
            self._request = None

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._request is None or self.stop_requested:
            raise KeyboardInterrupt
        self.stop_requested = True
        typer.echo(f"\n{self._request}", err=True)

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        raise Terminated(TERMINATED)
