"""The help on a screen too narrow for tables: each option above its text."""

from collections.abc import Iterator

import typer
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text
from typer.core import TyperArgument, TyperCommand, TyperOption

NARROW = 60
"""Columns below which a table leaves no room for its texts."""


def is_narrow() -> bool:
    """Tell whether the screen is too narrow for tables."""
    return Console().width < NARROW


def print_narrow_help(command: TyperCommand, context: typer.Context) -> None:
    """Print the help of a command, for a narrow screen.

    Parameters
    ----------
    command : TyperCommand
        Whose help.
    context : Context
        Of the call.
    """
    console = Console(highlight=False)
    for part in _parts(command, context):
        console.print(part)


def _parts(command: TyperCommand, context: typer.Context) -> Iterator[RenderableType]:
    yield Text(command.get_usage(context), style="bold")
    for paragraph in (command.help or "").split("\n\n"):
        yield Padding(Text.from_markup(" ".join(paragraph.split())), (1, 0, 0, 0), expand=False)
    panel = None
    # As the tables do, whatever the order of the declarations is.
    parameters = [
        each
        for each in command.get_params(context)
        if isinstance(each, (TyperArgument, TyperOption)) and not each.hidden
    ]
    panels = list(dict.fromkeys(_panel(each) for each in parameters))
    for each in sorted(parameters, key=lambda each: panels.index(_panel(each))):
        if _panel(each) != panel:
            panel = _panel(each)
            yield Padding(Text(panel, style="bold"), (1, 0, 0, 0), expand=False)
        yield Padding(Text(_head(each), style="cyan"), (0, 0, 0, 2), expand=False)
        yield Padding(Text.from_markup(each.help or ""), (0, 0, 0, 6), expand=False)
    yield Padding(Text.from_markup((command.epilog or "").strip()), (1, 0, 0, 0), expand=False)


def _panel(parameter: TyperArgument | TyperOption) -> str:
    default = "Arguments" if isinstance(parameter, TyperArgument) else "Options"
    return parameter.rich_help_panel or default


def _head(parameter: TyperArgument | TyperOption) -> str:
    names = [] if isinstance(parameter, TyperArgument) else parameter.opts
    return f"{', '.join(names)} {parameter.metavar or ''}".strip()
