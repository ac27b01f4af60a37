"""Ctrl-C and SIGTERM: stop gently when asked once, at once when asked again."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from evodenoise.errors import ExitCode, RunError

REASONS = {ExitCode.INTERRUPTED: "interrupted", ExitCode.TERMINATED: "terminated"}


class InterruptedRunError(RunError):
    """Ctrl-C or SIGTERM ended the run.

    Parameters
    ----------
    code : ExitCode
        Which of them.
    outcome : str
        What there is of the results.
    """

    def __init__(self, code: ExitCode, outcome: str) -> None:
        super().__init__(f"{REASONS[code]}; {outcome}")
        self.exit_code = code


class Stopped(SystemExit):
    """A signal arrived: leave at once, cleaning up on the way out.

    Neither an `Exception` nor a `KeyboardInterrupt`, which libraries answer on their own.
    """

    def __init__(self, signalled: ExitCode) -> None:
        super().__init__(signalled)
        self.signalled = signalled


class Interrupts:
    """While entered, SIGTERM ends the run, and Ctrl-C as `gentle` says.

    Parameters
    ----------
    outcome : str
        What there is of the results if the run is ended at once.

    Attributes
    ----------
    stop_requested : bool
        Whether Ctrl-C asked for a gentle stop.
    """

    def __init__(self, outcome: str = "nothing was written") -> None:
        self.outcome = outcome
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
        if isinstance(error, Stopped):
            raise InterruptedRunError(error.signalled, self.outcome) from None
        if isinstance(error, KeyboardInterrupt):
            raise InterruptedRunError(ExitCode.INTERRUPTED, self.outcome) from None

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
            raise Stopped(ExitCode.INTERRUPTED)
        self.stop_requested = True
        _say(f"\n{self._request}\n")

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        raise Stopped(ExitCode.TERMINATED)


def _say(text: str) -> None:
    """Write to stderr from a signal handler, which may have come in the midst of such writing."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except RuntimeError:  # "reentrant call": a buffer is written to by one at a time
        os.write(sys.stderr.fileno(), text.encode(errors="replace"))
