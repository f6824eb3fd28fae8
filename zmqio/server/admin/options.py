"""The options of `Server.admin`, checked when they are given."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from zmqio.exceptions import ConfigError
from zmqio.server.admin.password import PasswordHash

__all__ = ["AdminOptions", "Mode", "make_options"]

Mode: TypeAlias = Literal["production", "development"]

HOW_TO_LOG_IN = (
    "io.admin() needs username= and password=; the password is a hash that `zmqio admin-password` makes "
    "(insecure=True admits everyone who reaches the server)"
)


@dataclass(frozen=True, slots=True)
class AdminOptions:
    """The checked options.

    Attributes:
        credentials: user name and hash of the password; None admits everyone.
        mode: whether the page shows sockets, rooms and events (`development`) or statistics only.
        readonly: whether the page may only look.
        namespace: the namespace that the page connects to.
        server_id: put before the id of the node.
    """

    credentials: tuple[str, PasswordHash] | None
    mode: Mode
    readonly: bool
    namespace: str
    server_id: str

    @property
    def shows_events(self) -> bool:
        """Whether the page shows sockets, rooms and events."""
        return self.mode == "development"

    @property
    def features(self) -> list[str]:
        """The features that the page offers. Source: `Feature` of @socket.io/admin-ui 0.5."""
        features = ["AGGREGATED_EVENTS"]
        if self.shows_events:
            features.append("ALL_EVENTS")
        if self.acts:
            features += ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]
        return features

    @property
    def acts(self) -> bool:
        """Whether the page may emit, and move and disconnect sockets. Production mode has no views for that."""
        return self.shows_events and not self.readonly


def make_options(  # as many as the page has settings
    *,
    username: str,
    password: str,
    mode: Mode,
    readonly: bool,
    namespace: str,
    server_id: str,
    insecure: bool,
) -> AdminOptions:
    """Check the options of `Server.admin`.

    Raises:
        ConfigError: see `Server.admin`.
    """
    if mode not in get_args(Mode):
        raise ConfigError(f"mode={mode!r} must be 'production' or 'development'")
    name = namespace if namespace.startswith("/") else f"/{namespace}"
    if name == "/":
        raise ConfigError(
            "namespace='/' is the application's; choose another for the admin page, such as '/admin'"
        )
    credentials = _credentials(username, password, insecure=insecure)
    return AdminOptions(credentials, mode, readonly, name, server_id)


def _credentials(username: str, password: str, *, insecure: bool) -> tuple[str, PasswordHash] | None:
    if insecure and (username or password):
        raise ConfigError("io.admin() has insecure=True and a password; with insecure=True nobody is asked for it")
    if insecure:
        return None
    if not username or not password:
        raise ConfigError(HOW_TO_LOG_IN)
    return username, PasswordHash.parse(password)
