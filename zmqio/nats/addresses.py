"""Addresses of NATS servers: `nats://host:port` and `tls://host:port`, with a user or a token before the host.

A comma list names servers of one cluster. Knows text only; nothing is connected or resolved here.
"""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from zmqio.exceptions import ConfigError

__all__ = ["SCHEMES", "NatsServer", "parse_servers", "server_of"]

SCHEMES = ("nats", "tls")
DEFAULT_PORT = 4222


@dataclass(frozen=True, slots=True)
class NatsServer:
    """One address of a server.

    Attributes:
        host: name or IP address, without brackets.
        port: port for clients.
        tls: whether the connection must be encrypted.
        user, password: the user, or both empty. With a password only, it is a token.
    """

    host: str
    port: int
    tls: bool = False
    user: str = field(default="", compare=False, repr=False)
    password: str = field(default="", compare=False, repr=False)

    @property
    def endpoint(self) -> str:
        """`host:port`, as servers name each other."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """The address without user and password, for messages."""
        return f"{'tls' if self.tls else 'nats'}://{self.endpoint}"


def parse_servers(text: str) -> tuple[NatsServer, ...]:
    """Read "nats://a:4222,nats://b:4222".

    Raises:
        ConfigError: an address is neither `nats://host:port` nor `tls://host:port`, or is named twice.
    """
    servers = tuple(_parse(part.strip()) for part in text.split(",") if part.strip())
    if not servers:
        raise ConfigError("no server address given; write for example 'nats://127.0.0.1:4222'")
    if len(set(servers)) != len(servers):
        raise ConfigError(f"{', '.join(map(str, servers))}: name each server only once")
    if len({server.tls for server in servers}) != 1:
        raise ConfigError(f"{', '.join(map(str, servers))}: write nats:// for all servers, or tls:// for all")
    return servers


def server_of(endpoint: str, *, tls: bool) -> NatsServer | None:
    """Return the server at `host:port`, which another server has named; None if the text is malformed."""
    try:
        parts = urlsplit(f"//{endpoint}")
        return NatsServer(parts.hostname, parts.port or DEFAULT_PORT, tls) if parts.hostname else None
    except ValueError:
        return None


def _parse(address: str) -> NatsServer:
    parts, port = urlsplit(address), None
    try:
        port = parts.port
    except ValueError:
        parts = parts._replace(scheme="")
    if parts.scheme not in SCHEMES or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        # The text may have a password before the host.
        raise ConfigError(
            f"server address {parts.scheme}://...{address.rpartition('@')[2][:80]!r} is neither "
            "'nats://host:port' nor 'tls://host:port'"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user and parts.password is None:
        user, password = "", user
    return NatsServer(parts.hostname, port or DEFAULT_PORT, parts.scheme == "tls", user, password)
