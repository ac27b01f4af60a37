"""What settings must be: numbers in a range, names of choices."""

import math
from enum import StrEnum
from typing import Any

from evodenoise.errors import ConfigError


def demand_whole(name: str, value: Any, least: int, most: float = math.inf) -> None:
    """Demand a whole number in a range; `ConfigError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        limits = f"at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ConfigError(f"{name} is {value!r}; it must be a whole number, {limits}")


def demand_number(name: str, value: Any, least: float, most: float = math.inf) -> None:
    """Demand a finite number in a range; `ConfigError` otherwise."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not known or not math.isfinite(value) or not least <= value <= most:
        limits = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise ConfigError(f"{name} is {value!r}; it must be a finite number, {limits}")


def demand_positive(name: str, value: Any) -> None:
    """Demand a finite number above 0; `ConfigError` otherwise."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not known or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{name} is {value!r}; it must be a finite number above 0")


def coerce_choices(config: object, **choices: type[StrEnum]) -> None:
    """Turn the names of choices into members of their enums, on a frozen dataclass.

    `ConfigError` if a name is unknown.
    """
    for name, choice in choices.items():
        value = getattr(config, name)
        try:
            object.__setattr__(config, name, choice(value))
        except ValueError:
            known = ", ".join(choice)
            raise ConfigError(f"{name} {value!r} is unknown; use one of {known}") from None
