"""Write the reference of the commands, `docs/commands.md`, from the commands themselves.

    python docs/make_commands.py

A test holds the page to what this prints.
"""

import inspect
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from evodenoise.cli.commands import COMMANDS, DENOISE
from evodenoise.cli.option import Command, Option

PAGE = Path(__file__).parent / "commands.md"
MARKUP = re.compile(r"\\?\[/?(?:bold|dim)\]")


def make_page() -> str:
    """Return the page."""
    lines = [
        "# Commands",
        "",
        "Made from the commands by `python docs/make_commands.py`.",
    ]
    for name, command in {"": DENOISE, **COMMANDS}.items():
        lines += ["", *_describe(f"evodenoise {name}".strip(), command)]
    lines += [
        "",
        "## Exit codes",
        "",
        "| code | meaning |",
        "|---|---|",
        "| 0 | done |",
        "| 1 | failed while running; of several images: all |",
        "| 2 | the request cannot be carried out; nothing was started |",
        "| 3 | some of several images failed |",
        "| 130, 143 | interrupted, terminated |",
        "",
        "PSNR and SSIM go to stdout, everything else to stderr.",
    ]
    return "\n".join(lines) + "\n"


def _describe(name: str, command: Command) -> Iterator[str]:
    arguments = [option for option in command.options.values() if not option.names]
    usage = " ".join([name, "[OPTIONS]", *(f"{each.metavar}..." for each in arguments)])
    yield from (f"## {name}", "", "```text", usage, "```", "")
    yield from (_plain(line) for line in inspect.cleandoc(command.work.__doc__ or "").split("\n"))
    for argument in arguments:
        yield from ("", f"`{argument.metavar}`: {_plain(argument.help)}")
    options = [option for option in command.options.values() if option.names]
    panels = list(dict.fromkeys(option.panel for option in options))
    options.sort(key=lambda option: panels.index(option.panel))
    for panel, members in groupby(options, key=lambda option: option.panel):
        yield from ("", f"### {panel}", "")
        yield from ("| option | | default |", "|---|---|---|")
        yield from map(_row, members)


def _row(option: Option) -> str:
    names = ", ".join(f"`{each} {option.metavar}".rstrip() + "`" for each in option.names.split())
    return f"| {names} | {_cell(option.help)} | {_cell(str(option.default))} |"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    return MARKUP.sub("", text)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
