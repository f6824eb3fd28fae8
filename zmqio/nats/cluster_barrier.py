"""The subscribe barrier on one connection to a cluster: PINGs, probes, and servers that do not confirm in time.

A join waits at most `barrier_timeout_s` for other servers. One that has not confirmed by then is *late*: later
joins do not wait for it, and messages published there may be missing here. When it confirms at last, that is
reported as a possible loss, at once and again after one more barrier, so that the node requests what it missed.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection

from zmqio.log_limit import LogLimit
from zmqio.logger import get_logger
from zmqio.nats.addresses import NatsServer
from zmqio.nats.barriers import OWN_SERVER, BarrierQueue
from zmqio.nats.connection import NatsConnection
from zmqio.nats.login import NatsLogin
from zmqio.nats.probes import NatsProbes
from zmqio.protocol.nats import PING

__all__ = ["ClusterBarrier"]

log = get_logger(__name__)


class ClusterBarrier:
    """The barriers of one connection. Belongs to the running event loop.

    Args:
        connection: to the node's own server, open.
        prefix: first part of every topic.
        login: the login at every server.
        name: of the connections, for the servers' lists.
        timeout_s: seconds to wait for other servers.
        on_doubt: called when messages may be missing; never from within a call to this object.
        on_timeout: called when a barrier has not waited for every server.
    """

    def __init__(
        self,
        connection: NatsConnection,
        prefix: str,
        login: NatsLogin,
        name: str,
        *,
        timeout_s: float,
        on_doubt: Callable[[], None],
        on_timeout: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_doubt = on_doubt
        self._on_timeout = on_timeout
        self._loop = asyncio.get_running_loop()
        self._queue = BarrierQueue()
        self._pings: deque[int | None] = deque()
        self._late: dict[str, int] = {}
        self._doubt_after: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._log_limit = LogLimit()
        self._probes = NatsProbes(prefix, login, name, connection.info.server_id, self)

    @property
    def barrier_number(self) -> int:
        """The number of the last barrier."""
        return self._queue.number

    @property
    def problems(self) -> list[str]:
        """The servers that do not confirm subscriptions."""
        reasons = {probe.server.endpoint: probe.problem for probe in self._probes.unreachable}
        return [
            f"server {endpoint} does not confirm subscriptions: {reasons.get(endpoint) or 'no answer in time'}"
            for endpoint in self._late.keys() | reasons.keys()
        ]

    def wait(self, waiter: asyncio.Future[None]) -> None:
        """Resolve `waiter` when all servers know the subscriptions made so far, or the connection is lost."""
        self._queue.add(waiter)
        self._continue()

    def set_servers(self, servers: Collection[NatsServer]) -> None:
        """Wait for each of `servers` from now on. The node's own server may be among them."""
        self._probes.update(servers)

    def servers_changed(self, servers: Collection[NatsServer]) -> None:
        """Wait for each of `servers` from now on, after a change of the cluster that may have cost messages."""
        self._on_doubt()
        self._doubt_again()
        self._probes.update(servers)

    def ping(self) -> None:
        """Ask whether the server is alive, unless a PING is unanswered."""
        if not self._pings:
            self._pings.append(None)
            self._connection.write(PING)

    def pong(self) -> None:
        """Handle a PONG of the node's own server."""
        if self._pings and (number := self._pings.popleft()) is not None:
            self._queue.confirm(OWN_SERVER, number)
            self._continue()

    def close(self) -> None:
        """Resolve all waiting futures."""
        if self._timer is not None:
            self._timer.cancel()
        self._doubt_after = None
        self._probes.close()
        self._queue.lost()

    # `ProbeEvents`.

    def publish_number(self, command: bytes) -> None:
        """Send the number of a barrier to a probe."""
        self._connection.write(command)

    def probe_passed(self, server: NatsServer, number: int) -> None:
        """Note that a server knows all subscriptions before barrier `number`."""
        self._queue.confirm(server.endpoint, number)
        late_since = self._late.get(server.endpoint)
        if late_since is not None and number >= late_since:
            del self._late[server.endpoint]
            self._on_doubt()
            self._doubt_again()
        self._continue()

    def probe_dropped(self, server: NatsServer, *, unreachable: str = "") -> None:
        """Wait no longer for a server; with a reason, it is late until it confirms."""
        if unreachable:
            self._mark_late((server.endpoint,), unreachable)
        else:
            self._late.pop(server.endpoint, None)
        self._queue.forget((server.endpoint,))
        self._continue()

    # Private.

    def _continue(self) -> None:
        """Report a possible loss again if it waited for the finished barrier; start the next barrier if due."""
        if self._queue.is_under_way:
            return
        if self._doubt_after is not None and self._queue.number >= self._doubt_after:
            self._doubt_after = None
            self._on_doubt()
        if not self._queue.is_due:
            return
        awaited = (server.endpoint for server in self._probes.awaited if server.endpoint not in self._late)
        number = self._queue.start(awaited)
        self._pings.append(number)
        self._connection.write(PING)
        self._probes.publish(number)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._timeout_s, self._timed_out)

    def _doubt_again(self) -> None:
        """Report the possible loss once more after the next barrier."""
        self._doubt_after = self._queue.number + 1
        self._queue.add(self._loop.create_future())
        self._loop.call_soon(self._continue)

    def _timed_out(self) -> None:
        if not self._queue.is_under_way:
            return
        if late := self._queue.skip_others():
            self._on_timeout()
            self._mark_late(late, "no answer in time")
        self._continue()

    def _mark_late(self, endpoints: Collection[str], reason: str) -> None:
        for endpoint in endpoints:
            self._late[endpoint] = max(self._queue.number, 1)
        if times := self._log_limit.record(time.monotonic()):
            log.warning("nats_probe_failed", servers=sorted(endpoints), reason=reason, times=times)
