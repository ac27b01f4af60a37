"""What an option is, and how a command is made of options."""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from evodenoise.cli.narrow_help import is_narrow, print_narrow_help
from evodenoise.errors import ExitCode, UsageError

Given = Mapping[str, Any]
"""What was typed, by the names of the options; what was not typed is not there."""


@dataclass(frozen=True)
class Option:
    """An option or an argument: all that there is to know about it.

    Attributes
    ----------
    names : str
        As typed, for example ``-o --output``; an argument has none.
    kind : type
        Of its value; an option of `bool` is a flag.
    metavar : str
        What the help calls the value.
    panel : str
        The part of the help that it stands in.
    decides : (type, str) or None
        The settings and their field that the value is for, which know the default, too; None: the
        command sees to it.
    help : str
        One plain sentence.
    default : object
        What the help tells of the case that it is not given; "": nothing.
    read : callable, optional
        Makes of the typed text what the field takes.
    more : mapping
        What Typer is told besides.
    """

    names: str
    kind: Any
    metavar: str
    panel: str
    decides: tuple[type, str] | None
    help: str
    default: object = ""
    read: Callable[[Any], Any] = lambda value: value
    more: Mapping[str, Any] = field(default_factory=dict)

    def parameter(self, name: str, *, hidden: bool = False) -> inspect.Parameter:
        """Return it as a parameter of a function, as Typer reads them."""
        if not self.names:
            argument = typer.Argument(
                metavar=self.metavar, help=self.help, show_default=False, **self.more
            )
            return _parameter(name, Annotated[self.kind, argument], inspect.Parameter.empty)
        shown = "" if self.default == "" else rf" [dim]\[default: {self.default}][/dim]"
        option = typer.Option(
            *self.names.split(),
            metavar=self.metavar or " ",
            help=self.help + shown,
            show_default=False,
            rich_help_panel=self.panel,
            hidden=hidden,
            **self.more,
        )
        return _parameter(name, Annotated[self.kind | None, option], None)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=annotation, default=default)


@dataclass(frozen=True)
class Command:
    """A command of ours.

    Attributes
    ----------
    work : callable
        Does it; its docstring is the help.
    options : mapping
        What may be typed, by name, in the order of the help.
    epilog : str
        Below the help.
    common : collection of str
        The options that the short help shows; all, if there are none.
    """

    work: Callable[[Given], ExitCode]
    options: Mapping[str, Option]
    epilog: str = ""
    common: Collection[str] = ()

    def app(self, *, completion: bool = False, whole: bool = True) -> typer.Typer:
        """Make a Typer application of it.

        Parameters
        ----------
        completion : bool
            Whether it has the options that set up completion in a shell.
        whole : bool
            Whether its help shows all options.
        """
        app = typer.Typer(
            add_completion=completion, rich_markup_mode="rich", pretty_exceptions_enable=False
        )
        register = app.command(
            cls=_TyperCommand, help=self.work.__doc__, epilog=self.epilog, add_help_option=False
        )
        register(self._function(self.options if whole or not self.common else self.common))
        return app

    def _function(self, shown: Collection[str]) -> Callable[..., ExitCode]:
        """Return a function whose parameters are the options."""

        def command(**values: Any) -> ExitCode:
            typed = {name: value for name, value in values.items() if value not in (None, [])}
            return self.work(
                {name: self.options[name].read(value) for name, value in typed.items()}
            )

        parameters = [
            option.parameter(name, hidden=name not in shown)
            for name, option in self.options.items()
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command


class _TyperCommand(TyperCommand):
    """Refuses what Typer would pass over in silence, and has a help for narrow screens."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if not ctx.resilient_parsing:
            *_, typed = self.make_parser(ctx).parse_args(list(args))
            once = (each for each in typed if not getattr(each, "is_flag", False))
            times = Counter(each for each in once if not getattr(each, "multiple", False))
            for each, count in times.items():
                if count > 1:
                    raise UsageError(f"{each.opts[-1]} is given {count} times; give it once")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        if is_narrow():
            print_narrow_help(self, ctx)
        else:
            super().format_help(ctx, formatter)
