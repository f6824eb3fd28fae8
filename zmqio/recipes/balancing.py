"""What a balancer in front of the nodes has to know, checked, and what follows from it. Pure; knows no product."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from zmqio.config import EngineOptions
from zmqio.exceptions import ConfigError
from zmqio.ids import NodeTag, parse_node_tag

__all__ = ["MODES", "Backend", "Balancing", "Mode", "parse_backend"]

Mode: TypeAlias = Literal["address", "tag", "round-robin"]
"""Which node gets a request: the one of the client's address, the one that the session id names, or the next."""
MODES: tuple[Mode, ...] = get_args(Mode)

SILENCE_MARGIN_S = 15
"""On top of the heartbeat, for what is slow on the way: it is the node that has to notice a dead client."""
HIGHEST_PORT = 65_535

# No quotes, blanks, semicolons or braces: what matches needs no quoting in any configuration.
_HOST = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
_NODE_SHAPE = re.compile(rf"(?:(?P<tag>[^=]*)=)?(?P<host>{_HOST}):(?P<port>\d{{1,5}})")
_LISTEN_SHAPE = re.compile(rf"(?:(?P<host>{_HOST}|\*):)?(?P<port>\d{{1,5}})")
_PATH_SHAPE = re.compile(r"/[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class Backend:
    """A node, as a balancer sees it.

    Attributes:
        address: `host:port`.
        tag: its node tag, if it has a configured one.
    """

    address: str
    tag: NodeTag | None = None


@dataclass(frozen=True, slots=True)
class Balancing:
    """A balancer in front of nodes.

    Attributes:
        nodes: at least one; no address and no tag twice.
        mode: how it chooses; `tag` needs the tag of every node.
        listen: port, or `host:port`.
        path: where the nodes serve Socket.IO, without a slash at its end.
        clients: how many may be connected at the same time.
        engine: heartbeat and `max_payload_bytes` of the nodes.

    Raises:
        ConfigError: it cannot work; it says what and why.
    """

    nodes: Sequence[Backend]
    mode: Mode = "address"
    listen: str = "80"
    path: str = "/socket.io"
    clients: int = 10_000
    engine: EngineOptions = field(default_factory=EngineOptions)

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ConfigError("name at least one node, as 127.0.0.1:8000")
        _check_once("address", [node.address for node in self.nodes])
        _check_once("tag", [node.tag for node in self.nodes if node.tag])
        untagged = [node.address for node in self.nodes if node.tag is None]
        if self.mode == "tag" and untagged:
            raise ConfigError(
                f"routing by tag needs the tag of every node, and {', '.join(untagged)} has none: write "
                "TAG=host:port, and start that node with node_tag=TAG or ZMQIO_NODE_TAG=TAG"
            )
        _check_port(_LISTEN_SHAPE.fullmatch(self.listen), f"listen={self.listen!r} is not a port or host:port")
        if not _PATH_SHAPE.fullmatch(self.path):
            raise ConfigError(f"path={self.path!r} is not a path such as /socket.io")
        if self.clients < 1:
            raise ConfigError(f"clients={self.clients} has to be at least 1")

    @property
    def silence_s(self) -> int:
        """Seconds of silence of a node or client after which a balancer may take the connection for dead.

        A node sends something every `ping_interval_s`, and gives a client `ping_timeout_s` more to answer.
        """
        heartbeat_s = self.engine.ping_interval_s + self.engine.ping_timeout_s
        return math.ceil(heartbeat_s) + SILENCE_MARGIN_S


def parse_backend(text: str) -> Backend:
    """Read `host:port` or `TAG=host:port`; an IPv6 host is written in brackets.

    Raises:
        ConfigError: it is neither.
    """
    found = _NODE_SHAPE.fullmatch(text)
    _check_port(found, f"node {text!r} is not host:port or TAG=host:port")
    assert found is not None
    try:
        tag = None if found["tag"] is None else parse_node_tag(found["tag"])
    except ValueError as error:
        raise ConfigError(f"node {text!r}: {error}") from error
    return Backend(f"{found['host']}:{found['port']}", tag)


def _check_port(found: "re.Match[str] | None", otherwise: str) -> None:
    if found is None or not 0 < int(found["port"]) <= HIGHEST_PORT:
        raise ConfigError(otherwise)


def _check_once(what: str, values: Sequence[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ConfigError(f"two nodes with the {what} {', '.join(twice)}")
