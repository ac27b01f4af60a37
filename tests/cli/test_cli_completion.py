"""Completion in the shell: of files, commands, and the options of the command named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evodenoise.cli import main
from evodenoise.cli.commands import COMMANDS
from evodenoise.cli.completion import COMMAND_NAMES, complete_path, take_command


def test_every_command_is_known() -> None:
    assert list(COMMAND_NAMES) == list(COMMANDS)


def test_commands_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "border.png").touch()
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "box").mkdir()
    (tmp_path / "box/inner.tif").touch()
    assert complete_path("b") == ["benchmark", "border.png", "box/"]
    assert complete_path("box/i") == ["box/inner.tif"]
    assert complete_path("no/such/x") == []
    assert ".hidden.png" not in complete_path("")


@pytest.mark.parametrize(
    ("words", "place", "command", "left"),
    [
        ("evodenoise --rep", "1", None, "evodenoise --rep"),
        ("evodenoise benchmark", "1", None, "evodenoise benchmark"),
        ("evodenoise benchmark --se", "2", "benchmark", "evodenoise\n--se"),
        ("evodenoise my.png --se", "2", None, "evodenoise my.png --se"),
    ],
)
def test_the_command_is_taken_out(words: str, place: str, command: str | None, left: str) -> None:
    bash = {"COMP_WORDS": words, "COMP_CWORD": place}
    assert take_command(bash) == command
    assert bash["COMP_WORDS"] == left
    zsh = {"_TYPER_COMPLETE_ARGS": words}
    assert take_command(zsh) == command
    assert zsh["_TYPER_COMPLETE_ARGS"].split() == left.split()


@pytest.mark.parametrize(
    ("words", "place", "expected"),
    [
        ("evodenoise --skip", 1, "--skip-existing"),
        ("evodenoise benchmark --see", 2, "--seeds"),
        ("evodenoise comp", 1, "compare"),
    ],
)
def test_bash_is_answered(words: str, place: int, expected: str) -> None:
    asked = {"_EVODENOISE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    done = subprocess.run(
        [sys.executable, "-m", "evodenoise"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert expected in done.stdout.split()


def test_the_script_for_the_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What started the tests need not be a shell.
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    with pytest.raises(SystemExit) as exit_info:
        main(["--show-completion"])
    assert not exit_info.value.code
    assert "_EVODENOISE_COMPLETE" in capsys.readouterr().out
