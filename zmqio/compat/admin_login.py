"""The arguments of python-socketio's `instrument`, as those of `zmqio.Server.admin`."""

from typing import Any

from zmqio.compat.not_offered import PAGE
from zmqio.exceptions import ConfigError
from zmqio.server.admin.password import hash_password

__all__ = ["STATS_INTERVAL_S", "AdminHandle", "login_options"]

STATS_INTERVAL_S = 2
"""Seconds between two statistics. Source: python-socketio 5, and zmqio."""


class AdminHandle:
    """The result of `instrument`. The page ends with the server."""

    async def shutdown(self) -> None:
        """Do nothing."""


def login_options(auth: Any, interval_s: float) -> dict[str, Any]:
    """Return the options of the login.

    Args:
        auth: a dict with `username` and `password`, or False.
        interval_s: must be `STATS_INTERVAL_S`.

    Raises:
        ConfigError: there is another login, such as a list or a function; the password is too short; or there is
            another interval.
    """
    if interval_s != STATS_INTERVAL_S:
        raise ConfigError(f"server_stats_interval={interval_s!r} cannot be changed; leave it out ({PAGE})")
    if auth is False:
        return {"insecure": True}
    if not isinstance(auth, dict) or set(auth) != {"username", "password"}:
        raise ConfigError(
            f"auth of type {type(auth).__name__!r} has no counterpart in zmqio: give one dict with `username` and "
            f"`password`, or False to admit everyone ({PAGE})"
        )
    try:
        return {"username": auth["username"], "password": hash_password(auth["password"])}
    except ValueError as error:
        raise ConfigError(f"auth: {error}") from error
