"""`ZmqAdapter`: joins servers to a cluster through one or more ZeroMQ brokers."""

from dataclasses import fields
from typing import TypedDict, Unpack

from zmqio.adapter.base import Identity
from zmqio.adapter.bus import Bus
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.exceptions import ConfigError
from zmqio.option_names import explain_unknown_option
from zmqio.protocol.mechanism import NullMechanism
from zmqio.zeromq.addresses import split_addresses
from zmqio.zeromq.bus import ZmqBus
from zmqio.zeromq.curve import Curve, load_curve

__all__ = ["BusOptionValues", "ZmqAdapter"]


class BusOptionValues(TypedDict, total=False):
    """Keyword arguments of `ZmqAdapter`: the fields of `zmqio.config.BusOptions`, which documents them."""

    prefix: str
    heartbeat_s: float
    dead_after_s: float
    max_nodes: int
    publish_queue_messages: int
    max_message_bytes: int
    barrier_timeout_s: float
    replay_ring_bytes: int
    replay_ring_s: float
    replay_bytes_per_s: int


class ZmqAdapter(ClusterAdapterFactory):
    """Joins a server to a cluster: `zmqio.Server(adapter=ZmqAdapter("tcp://127.0.0.1:5555", prefix="shop"))`.

    Opens no socket before the server starts, so it may be created before a fork.

    Args:
        address: `tcp://host:port` or `ipc://path` of a broker. Several are separated by commas; every message then
            goes through each of them.
        adapter_class: `ClusterAdapter` or a subclass of it.
        curve: keys for a broker that requires them. By default the environment variables
            `ZMQIO_CURVE_SERVER_KEY` and `ZMQIO_CURVE_SECRET_FILE` decide.
        **options: the fields of `zmqio.config.BusOptions`.

    Raises:
        ConfigError: an address, an option or a key is invalid.
    """

    def __init__(
        self,
        address: str,
        *,
        adapter_class: type[ClusterAdapter] = ClusterAdapter,
        curve: Curve | None = None,
        **options: Unpack[BusOptionValues],
    ) -> None:
        self.addresses = split_addresses(address)
        if len(set(self.addresses)) != len(self.addresses):
            raise ConfigError(f"adapter={address!r}: name each broker only once")
        if not (isinstance(adapter_class, type) and issubclass(adapter_class, ClusterAdapter)):
            raise ConfigError(f"adapter_class={adapter_class!r} is not a subclass of ClusterAdapter")
        known = {field.name for field in fields(BusOptions)}
        for name in options:
            if name not in known:
                raise ConfigError(explain_unknown_option("ZmqAdapter", name))
        self.options = BusOptions(**options)
        keys = load_curve(curve, len(self.addresses))
        self._mechanisms = [NullMechanism if each is None else each.mechanism() for each in keys]
        super().__init__(self._make_zmq_bus, self.options, adapter_class=adapter_class)

    def __repr__(self) -> str:
        return f"ZmqAdapter({','.join(self.addresses)!r})"

    def _make_zmq_bus(self, identity: Identity) -> Bus:
        return ZmqBus(self.addresses, self.options, self._mechanisms)
