"""The keyword arguments of a manager, as the options of its parts."""

from dataclasses import fields
from typing import Any

from zmqio.config import BusOptions, ManagerOptions
from zmqio.exceptions import ConfigError
from zmqio.option_names import explain_unknown_option

__all__ = ["split_options"]


def split_options(manager: str, values: dict[str, Any]) -> tuple[ManagerOptions, BusOptions]:
    """Return the options of the manager and of the bus.

    Args:
        manager: the name of the class, for the error.
        values: the keyword arguments.

    Raises:
        ConfigError: an option is unknown or invalid.
    """
    own = {field.name for field in fields(ManagerOptions)}
    bus = {field.name for field in fields(BusOptions)}
    for name in values:
        if name == "channel":
            raise ConfigError(
                f"{manager}: option 'channel' is called `prefix` in zmqio; use the same on every node"
            )
        if name not in own | bus:
            raise ConfigError(explain_unknown_option(manager, name))
    return (
        ManagerOptions(**{name: value for name, value in values.items() if name in own}),
        BusOptions(**{name: value for name, value in values.items() if name in bus}),
    )
