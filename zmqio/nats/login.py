"""The login of a client at NATS servers: the options of CONNECT, and the TLS context."""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zmqio.exceptions import ConfigError
from zmqio.nats.addresses import NatsServer
from zmqio.protocol.nats_keys import NatsUserKey, read_user_key

__all__ = ["CREDENTIALS_VARIABLE", "NatsLogin", "load_login"]

CREDENTIALS_VARIABLE = "ZMQIO_NATS_CREDENTIALS"


@dataclass(frozen=True, slots=True)
class NatsLogin:
    """The login at every server of a cluster.

    Attributes:
        user, password: of the first address that has them. With a password only, it is a token.
        key: of a credentials file.
        ssl_context: encrypts the connection; None means plain TCP, or Python's default context if a server
            requires TLS.
        tls_host: the name that certificates must have. Servers that name each other do so by IP addresses.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    key: NatsUserKey | None = None
    ssl_context: ssl.SSLContext | None = None
    tls_host: str = ""

    def connect_options(self, nonce: str) -> dict[str, Any]:
        """Return the options of CONNECT.

        Raises:
            ConfigError: a signature needs PyNaCl, which is not installed.
        """
        if self.key is not None:
            return self.key.connect_options(nonce)
        if self.user:
            return {"user": self.user, "pass": self.password}
        return {"auth_token": self.password} if self.password else {}

    def context(self) -> ssl.SSLContext:
        """Return the TLS context."""
        return self.ssl_context or ssl.create_default_context()


def load_login(
    servers: Sequence[NatsServer],
    credentials: str | os.PathLike[str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> NatsLogin:
    """Return the login for a list of servers.

    Args:
        servers: the given addresses.
        credentials: path of a credentials file; None means the environment variable `ZMQIO_NATS_CREDENTIALS`.
        ssl_context: for `tls://`, and for servers that require TLS.

    Raises:
        ConfigError: the credentials file cannot be read or has no seed.
    """
    path = credentials or os.environ.get(CREDENTIALS_VARIABLE)
    key = None
    if path:
        try:
            key = read_user_key(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot use the NATS credentials in {os.fspath(path)}: {error}") from error
    named = next((server for server in servers if server.password), servers[0])
    host = servers[0].host
    return NatsLogin(named.user, named.password, key, ssl_context, host)
