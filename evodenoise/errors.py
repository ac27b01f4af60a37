"""The exceptions that evodenoise raises on purpose.

::

    EvodenoiseError               base; never raised itself
    ├── InvalidInputError         nothing was started; exit code 2
    │   ├── UsageError            the command line cannot be understood
    │   ├── ConfigError           a setting is out of range or does not fit the image
    │   ├── ImageError            a file or an array is not an image that we can denoise
    │   ├── OutputError           the result could not be put where it is wanted
    │   ├── DeviceError           the requested device is not there
    │   ├── ModelError            a file is no model of ours, or a damaged one
    │   ├── NoiseFileError        a file is no record of noise of ours, or a damaged one
    │   └── ReferenceImageError   the reference does not match the image
    └── RunError                  something failed while running; exit code 1
        ├── TrainingError         the training left the range of numbers
        ├── ScratchError          there is no room for temporary data
        └── WriteError            the result could not be written

Every message is one line that says what was wrong, where, and how to mend it.

A run ends with one of these codes (`ExitCode`)::

    0    DONE           all done; what was there already counts as done
    1    FAILED         a `RunError`, or something unforeseen; of many images, all failed
    2    USAGE          an `InvalidInputError`; nothing was started
    3    SOME_FAILED    some of many images failed
    130  INTERRUPTED    Ctrl-C
    143  TERMINATED     SIGTERM
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a run ended, as the shell is told."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    INTERRUPTED = 130
    TERMINATED = 143

    @classmethod
    def of_many(cls, failed: int, total: int) -> "ExitCode":
        """Tell how a run over many images ended, by how many of them failed."""
        if not failed:
            return cls.DONE
        return cls.FAILED if failed == total else cls.SOME_FAILED


def plural(count: int, noun: str) -> str:
    """Count things in a message: ``1 file``, ``2 files``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class EvodenoiseError(Exception):
    """Base of every error that evodenoise raises on purpose."""

    exit_code = ExitCode.FAILED


class InvalidInputError(EvodenoiseError):
    """The request cannot be carried out; raised before any training."""

    exit_code = ExitCode.USAGE


class UsageError(InvalidInputError):
    """The command line cannot be understood."""


class ConfigError(InvalidInputError, ValueError):
    """A setting is out of range or does not fit the image."""


class ImageError(InvalidInputError, ValueError):
    """A file or an array is not an image that can be denoised."""


class OutputError(InvalidInputError):
    """The result could not be put where it is wanted."""


class DeviceError(InvalidInputError):
    """The requested device is not there."""


class ModelError(InvalidInputError):
    """A file does not hold a model that can be used."""


class NoiseFileError(InvalidInputError):
    """A file does not hold a record of noise that can be used."""


class ReferenceImageError(InvalidInputError, ValueError):
    """The reference image does not match the image to be compared with it."""


class RunError(EvodenoiseError):
    """Something failed while running."""


class TrainingError(RunError):
    """The training left the range of finite numbers."""


class ScratchError(RunError):
    """There is no room for temporary data."""


class WriteError(RunError):
    """The result could not be written."""
