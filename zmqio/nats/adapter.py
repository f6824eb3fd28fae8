"""`NatsAdapter`: joins servers to a cluster through NATS."""

import os
import ssl
from dataclasses import fields
from typing import Any

from zmqio.adapter.base import Identity
from zmqio.adapter.bus import Bus
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.exceptions import ConfigError
from zmqio.nats.addresses import parse_servers
from zmqio.nats.bus import NatsBus
from zmqio.nats.login import load_login
from zmqio.option_names import explain_unknown_option

__all__ = ["NatsAdapter"]

MAX_MESSAGE_BYTES = 1 << 20
"""The default of NATS' own `max_payload`."""


class NatsAdapter(ClusterAdapterFactory):
    """Joins a server to a cluster: `zmqio.Server(adapter=NatsAdapter("nats://a:4222,nats://b:4222"))`.

    Opens no socket before the server starts, so it may be created before a fork.

    Args:
        address: `nats://host:port` or `tls://host:port`, with `user:password@` or `token@` before the host if the
            server wants them. Several, separated by commas, are servers of one cluster: the node connects to one
            of them, and moves to another one if that fails.
        adapter_class: `ClusterAdapter` or a subclass of it.
        credentials: path of a credentials file, or of one with an nkey seed. By default the environment variable
            `ZMQIO_NATS_CREDENTIALS` decides. Needs `pip install zmqio[nats]`.
        ssl_context: for servers that require TLS; by default Python's, with the system's authorities.
        **options: the fields of `zmqio.config.BusOptions`. `max_message_bytes` is 1 MiB by default, as the
            `max_payload` of NATS.

    Raises:
        ConfigError: an address, an option or the credentials file is invalid.
    """

    def __init__(
        self,
        address: str,
        *,
        adapter_class: type[ClusterAdapter] = ClusterAdapter,
        credentials: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        self.servers = parse_servers(address)
        self.addresses = tuple(map(str, self.servers))
        if not (isinstance(adapter_class, type) and issubclass(adapter_class, ClusterAdapter)):
            raise ConfigError(f"adapter_class={adapter_class!r} is not a subclass of ClusterAdapter")
        known = {field.name for field in fields(BusOptions)}
        for name in options:
            if name not in known:
                raise ConfigError(explain_unknown_option("NatsAdapter", name))
        self.options = BusOptions(**{"max_message_bytes": MAX_MESSAGE_BYTES, **options})
        self._login = load_login(self.servers, credentials, ssl_context)
        super().__init__(self._make_nats_bus, self.options, adapter_class=adapter_class)

    def __repr__(self) -> str:
        return f"NatsAdapter({','.join(self.addresses)!r})"

    def _make_nats_bus(self, identity: Identity) -> Bus:
        return NatsBus(self.servers, self.options, self._login, f"zmqio node {identity.node_id}")
