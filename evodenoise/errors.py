"""The exceptions that evodenoise raises on purpose.

::

    EvodenoiseError               base; never raised itself
    ├── InvalidInputError         nothing was started; exit code 2
    │   ├── ConfigError           a setting is out of range or does not fit the image
    │   ├── ImageError            a file or an array is not an image that we can denoise
    │   ├── OutputError           the result could not be put where it is wanted
    │   ├── DeviceError           the requested device is not there
    │   ├── ModelError            a file is no model of ours, or a damaged one
    │   └── ReferenceImageError   the reference does not match the image
    └── RunError                  something failed while running; exit code 1
        ├── TrainingError         the training left the range of numbers
        └── WriteError            the result could not be written

Every message is one line that says what was wrong, where, and how to mend it.
"""


class EvodenoiseError(Exception):
    """Base of every error that evodenoise raises on purpose."""

    exit_code = 1


class InvalidInputError(EvodenoiseError):
    """The request cannot be carried out; raised before any training."""

    exit_code = 2


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


class ReferenceImageError(InvalidInputError, ValueError):
    """The reference image does not match the image to be compared with it."""


class RunError(EvodenoiseError):
    """Something failed while running."""


class TrainingError(RunError):
    """The training left the range of finite numbers."""


class WriteError(RunError):
    """The result could not be written."""
