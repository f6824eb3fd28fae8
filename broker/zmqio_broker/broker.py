"""One broker: creates the sockets, binds them in the right order, starts the threads and stops them.

publish   XSUB --C proxy--> XPUB subscribe         acknowledgements: barrier thread's DEALER -> XSUB
ingest    PULL --filter--> PUSH -> XSUB            control ROUTER -> control thread
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import structlog
import zmq

from zmqio_broker import sockets
from zmqio_broker.barrier import ACKNOWLEDGEMENT_BYTES, EPOCH_BYTES, Acknowledger
from zmqio_broker.connection_guard import TOPIC_SHARES, ConnectionGuard, Progress
from zmqio_broker.control import ControlServer, release
from zmqio_broker.descriptors import connection_limit
from zmqio_broker.endpoints import BrokerEndpoints
from zmqio_broker.ingest import IngestFilter
from zmqio_broker.options import BrokerOptions
from zmqio_broker.peers import PeerMonitor
from zmqio_broker.proxy import ProxyMeter, proxy_thread
from zmqio_broker.rejections import Rejections
from zmqio_broker.security import Security
from zmqio_broker.subscription_guard import SubscriptionWatch
from zmqio_broker.threads import SocketThread

__all__ = ["Broker"]

# Subscribers must reconnect before publishers do. Measured over restarts under load, with nodes that reconnect
# within 10-100 ms: with this delay 0-10 messages are lost; with both endpoints bound at once, publishers flush
# their queues before any node has subscribed (280 lost).
SUBSCRIBERS_FIRST_S = 0.3
MAX_IO_THREADS = 4
_INPROC_CONTROL = "inproc://control"
_STATISTICS_TIMEOUT_MS = 1_000
_STOP_TIMEOUT_S = 1.0

log = structlog.get_logger(__name__)


class Broker:
    """A broker in this process. All its methods must be called from one thread.

    Args:
        options: the broker's options.
        debug: whether subscriptions are logged, at DEBUG.

    Raises:
        AddressError: `options.bind` is not a broker address.
        KeyFileError: a key file or folder cannot be used.
    """

    def __init__(self, options: BrokerOptions, *, debug: bool = False) -> None:
        self.options = options
        self.endpoints = BrokerEndpoints.from_base(options.bind)
        self.epoch = os.urandom(EPOCH_BYTES)
        self._debug = debug
        self._started_at = time.monotonic()
        self.security = _security(options)
        self.rejections = Rejections()
        self._ingest: IngestFilter | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(_io_threads(self.security))
        self._subscriptions = SubscriptionWatch(options.sent_subscription_bytes)
        self._monitor = PeerMonitor(
            self._context,
            connection_limit(),
            accepted=_of_subscribe(self._subscriptions.accepted),
            listening=_of_subscribe(self._subscriptions.listening),
        )
        self._guard = ConnectionGuard(options, self._monitor.counts)
        self._control: ControlServer | None = None
        self._threads: list[SocketThread] = []
        self._control_client: zmq.Socket[bytes] | None = None

    def start(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Bind the endpoints and start forwarding. Control answers once all four endpoints are bound.

        Args:
            wait: called with the seconds to wait between binding the subscribe and the publish endpoint.

        Raises:
            BindError: an endpoint cannot be bound; all sockets are closed again.
        """
        try:
            self._start(wait)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def failure(self) -> Exception | None:
        """Return the error that ended one of the threads, or None."""
        return next((thread.failure for thread in self._threads if thread.failure), None)

    def statistics(self) -> dict[str, Any]:
        """Request the statistics from the control thread, as any client can; {} without a response within 1 s."""
        client = self._control_client
        if client is None:
            return {}
        while client.poll(0):
            client.recv()  # the late response to an earlier request
        client.send(msgpack.packb({"op": "statistics"}), zmq.NOBLOCK)
        if not client.poll(_STATISTICS_TIMEOUT_MS):
            return {}
        response: dict[str, Any] = msgpack.unpackb(client.recv())
        return response

    def check_connections(self, statistics: Mapping[str, Any]) -> None:
        """Close the connections that take too much memory. Call this about every half second."""
        ingest, control = self._ingest, self._control
        if ingest is None or control is None:
            return
        acks = statistics["sync_acks"]
        own_bytes = statistics["ingest_bytes"] + acks * ACKNOWLEDGEMENT_BYTES
        self._guard.check(
            time.monotonic(),
            Progress(statistics["bytes_out"], statistics["frames_out"]),
            {
                "publish": Progress(
                    statistics["bytes_in"] - own_bytes,
                    statistics["frames_in"] - statistics["ingest_frames"] - acks,
                ),
                "ingest": Progress(ingest.read_bytes, ingest.read_frames),
                "control": Progress(control.read_bytes, control.read_frames),
            },
            statistics["topic_bytes"],
        )
        self._subscriptions.guard.settle(statistics["topic_bytes"])

    def reload_keys(self) -> None:
        """Read the folders of keys again, if this broker requires keys."""
        if self.security is not None and self._ingest is not None:
            self.security.reload()
            self._ingest.ring = self.security.ring

    def stop(self) -> bool:
        """End all threads and close all sockets. Return whether every thread ended within 1 s.

        Messages queued for nodes are dropped, and nodes recover them by replay: a stop must not wait for a node
        that does not read.
        """
        if self._control_client is not None:
            self._control_client.close(0)
        self._subscriptions.stop()
        # At their next call the threads notice that the context is terminated, and close their own sockets. `term`
        # blocks until then, so it runs in a thread of its own: a thread that hangs must not block this one.
        terminator = SocketThread("terminator", self._context.term, ())
        terminator.start()
        ended = terminator.join(_STOP_TIMEOUT_S)
        sockets.remove_paths(self.endpoints.by_role().values())
        return ended

    def _start(self, wait: Callable[[float], None]) -> None:
        if self.security is not None:
            self._threads = [self.security.authenticator_thread(self._context, self.rejections)]
            self._threads[0].start()
        control = self._open("control", sockets.make_control(self._context))
        subscribe = self._open("subscribe", sockets.make_subscribe(self._context, self.options))
        publish = self._monitored("publish", sockets.make_publish(self._context, self.options))
        ingest = self._monitored("ingest", sockets.make_ingest(self._context, self.options))
        publish.bind(sockets.INPROC_ADDRESS)
        from_ingest = sockets.connect_inproc_publisher(self._context)
        acknowledger = sockets.connect_acknowledger(self._context)
        _subscribe_to_everything(publish)
        wait(SUBSCRIBERS_FIRST_S)
        # Reading EVENTS makes the XPUB apply the subscriptions received so far, before the first message arrives.
        subscribe.getsockopt(zmq.EVENTS)
        sockets.bind(publish, "publish", self.endpoints.publish)
        sockets.bind(ingest, "ingest", self.endpoints.ingest)
        outside = IngestFilter(ingest, from_ingest, self.rejections)
        outside.ring = None if self.security is None else self.security.ring
        self._ingest = outside
        outside_thread = SocketThread("ingest", outside.run, [ingest, from_ingest])
        self._start_threads(
            proxy_thread("data", publish, subscribe), outside, outside_thread, acknowledger, control
        )

    def _start_threads(
        self,
        data: tuple[SocketThread, ProxyMeter],
        ingest: IngestFilter,
        ingest_thread: SocketThread,
        acknowledger: zmq.Socket[bytes],
        control: zmq.Socket[bytes],
    ) -> None:
        barrier = Acknowledger(acknowledger, self.epoch, logs_subscriptions=self._debug)
        control.bind(_INPROC_CONTROL)
        self._control_client = self._context.socket(zmq.DEALER)
        self._control_client.connect(_INPROC_CONTROL)
        responses = _ControlResponses(self, barrier, data[1], ingest)
        server = ControlServer(control, responses.by_operation(), self._may_read_statistics)
        responses.control = self._control = server
        threads = [
            data[0],
            ingest_thread,
            SocketThread("barrier", barrier.run, [acknowledger]),
            SocketThread("peers", self._monitor.run, self._monitor.sockets),
            SocketThread("subscriptions", self._subscriptions.run, ()),
            SocketThread("control", server.run, [control, data[1].socket]),
        ]
        for thread in threads:
            thread.start()
        self._threads += threads

    def _open(self, role: str, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        sockets.bind(self._monitored(role, socket), role, self.endpoints.by_role()[role])
        return socket

    def _monitored(self, role: str, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        if self.security is not None:
            self.security.secure(role, socket)
        self._monitor.add(role, socket)
        return socket

    def _may_read_statistics(self, key: str) -> bool:
        """Nodes may, senders may not. A client without a key is this process, if keys are required."""
        return self.security is None or not key or key.encode() in self.security.ring.nodes

    def peers(self) -> dict[str, dict[str, int]]:
        """Return the counts of connections by role; see `PeerCounts`."""
        names = ("connected", "connects", "disconnects", "rejections", "accept_failures")
        return {
            role: {name: getattr(counts, name) for name in names} for role, counts in self._monitor.counts.items()
        }

    @property
    def connections_closed(self) -> int:
        """Number of connections that were closed because they took too much memory."""
        return self._guard.closed + self._subscriptions.guard.closed

    def uptime_s(self) -> float:
        """Return the seconds since this broker was created."""
        return round(time.monotonic() - self._started_at, 3)


class _ControlResponses:
    """Makes the responses of the control endpoint; used by the control thread only."""

    control: ControlServer

    def __init__(self, broker: Broker, barrier: Acknowledger, data: ProxyMeter, ingest: IngestFilter) -> None:
        self._broker = broker
        self._barrier = barrier
        self._data = data
        self._ingest = ingest

    def by_operation(self) -> dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]:
        return {
            "hello": lambda _: self.hello(),
            "flushed": lambda request: {"flushed": self._ingest.has_flushed(request.get("token"))},
            "statistics": lambda _: self.statistics(),
        }

    def hello(self) -> dict[str, Any]:
        return {
            "epoch": self._broker.epoch.hex(),
            **self._broker.endpoints.advertised(),
            "pid": os.getpid(),
            "release": release(),
            "max_message_bytes": self._broker.options.max_message_bytes,
            "subscription_bytes": self._broker.options.sent_subscription_bytes,
            "topic_bytes": TOPIC_SHARES * self._broker.options.subscription_bytes,
        }

    def statistics(self) -> dict[str, Any]:
        data, ingest = self._data.read(), self._ingest
        return {
            "epoch": self._broker.epoch.hex(),
            "uptime_s": self._broker.uptime_s(),
            "frames_in": data.frames_in,
            "bytes_in": data.bytes_in,
            "frames_out": data.frames_out,
            "bytes_out": data.bytes_out,
            "ingest_frames": ingest.frames,
            "ingest_bytes": ingest.bytes,
            "ingest_refused": ingest.refused,
            "subscription_changes": data.frames_upstream,
            "topics": self._barrier.topics,
            "topic_bytes": self._barrier.topic_bytes,
            "sync_acks": self._barrier.acknowledged,
            "control_requests": self.control.answered,
            "control_rejections": self.control.rejected,
            "control_last_rejection": self.control.last_rejection,
            "keys_rejected": 0 if self._broker.security is None else self._broker.security.rejected,
            "connections_closed": self._broker.connections_closed,
            "peers": self._broker.peers(),
        }


def _security(options: BrokerOptions) -> Security | None:
    if options.curve_secret is None or options.node_keys is None:
        return None
    return Security(options.curve_secret, options.node_keys, options.sender_keys)


def _of_subscribe(call: Callable[[int], None]) -> Callable[[str, int], None]:
    """Pass on the descriptors of the subscribe endpoint."""

    def filtered(role: str, descriptor: int) -> None:
        if role == "subscribe":
            call(descriptor)

    return filtered


def _io_threads(security: Security | None) -> int:
    """libzmq encrypts each copy of a message in its I/O threads; without keys, one thread is enough."""
    return 1 if security is None else max(1, min(MAX_IO_THREADS, (os.cpu_count() or 1) - 1))


def _subscribe_to_everything(publish: zmq.Socket[bytes]) -> None:
    """Make every publisher send every message from the start.

    Otherwise publishers would filter by the subscriptions that have already travelled up to them. An acknowledged
    subscription would then be known to the broker, but perhaps not yet to the publisher.
    """
    publish.getsockopt(zmq.EVENTS)  # makes the XSUB accept the inproc connections
    publish.send(b"\x01")
