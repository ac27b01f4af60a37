"""What a signal is answered with."""

import io
import os
import signal
import sys

import pytest

from evodenoise.cli.interrupts import Interrupts


class Busy(io.StringIO):
    """A stream in the midst of whose writing a signal has come."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, _text: str) -> int:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    def fileno(self) -> int:
        return self.number


@pytest.mark.skipif(sys.platform == "win32", reason="signals are a thing of Unix")
def test_ctrl_c_is_answered_in_the_midst_of_other_output(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stderr", Busy(writing))
    with Interrupts() as interrupts, interrupts.gentle("stopping"):
        os.kill(os.getpid(), signal.SIGINT)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == "\nstopping\n"
    assert interrupts.stop_requested
