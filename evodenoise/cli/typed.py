"""From what was typed to settings, as the table of options says."""

from typing import Any, TypeVar

from evodenoise.cli.option import Given
from evodenoise.cli.options import OPTIONS
from evodenoise.config.settings import DenoiseConfig
from evodenoise.images import ReadOptions, WriteOptions
from evodenoise.images.conversion import FileSettings
from evodenoise.jobs.job import RunSettings

Settings = TypeVar("Settings")


def given_for(settings: type, given: Given) -> dict[str, Any]:
    """Find what was given for the fields of some settings.

    Parameters
    ----------
    settings : type
        As the rows of the table name it.
    given : mapping
        What was typed.

    Returns
    -------
    dict
        Values by the names of the fields.
    """
    rows = ((OPTIONS[name].decides, value) for name, value in given.items())
    return {decides[1]: value for decides, value in rows if decides and decides[0] is settings}


def make(settings: type[Settings], given: Given) -> Settings:
    """Make settings of what was given; all else is as they say."""
    return settings(**given_for(settings, given))


def make_run_settings(given: Given) -> RunSettings:
    """Make the settings of a run of what was given; all else is as they say.

    Raises
    ------
    ConfigError
        If options contradict each other, or name what is unknown.
    """
    files = FileSettings(
        reading=make(ReadOptions, given),
        writing=make(WriteOptions, given),
        **given_for(FileSettings, given),
    )
    return RunSettings(
        files=files,
        overrides=given_for(DenoiseConfig, given),
        **given_for(RunSettings, given),
    )
