"""One broker: creates the sockets, binds them in the right order, starts the threads and stops them.

publish   XSUB --C proxy--> XPUB subscribe         acknowledgements: barrier thread's XPUB -> XSUB
ingest    PULL --C proxy--> PUB -> XSUB            control ROUTER -> control thread
"""

import os
import time
from collections.abc import Callable
from typing import Any

import msgpack
import structlog
import zmq

from zmqio_broker import sockets
from zmqio_broker.barrier import EPOCH_BYTES, Acknowledger
from zmqio_broker.control import ControlServer, release
from zmqio_broker.descriptors import connection_limit
from zmqio_broker.endpoints import BrokerEndpoints
from zmqio_broker.options import BrokerOptions
from zmqio_broker.peers import PeerMonitor
from zmqio_broker.proxy import ProxyMeter, proxy_thread
from zmqio_broker.threads import SocketThread

__all__ = ["Broker"]

# Subscribers must reconnect before publishers do. Measured over restarts under load, with nodes that reconnect
# within 10-100 ms: with this delay 0-10 messages are lost; with both endpoints bound at once, publishers flush
# their queues before any node has subscribed (280 lost).
SUBSCRIBERS_FIRST_S = 0.3
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
    """

    def __init__(self, options: BrokerOptions, *, debug: bool = False) -> None:
        self.options = options
        self.endpoints = BrokerEndpoints.from_base(options.bind)
        self.epoch = os.urandom(EPOCH_BYTES)
        self._debug = debug
        self._started_at = time.monotonic()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._monitor = PeerMonitor(self._context, connection_limit())
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

    def stop(self) -> bool:
        """End all threads and close all sockets. Return whether every thread ended within 1 s.

        Messages queued for nodes are dropped, and nodes recover them by replay: a stop must not wait for a node
        that does not read.
        """
        if self._control_client is not None:
            self._control_client.close(0)
        # At their next call the threads notice that the context is terminated, and close their own sockets. `term`
        # blocks until then, so it runs in a thread of its own: a thread that hangs must not block this one.
        terminator = SocketThread("terminator", self._context.term, ())
        terminator.start()
        ended = terminator.join(_STOP_TIMEOUT_S)
        sockets.remove_paths(self.endpoints.by_role().values())
        return ended

    def _start(self, wait: Callable[[float], None]) -> None:
        control = self._open("control", sockets.make_control(self._context))
        subscribe = self._open("subscribe", sockets.make_subscribe(self._context, self.options))
        publish = self._monitored("publish", sockets.make_publish(self._context, self.options))
        ingest = self._monitored("ingest", sockets.make_ingest(self._context, self.options))
        publish.bind(sockets.INPROC_ADDRESS)
        from_ingest = sockets.connect_inproc_publisher(self._context)
        acknowledger = sockets.connect_acknowledger(self._context)
        _subscribe_to_everything(publish, [from_ingest, acknowledger])
        wait(SUBSCRIBERS_FIRST_S)
        # Reading EVENTS makes the XPUB apply the subscriptions received so far, before the first message arrives.
        subscribe.getsockopt(zmq.EVENTS)
        sockets.bind(publish, "publish", self.endpoints.publish)
        sockets.bind(ingest, "ingest", self.endpoints.ingest)
        data = proxy_thread("data", publish, subscribe)
        outside = proxy_thread("ingest", ingest, from_ingest)
        self._start_threads(data, outside, acknowledger, control)

    def _start_threads(
        self,
        data: tuple[SocketThread, ProxyMeter],
        ingest: tuple[SocketThread, ProxyMeter],
        acknowledger: zmq.Socket[bytes],
        control: zmq.Socket[bytes],
    ) -> None:
        barrier = Acknowledger(acknowledger, self.epoch, logs_subscriptions=self._debug)
        control.bind(_INPROC_CONTROL)
        self._control_client = self._context.socket(zmq.DEALER)
        self._control_client.connect(_INPROC_CONTROL)
        responses = _ControlResponses(self, barrier, data[1], ingest[1])
        server = ControlServer(control, {"hello": responses.hello, "statistics": responses.statistics})
        responses.control = server
        self._threads = [
            data[0],
            ingest[0],
            SocketThread("barrier", barrier.run, [acknowledger]),
            SocketThread("peers", self._monitor.run, self._monitor.sockets),
            SocketThread("control", server.run, [control, data[1].socket, ingest[1].socket]),
        ]
        for thread in self._threads:
            thread.start()

    def _open(self, role: str, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        sockets.bind(self._monitored(role, socket), role, self.endpoints.by_role()[role])
        return socket

    def _monitored(self, role: str, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        self._monitor.add(role, socket)
        return socket

    def peers(self) -> dict[str, dict[str, int]]:
        """Return the counts of connections by role; see `PeerCounts`."""
        names = ("connected", "connects", "disconnects", "rejections", "accept_failures")
        return {
            role: {name: getattr(counts, name) for name in names} for role, counts in self._monitor.counts.items()
        }

    def uptime_s(self) -> float:
        """Return the seconds since this broker was created."""
        return round(time.monotonic() - self._started_at, 3)


class _ControlResponses:
    """Makes the responses of the control endpoint; used by the control thread only."""

    control: ControlServer

    def __init__(self, broker: Broker, barrier: Acknowledger, data: ProxyMeter, ingest: ProxyMeter) -> None:
        self._broker = broker
        self._barrier = barrier
        self._data = data
        self._ingest = ingest

    def hello(self) -> dict[str, Any]:
        return {
            "epoch": self._broker.epoch.hex(),
            **self._broker.endpoints.advertised(),
            "pid": os.getpid(),
            "release": release(),
            "max_message_bytes": self._broker.options.max_message_bytes,
        }

    def statistics(self) -> dict[str, Any]:
        data, ingest = self._data.read(), self._ingest.read()
        return {
            "epoch": self._broker.epoch.hex(),
            "uptime_s": self._broker.uptime_s(),
            "frames_in": data.frames_in,
            "bytes_in": data.bytes_in,
            "frames_out": data.frames_out,
            "bytes_out": data.bytes_out,
            "ingest_frames": ingest.frames_in,
            "ingest_bytes": ingest.bytes_in,
            "subscription_changes": data.frames_upstream,
            "sync_acks": self._barrier.acknowledged,
            "control_requests": self.control.answered,
            "control_rejections": self.control.rejected,
            "control_last_rejection": self.control.last_rejection,
            "peers": self._broker.peers(),
        }


def _subscribe_to_everything(publish: zmq.Socket[bytes], inproc: list[zmq.Socket[bytes]]) -> None:
    """Make every publisher send every message from the start.

    Otherwise publishers would filter by the subscriptions that have already travelled up to them. An acknowledged
    subscription would then be known to the broker, but perhaps not yet to the publisher.
    """
    publish.getsockopt(zmq.EVENTS)  # makes the XSUB accept the inproc connections
    publish.send(b"\x01")
    for publisher in inproc:
        publisher.getsockopt(zmq.EVENTS)  # makes each publisher apply the subscription
