"""The arguments of `Server`: options, adapters and parsers that cannot be used are refused at once."""

from typing import Any

import pytest

from zmqio.adapter.local import LocalAdapterFactory
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.exceptions import ConfigError
from zmqio.nats.adapter import NatsAdapter
from zmqio.server.server import Server
from zmqio.zeromq.adapter import ZmqAdapter


def test_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no option 'ping_interval'; did you mean 'ping_interval_s'\?"):
        Server(adapter=None, ping_interval=5)
    with pytest.raises(ConfigError, match=r"an option of ZmqAdapter: ZmqAdapter\(address, heartbeat_s=\.\.\.\)"):
        Server(adapter=None, heartbeat_s=5)


@pytest.mark.parametrize("adapter", ["redis://localhost", 7, ""])
def test_invalid_adapter_is_refused_at_once(adapter: Any) -> None:
    with pytest.raises(ConfigError):
        Server(adapter=adapter)


class OwnClusterAdapter(ClusterAdapter):
    """A subclass as an application writes it."""


def make_nothing() -> None:
    """A function that takes too few arguments to make an adapter."""


@pytest.mark.parametrize(
    ("adapter", "meant"),
    [
        (OwnClusterAdapter, r'did you mean ZmqAdapter\("tcp://127.0.0.1:5555", adapter_class=OwnClusterAdapter\)'),
        (ZmqAdapter, r"did you mean ZmqAdapter\(address\)"),
        (NatsAdapter, r"did you mean NatsAdapter\(address\)"),
        (LocalAdapterFactory, r"did you mean LocalAdapterFactory\(\.\.\.\)"),
        (make_nothing, "takes no arguments; its first argument must be the namespace"),
    ],
)
def test_adapter_that_would_fail_for_each_client_is_refused_at_once(adapter: Any, meant: str) -> None:
    with pytest.raises(ConfigError, match=meant):
        Server(adapter=adapter)
