"""A browser without a window for the tests: Chromium, spoken to through a pipe."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Chromium reads commands from file 3 and writes to file 4, each ended by a NUL.
START = """
import os, sys
commands, answers = int(sys.argv[1]), int(sys.argv[2])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-extensions", "--remote-debugging-pipe"),
)

PATIENCE = 60.0
"""Seconds after which a browser that does not answer counts as dead."""


def find_browser() -> str | None:
    """Find one, if there is one."""
    return next((name for name in NAMES if shutil.which(name)), None)


class Browser:
    """One page of a browser.

    Parameters
    ----------
    folder : Path
        Where it keeps its own files.
    """

    def __init__(self, folder: Path) -> None:
        name = find_browser()
        assert name is not None
        # Numbers from 10 on, so that 3 and 4 are free to be given.
        ours = [_above(end) for end in (*os.pipe(), *os.pipe())]
        command = [name, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, str(ours[0]), str(ours[3]), *command],
            pass_fds=(ours[0], ours[3]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(ours[3])
        self.commands, self.answers = os.fdopen(ours[1], "wb", 0), os.fdopen(ours[2], "rb", 0)
        self.events: list[dict[str, Any]] = []
        self.rest, self.number, self.session = b"", 0, ""

    def __enter__(self) -> "Browser":
        (page, *_) = [
            each for each in self.ask("Target.getTargets")["targetInfos"] if each["type"] == "page"
        ]
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{part}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.commands.close()
        self.answers.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command of the DevTools protocol and return what is answered."""
        self.number += 1
        session = {"sessionId": self.session} if self.session else {}
        message = {"id": self.number, "method": method, "params": parameters, **session}
        self.commands.write(json.dumps(message).encode() + b"\0")
        while True:
            told = self._read()
            if told.get("id") == self.number:
                assert "error" not in told, told
                return dict(told["result"])
            self.events.append(told)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            assert select.select([self.answers], [], [], PATIENCE)[0], "the browser says nothing"
            piece = self.answers.read(1 << 20)
            assert piece, "the browser has ended"
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))

    def open(self, path: Path) -> None:
        """Show a file, and wait until it has been loaded."""
        self.events.clear()
        self.ask("Page.navigate", url=path.absolute().as_uri())
        while "Page.loadEventFired" not in [event.get("method") for event in self.events]:
            self.events.append(self._read())

    def run(self, code: str) -> Any:
        """Evaluate an expression of JavaScript, and wait for its promise if it is one."""
        told = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                     windowsVirtualKeyCode=code)  # fmt: skip

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw the mouse from one place to another."""
        for kind, (x, y) in (
            ("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)
        ):  # fmt: skip
            self.ask(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1,
                clickCount=1,
            )  # fmt: skip

    def look(self, path: Path, *, width: int, height: int, dark: bool) -> None:
        """Take a picture."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[str]:
        """List what has been complained of: errors of scripts, and what the policy refused."""
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event.get("method") == "Log.entryAdded":
                found.append(parameters["entry"]["text"])
            elif event.get("method") == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
        return found

    def requests(self) -> list[str]:
        """List the addresses that have been asked for."""
        sent = "Network.requestWillBeSent"
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == sent
        ]


def _above(number: int) -> int:
    """Move an open file to a number from 10 on."""
    import fcntl

    moved = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(number)
    return moved
