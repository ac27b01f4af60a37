"""The table of options: each row stands in a command, and reaches the setting that it names."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from evodenoise.cli import main
from evodenoise.cli.commands import COMMANDS, DENOISE
from evodenoise.cli.option import Command, Given, Option
from evodenoise.cli.options import OF_DENOISING, OPTIONS
from evodenoise.cli.typed import make, make_run_settings
from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import ExitCode
from evodenoise.images import ReadOptions, WriteOptions
from evodenoise.images.conversion import FileSettings
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.shards import Shard

TEXTS = {
    **{"files": "b.png", "output": "out/", "suffix": "_x", "format": "tif", "axes": "TYX"},
    **{"dtype": "uint8", "preset": "fast", "covariance": "none", "refine": "none"},
    **{"hidden": "5,6", "stack": "joint", "device": "cpu", "impulses": "off"},
    **{"noise": "white", "clipped": "restore", "shard": "3/16"},
    "scheduler": "tcp://host:8786",
    **{int: "7", float: "7.5", Path: "some/path", list[Path]: "some/path"},
}
"""What is typed for an option, by its name or else by its kind; never what is so anyway."""

VALUES = {
    **{"files": ("a.png", "b.png"), "hidden": (5, 6), "stack": True, "rescale": True},
    **{"shard": Shard(3, 16), "report": (Path("some/path"),)},
}
"""What comes of it, where that is not the same."""

COMPANIONS = {
    "rescale": ["--dtype", "uint8"],
    "readout": ["--gain", "2"],
    "offset": ["--gain", "2"],
}
"""Options without which another makes no sense."""

DECIDING = [name for name, option in OPTIONS.items() if option.decides]
COUNTED = [
    name
    for name, option in OPTIONS.items()
    if option.names and option.kind not in (bool, list[Path])
]


def typed(name: str) -> list[str]:
    """Type an option with another value than usual."""
    option = OPTIONS[name]
    text = TEXTS.get(name) or TEXTS.get(option.kind, "word")
    return [*option.names.split()[-1:], *([] if option.kind is bool else [text])]


def parse(words: list[str]) -> Given:
    """Let Typer parse words for the command that denoises, which is not called."""
    seen: list[Given] = []

    def work(given: Given) -> ExitCode:
        """Take down."""
        seen.append(given)
        return ExitCode.DONE

    Command(work, OF_DENOISING).app()(words, standalone_mode=False)
    return seen[0]


def settings_of(kind: type, given: Given) -> dict[str, Any]:
    """Make settings as the command does, and return their fields."""
    run = make_run_settings(given)
    parts = {
        RunSettings: run,
        FileSettings: run.files,
        ReadOptions: run.files.reading,
        WriteOptions: run.files.writing,
        DenoiseConfig: replace(DenoiseConfig(), **run.overrides),
    }
    found: Any = parts[kind] if kind in parts else make(kind, given)
    return {field.name: getattr(found, field.name) for field in fields(found)}


def test_every_row_is_used_by_a_command() -> None:
    used = {name for command in (DENOISE, *COMMANDS.values()) for name in command.options}
    assert used == set(OPTIONS)


@pytest.mark.parametrize("command", [DENOISE, *COMMANDS.values()], ids=["denoise", *COMMANDS])
def test_no_command_has_two_options_of_one_name(command: Command) -> None:
    names = [name for option in command.options.values() for name in option.names.split()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_row_has_a_sentence_of_help(option: Option) -> None:
    assert option.help.endswith(".")
    assert bool(option.panel) == bool(option.names)
    assert bool(option.metavar) == (option.kind is not bool)


@pytest.mark.parametrize("name", DECIDING)
def test_every_field_that_a_row_names_exists(name: str) -> None:
    kind, field = OPTIONS[name].decides or (object, "")
    assert field in {each.name for each in fields(kind)}


@pytest.mark.parametrize("name", DECIDING)
def test_an_option_that_is_given_reaches_its_setting_and_no_other(name: str) -> None:
    kind, field = OPTIONS[name].decides or (object, "")
    others = COMPANIONS.get(name, [])
    before = settings_of(kind, parse(["a.png", *others]))
    after = settings_of(kind, parse(["a.png", *others, *typed(name)]))
    option = OPTIONS[name]
    expected = VALUES.get(name, True if option.kind is bool else option.kind(typed(name)[-1]))
    assert after[field] == expected != before[field]
    assert {**after, field: None} == {**before, field: None}


@pytest.mark.parametrize("name", DECIDING)
def test_the_default_in_the_help_is_that_of_the_settings(name: str) -> None:
    """Where it is a word or a small number; others are described."""
    kind, field = OPTIONS[name].decides or (object, "")
    default = settings_of(kind, parse(["a.png"]))[field]
    if isinstance(default, str) or (type(default) is int and default < 10**6):
        assert str(OPTIONS[name].default).split(",")[0] == str(default)


@pytest.mark.parametrize("name", COUNTED)
def test_an_option_with_a_value_is_given_once(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last one would win in silence."""
    command = next(key for key, each in {"": DENOISE, **COMMANDS}.items() if name in each.options)
    assert main([*command.split(), "a.png", *typed(name), *typed(name)]) == 2
    long_name = OPTIONS[name].names.split()[-1]
    err = capsys.readouterr().err
    assert err == f"evodenoise: error: {long_name} is given 2 times; give it once\n"


def test_a_flag_may_be_given_twice() -> None:
    assert main(["presets", "--json", "--json"]) == 0


def test_the_settings_without_options_are_the_usual_ones() -> None:
    assert asdict(make_run_settings(parse(["a.png"]))) == asdict(RunSettings())
