"""Settings of a balancer in front of nodes, and the limits derived from them. Pure; knows no product."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Literal, TypeAlias, get_args

from zmqio.config import EngineOptions
from zmqio.exceptions import ConfigError
from zmqio.ids import NodeTag, parse_node_tag

__all__ = ["MODES", "Backend", "Balancing", "Mode", "parse_backend"]

Mode: TypeAlias = Literal["address", "tag", "round-robin"]
"""The rule that chooses a node for a request: by the client's address, by the node tag in the session id, or in
turn."""
MODES: tuple[Mode, ...] = get_args(Mode)

SILENCE_MARGIN_S = 15
"""Added to the heartbeat for slow networks: the node must detect a dead client before the balancer does."""
HIGHEST_PORT = 65_535

# No quotes, spaces, semicolons or braces: a matching text needs no quoting in any configuration.
_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
_NODE_PATTERN = re.compile(rf"(?:(?P<tag>[^=]*)=)?(?P<host>{_HOST}):(?P<port>\d{{1,5}})")
_LISTEN_PATTERN = re.compile(rf"(?:(?P<host>{_HOST}|\*):)?(?P<port>\d{{1,5}})")
_PATH_PATTERN = re.compile(r"/[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class Backend:
    """A node behind a balancer.

    Attributes:
        address: `host:port`.
        tag: its node tag, if one is configured.
    """

    address: str
    tag: NodeTag | None = None


@dataclass(frozen=True, slots=True)
class Balancing:
    """A balancer in front of nodes.

    Attributes:
        nodes: at least one node; addresses and tags are unique.
        mode: how a node is chosen; `tag` requires the tag of every node.
        listen: port or `host:port` for clients.
        path: path at which the nodes serve Socket.IO, without a slash at its end.
        clients: most clients connected at the same time.
        engine: options of the nodes, of which heartbeat and `max_payload_bytes` are used.
        outer_proxies: addresses and networks of proxies in front of the balancer, for example one that terminates
            TLS. What they state in X-Forwarded-For, -Proto and -Host is kept.

    Raises:
        ConfigError: a setting is invalid; the text names it and the reason.
    """

    nodes: Sequence[Backend]
    mode: Mode = "address"
    listen: str = "80"
    path: str = "/socket.io"
    clients: int = 10_000
    engine: EngineOptions = field(default_factory=EngineOptions)
    outer_proxies: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ConfigError("no node given; write for example 127.0.0.1:8000")
        _check_unique("address", [node.address for node in self.nodes])
        _check_unique("tag", [node.tag for node in self.nodes if node.tag])
        untagged = [node.address for node in self.nodes if node.tag is None]
        if self.mode == "tag" and untagged:
            raise ConfigError(
                f"routing by tag requires the tag of every node, and {', '.join(untagged)} has none; write "
                "TAG=host:port, and start that node with node_tag=TAG or ZMQIO_NODE_TAG=TAG"
            )
        _check_port(_LISTEN_PATTERN.fullmatch(self.listen), f"listen={self.listen!r} is not a port or host:port")
        if not _PATH_PATTERN.fullmatch(self.path):
            raise ConfigError(f"path={self.path!r} is not a path such as /socket.io")
        for proxy in self.outer_proxies:
            _check_network(proxy)
        if self.clients < 1:
            raise ConfigError(f"clients={self.clients} must be at least 1")

    @property
    def silence_s(self) -> int:
        """Seconds without traffic after which a balancer may close a connection.

        A node sends a ping every `ping_interval_s`; the client has `ping_timeout_s` to answer it.
        """
        heartbeat_s = self.engine.ping_interval_s + self.engine.ping_timeout_s
        return math.ceil(heartbeat_s) + SILENCE_MARGIN_S


def parse_backend(text: str) -> Backend:
    """Parse `host:port` or `TAG=host:port`. An IPv6 host is written in brackets.

    Raises:
        ConfigError: the text has neither form.
    """
    match = _NODE_PATTERN.fullmatch(text)
    _check_port(match, f"node {text!r} is not host:port or TAG=host:port")
    assert match is not None
    try:
        tag = None if match["tag"] is None else parse_node_tag(match["tag"])
    except ValueError as error:
        raise ConfigError(f"node {text!r}: {error}") from error
    return Backend(f"{match['host']}:{match['port']}", tag)


def _check_port(match: "re.Match[str] | None", error_text: str) -> None:
    if match is None or not 0 < int(match["port"]) <= HIGHEST_PORT:
        raise ConfigError(error_text)


def _check_network(text: str) -> None:
    try:
        ip_network(text)
    except ValueError as error:
        raise ConfigError(f"outer proxy {text!r} is not an address or a network: {error}") from error


def _check_unique(what: str, values: Sequence[str]) -> None:
    duplicates = sorted({value for value in values if values.count(value) > 1})
    if duplicates:
        raise ConfigError(f"two nodes have the same {what}: {', '.join(duplicates)}")
