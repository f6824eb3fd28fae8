"""The probes of a node: one small connection to every other server of its cluster.

A probe subscribes to one subject of its own. What the node publishes there comes back through the probe's server,
which proves that this server knows the node's earlier subscriptions (see `zmqio.nats.barriers`).

State        meaning                                                          awaited by a barrier
connecting   the connection is not made, or nothing has come back yet         yes
passing      numbers come back                                                yes
duplicate    the address leads to the node's own server or to another probe's  no
unreachable  the connection fails; it is tried again                          no
"""

import asyncio
import enum
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from zmqio.exceptions import ConfigError, NatsError
from zmqio.links.resolver import HostResolver
from zmqio.nats.addresses import NatsServer
from zmqio.nats.connection import NatsConnection
from zmqio.nats.login import NatsLogin
from zmqio.protocol.nats import NatsInfo, publish_command, subscribe_command
from zmqio.protocol.nats_subject import token_of

__all__ = ["NatsProbe", "NatsProbes", "ProbeEvents", "ProbeState"]

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
REPEAT_S = 0.05
"""Seconds until a number is published again that has not come back. The first one may be lost: the node's server
may not know of the probe's subscription yet."""
LONGEST_REPEAT_S = 1.0
SILENT_S = 5.0
"""Seconds without a number that has come back, after which the probe connects again."""
NOTHING_PASSES = "nothing that is published at the node's server reaches it; are both servers in one cluster?"


class ProbeState(enum.Enum):
    """See the table above."""

    CONNECTING = "connecting"
    PASSING = "passing"
    DUPLICATE = "duplicate"
    UNREACHABLE = "unreachable"


class ProbeEvents(Protocol):
    """The contract between probes and their link; all calls are made on the event loop."""

    @property
    def barrier_number(self) -> int:
        """The number of the last barrier."""

    def publish_number(self, command: bytes) -> None:
        """Send a command on the node's own connection."""

    def probe_passed(self, server: NatsServer, number: int) -> None:
        """A number has come back."""

    def probe_dropped(self, server: NatsServer, *, unreachable: str = "") -> None:
        """No barrier can or need wait for this server; with a reason, it is unreachable."""


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """Common to all probes of a link.

    Attributes:
        prefix: first part of every topic.
        login: the login at every server.
        name: the name of the connections in the servers' lists.
        claim: notes that a server, by its id, is reached by this probe; returns False if another one reaches it.
    """

    prefix: str
    login: NatsLogin
    name: str
    claim: Callable[[str, NatsServer], bool]


