"""The parts that all namespaces of one server share."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from zmqio.adapter.base import Identity
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import Recovery, ServerOptions
from zmqio.counts import Counts
from zmqio.engine.deadline_queue import DeadlineQueue
from zmqio.engine.direct_write import DirectWriter, broadcast_frames
from zmqio.engine.server import Engine, Prepared
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.protocol.packet import Packet
from zmqio.protocol.parser import Parser
from zmqio.server.fanout import FanOut
from zmqio.server.loop_lag import LoopLag
from zmqio.server.observers import Observers
from zmqio.server.tasks import Tasks
from zmqio.tracing import Tracing

if TYPE_CHECKING:
    from zmqio.cluster.session_exchange import SessionExchange
    from zmqio.recovery.store import RecoveryStore
    from zmqio.server.recovery_expiry import RecoveryExpiry

__all__ = ["CONNECT_TIMED_OUT", "Runtime"]

log = get_logger("zmqio.server")

CONNECT_TIMED_OUT = "the server took too long to admit the client; try again"
"""The message to a client that is refused because of `connect_handler_timeout_s`."""


NOTICE_MARGIN_S = 35.0
"""Seconds by which the server may be late to notice that a client has gone: a connection that closes has 30 s."""


class ConnectingClient(Protocol):
    """A connection that has joined no namespace yet."""

    def connect_timed_out(self) -> None:
        """Close the connection, unless it has joined a namespace."""


@dataclass(slots=True)
class Runtime:
    """The parts that exist once per run of a server.

    Attributes:
        options: limits of the server.
        parser: encodes and decodes Socket.IO packets.
        identity: identifies this run of this process.
        engine: the Engine.IO server.
        observers: see the events of all namespaces; they outlive a run.
        tasks: the tasks that handlers run in.
        fanout: the FIFO of broadcasts.
        counters: name -> number of dropped, rejected or failed items.
        notices: a rate-limited log, for entries that clients can cause at will.
        loop_lag: measures how late the event loop is.
        recovery: the sessions and packets that this node keeps for recovery; None unless the option `recovery`
            is set.
        recovery_expiry: drops what it no longer keeps.
        session_exchange: moves sessions between nodes; None without a bus.
        connecting: the connections that must join a namespace within `connect_timeout_s`.
        tracing: makes spans; None if nothing is traced.
        tuple_noted: whether `note_tuple` has logged.
        loop: the event loop that the server runs in.
        thread_id: the thread of that loop.
    """

    options: ServerOptions
    parser: Parser
    identity: Identity
    engine: Engine
    observers: Observers = field(default_factory=Observers)
    tasks: Tasks = field(default_factory=lambda: Tasks(asyncio.get_running_loop()))
    fanout: FanOut[DirectWriter, Prepared] = field(default_factory=lambda: FanOut(broadcast_frames))
    counters: Counter[str] = field(default_factory=Counts)
    notices: LimitedLog = field(default_factory=lambda: LimitedLog(log))
    tuple_noted: bool = False
    tracing: Tracing | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    thread_id: int = field(default_factory=threading.get_ident)
    recovery: "RecoveryStore | None" = field(init=False, default=None)
    recovery_expiry: "RecoveryExpiry | None" = field(init=False, default=None)
    session_exchange: "SessionExchange | None" = field(init=False, default=None)
    connecting: DeadlineQueue[ConnectingClient] = field(init=False)
    loop_lag: LoopLag = field(init=False)

    def __post_init__(self) -> None:
        self.loop_lag = LoopLag(self.counters)
        self.connecting = DeadlineQueue(self.options.connect_timeout_s, lambda client: client.connect_timed_out())

    def enable_recovery(self, options: Recovery, factory: object = None) -> None:
        """Keep what is necessary to recover sessions.

        Args:
            options: limits.
            factory: the adapter factory, started; sessions move between the nodes of a `ClusterAdapterFactory`.
        """
        # Imported only where it is used: a twentieth of the start of a node.
        from zmqio.recovery.store import RecoveryStore
        from zmqio.server.recovery_expiry import RecoveryExpiry

        engine = self.engine.options
        notice_s = engine.ping_interval_s + engine.ping_timeout_s + NOTICE_MARGIN_S
        node_id = self.identity.node_id
        self.recovery = RecoveryStore(node_id, options, notice_s, self.counters, time.monotonic)
        self.recovery_expiry = RecoveryExpiry(self.recovery)
        self.recovery_expiry.start()
        if isinstance(factory, ClusterAdapterFactory):
            self.session_exchange = factory.exchange_sessions(self.recovery)

    def disable_recovery(self) -> None:
        """Stop the timer of `enable_recovery`, if it was called."""
        if self.recovery_expiry is not None:
            self.recovery_expiry.stop()

    def prepare(self, packet: Packet) -> Prepared:
        """Encode a packet for the engine."""
        return self.engine.prepare(self.parser.encode(packet))

    def note_tuple(self, event: str, args: Sequence[Any]) -> None:
        """Log once that a tuple is sent as one list: in python-socketio it is several arguments."""
        if len(args) == 1 and type(args[0]) is tuple and not self.tuple_noted:
            self.tuple_noted = True
            log.warning(
                "tuple_sent_as_list",
                event_name=event,
                remedy="emit(event, *values) sends several arguments; give a list to send a list",
            )

    def report_connect_timeout(self, namespace: str, **facts: str) -> None:
        """Count and log a rule, middleware or connect handler that took too long and was cancelled."""
        self.counters["connect_handlers_timed_out"] += 1
        self.notices.warning(
            "connect_handler_timed_out",
            subject=namespace,
            namespace=namespace,
            limit=self.options.connect_handler_timeout_s,
            option="connect_handler_timeout_s",
            **facts,
        )

    def check_loop(self) -> None:
        """Check that the caller runs in the server's event loop. From elsewhere, packets would silently be lost.

        Raises:
            RuntimeError: the server runs in another event loop, perhaps in another thread.
        """
        # One loop runs in a thread. `get_running_loop` makes a system call (Python 3.11): twice as slow.
        if threading.get_ident() != self.thread_id or not self.loop.is_running():
            raise RuntimeError(
                "the server runs in another event loop than the caller; from another thread, process or loop, use "
                "`zmqio.Emitter` or `asyncio.run_coroutine_threadsafe`"
            )