class NatsProbe:
    """The probe at one address. Belongs to the running event loop.

    Args:
        server: its address.
        options: common to all probes.
        events: the link.

    Attributes:
        state: see the table above.
        problem: why the server is unreachable.
        passed: the highest number that has come back.
    """

    def __init__(self, server: NatsServer, options: ProbeOptions, events: ProbeEvents) -> None:
        self.server = server
        self.state = ProbeState.CONNECTING
        self.problem = ""
        self.passed = 0
        self._options = options
        self._events = events
        self._subject = b"%b.p.%b" % (token_of(options.prefix.encode()), secrets.token_hex(12).encode())
        self._connection: NatsConnection | None = None
        self._closed = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"probe {server}")

    def publish(self, number: int) -> None:
        """Publish a number, which is to come back, through the node's own server."""
        if self._connection is not None and self._connection.is_open:
            self._events.publish_number(publish_command(self._subject, b"%d" % number))

    def close(self) -> None:
        """Stop."""
        if not self._task.get_loop().is_closed():
            self._task.cancel()
        self._drop_connection()

    # `NatsConnectionEvents`.

    def nats_message(self, sid: int, subject: bytes, payload: bytes) -> None:
        """A number has come back."""
        if not payload.isdigit() or len(payload) > 18:
            return
        self.passed = max(self.passed, int(payload))
        self.state = ProbeState.PASSING
        self.problem = ""
        self._events.probe_passed(self.server, int(payload))

    def nats_info(self, info: NatsInfo) -> None:
        """Do nothing: the node's own server sends the same INFO."""

    def nats_pong(self) -> None:
        """Do nothing: a probe sends no PING after its login."""

    def nats_fault(self, text: str) -> None:
        """Keep the reason; the server closes the connection."""
        self.problem = text

    def nats_closed(self, reason: str) -> None:
        """Connect again."""
        self.problem = reason
        self._closed.set()

    # Private.

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._connect()
                pause_s = FIRST_PAUSE_S
                if self.state is ProbeState.DUPLICATE:
                    return
                await self._repeat_until_closed()
            except (OSError, NatsError, ConfigError) as error:
                self.problem = getattr(error, "strerror", None) or str(error)
            self._drop_connection()
            self.state = ProbeState.UNREACHABLE
            self._events.probe_dropped(self.server, unreachable=self.problem)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _connect(self) -> None:
        self._closed.clear()
        connection = NatsConnection(self.server, self._options.login, self._options.name, self)
        await connection.open(HostResolver(self.server.host))
        if not self._options.claim(connection.info.server_id, self.server):
            connection.close()
            self.state = ProbeState.DUPLICATE
            self._events.probe_dropped(self.server)
            return
        self._connection = connection
        connection.write(subscribe_command(self._subject, 1))

    async def _repeat_until_closed(self) -> None:
        """Publish the last number again until it has come back, also if a broken route has lost it."""
        repeat_s, silent_s, self.passed = REPEAT_S, 0.0, 0
        while not self._closed.is_set():
            number = self._events.barrier_number
            if self.passed >= number:
                repeat_s, silent_s = LONGEST_REPEAT_S, 0.0
            elif silent_s > SILENT_S:
                raise ConnectionError(None, NOTHING_PASSES)
            else:
                self.publish(number)
                repeat_s = min(1.5 * repeat_s, LONGEST_REPEAT_S)
                silent_s += repeat_s
            with suppress(TimeoutError):
                async with asyncio.timeout(repeat_s):
                    await self._closed.wait()


class NatsProbes:
    """All probes of one connection of the node.

    Args:
        prefix: first part of every topic.
        login: the login at every server.
        name: the name of the connections in the servers' lists.
        own_server_id: the id of the server that the node is connected to.
        events: the link.
    """

    def __init__(self, prefix: str, login: NatsLogin, name: str, own_server_id: str, events: ProbeEvents) -> None:
        self._own_server_id = own_server_id
        self._options = ProbeOptions(prefix, login, name, self._claim)
        self._events = events
        self._probes: dict[NatsServer, NatsProbe] = {}
        self._owners: dict[str, NatsServer] = {}

    @property
    def awaited(self) -> list[NatsServer]:
        """The servers that a barrier has to wait for."""
        return [
            server
            for server, probe in self._probes.items()
            if probe.state in (ProbeState.CONNECTING, ProbeState.PASSING)
        ]

    @property
    def unreachable(self) -> list[NatsProbe]:
        """The probes whose connections fail."""
        return [probe for probe in self._probes.values() if probe.state is ProbeState.UNREACHABLE]

    def update(self, servers: Collection[NatsServer]) -> None:
        """Create and close probes so that there is one at each of `servers` and at no other."""
        for server in self._probes.keys() - set(servers):
            self._probes.pop(server).close()
            self._events.probe_dropped(server)
        # An address that was a duplicate may be the only one left of its server.
        lost = {server_id for server_id, owner in self._owners.items() if owner not in self._probes}
        for server_id in lost:
            del self._owners[server_id]
        for server in servers:
            probe = self._probes.get(server)
            if probe is None or (lost and probe.state is ProbeState.DUPLICATE):
                self._probes[server] = NatsProbe(server, self._options, self._events)

    def publish(self, number: int) -> None:
        """Publish the number of a barrier to all probes."""
        for probe in self._probes.values():
            probe.publish(number)

    def close(self) -> None:
        """Close all."""
        for probe in self._probes.values():
            probe.close()
        self._probes.clear()

    def _claim(self, server_id: str, server: NatsServer) -> bool:
        for old_id in [known for known, owner in self._owners.items() if owner == server and known != server_id]:
            del self._owners[old_id]  # the server was started again
        return server_id != self._own_server_id and self._owners.setdefault(server_id, server) == server
