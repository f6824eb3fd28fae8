"""One broker: makes the sockets, binds them in the right order, starts the threads, and ends them.

publish   XSUB --C proxy--> XPUB subscribe         capture PUB -> capture thread -> PUB -> XSUB
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
from zmqio_broker.control import Control, release
from zmqio_broker.endpoints import Endpoints
from zmqio_broker.options import BrokerOptions
from zmqio_broker.peers import PeerWatch
from zmqio_broker.proxy import ProxyMeter, proxy_thread
from zmqio_broker.threads import SocketThread

__all__ = ["Broker"]

# Measured over restarts under load: with nodes that reconnect within 10-100 ms, subscribers are back first and
# 0-10 messages are lost; with both bound at once, publishers flush their queues to nobody (280 lost).
SUBSCRIBERS_FIRST_S = 0.3
_INSIDE_CONTROL = "inproc://control"
_ANSWER_LIMIT_MS = 1_000
_JOIN_LIMIT_S = 1.0

log = structlog.get_logger(__name__)


class Broker:
    """A broker in this process; all its methods belong to one thread.

    Args:
        options: what can be set.
        debug: whether subscriptions are logged, at DEBUG.

    Raises:
        AddressError: `options.bind` is no broker address.
    """

    def __init__(self, options: BrokerOptions, *, debug: bool = False) -> None:
        self.options = options
        self.endpoints = Endpoints.from_base(options.bind)
        self.epoch = os.urandom(EPOCH_BYTES)
        self._debug = debug
        self._started_at = time.monotonic()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._watch = PeerWatch(self._context)
        self._threads: list[SocketThread] = []
        self._asker: zmq.Socket[bytes] | None = None

    def start(self, wait: Callable[[float], None] = time.sleep) -> None:
        """Bind the endpoints and start to forward; control answers once all four are open.

        Args:
            wait: how the time between the subscribe and the publish endpoint is spent, in seconds.

        Raises:
            BindError: an endpoint cannot be bound; nothing is left open.
        """
        try:
            self._start(wait)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def failure(self) -> Exception | None:
        """The error that ended one of the threads, if one has ended."""
        return next((thread.failure for thread in self._threads if thread.failure), None)

    def statistics(self) -> dict[str, Any]:
        """Ask the control thread for the statistics, as anybody can; {} if it does not answer within 1 s."""
        asker = self._asker
        if asker is None:
            return {}
        while asker.poll(0):
            asker.recv()  # an answer that came too late last time
        asker.send(msgpack.packb({"op": "statistics"}), zmq.NOBLOCK)
        if not asker.poll(_ANSWER_LIMIT_MS):
            return {}
        answer: dict[str, Any] = msgpack.unpackb(asker.recv())
        return answer

    def stop(self) -> bool:
        """End all threads and close all sockets; whether every thread ended within a second.

        What waits for nodes is dropped (replay repairs it): a stop must not wait for a node that does not read.
        """
        if self._asker is not None:
            self._asker.close(0)
        # The threads see the end of the context at their next call and close their own sockets. `term` waits for
        # them, so it has a thread of its own: this one must not hang with a hanging one.
        terminator = SocketThread("terminator", self._context.term, ())
        terminator.start()
        ended = terminator.join(_JOIN_LIMIT_S)
        sockets.remove_paths(self.endpoints.by_role().values())
        return ended

    def _start(self, wait: Callable[[float], None]) -> None:
        control = self._open("control", sockets.make_control(self._context))
        subscribe = self._open("subscribe", sockets.make_subscribe(self._context, self.options))
        publish = self._watched("publish", sockets.make_publish(self._context, self.options))
        ingest = self._watched("ingest", sockets.make_ingest(self._context, self.options))
        publish.bind(sockets.INSIDE_ADDRESS)
        from_ingest = sockets.connect_inside_publisher(self._context)
        acknowledger = sockets.connect_acknowledger(self._context)
        _subscribe_to_everything(publish, [from_ingest, acknowledger])
        wait(SUBSCRIBERS_FIRST_S)
        # Reading EVENTS makes XPUB apply what has come in meanwhile, before the first message can.
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
        control.bind(_INSIDE_CONTROL)
        self._asker = self._context.socket(zmq.DEALER)
        self._asker.connect(_INSIDE_CONTROL)
        answers = _Answers(self, barrier, data[1], ingest[1])
        server = Control(control, {"hello": answers.hello, "statistics": answers.statistics})
        answers.control = server
        self._threads = [
            data[0],
            ingest[0],
            SocketThread("barrier", barrier.run, [acknowledger]),
            SocketThread("watch", self._watch.run, self._watch.sockets),
            SocketThread("control", server.run, [control, data[1].socket, ingest[1].socket]),
        ]
        for thread in self._threads:
            thread.start()

    def _open(self, role: str, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        sockets.bind(self._watched(role, socket), role, self.endpoints.by_role()[role])
        return socket

    def _watched(self, role: str, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        self._watch.add(role, socket)
        return socket

    def peers(self) -> dict[str, dict[str, int]]:
        """Counts of connections by role; see `PeerCounts`."""
        names = ("connected", "joined", "left", "rejected", "not_accepted")
        return {
            role: {name: getattr(counts, name) for name in names} for role, counts in self._watch.counts.items()
        }

    def uptime_s(self) -> float:
        """Seconds since this broker was made."""
        return round(time.monotonic() - self._started_at, 3)


class _Answers:
    """What the control thread answers; it alone asks the proxies."""

    control: Control

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
            "control_answered": self.control.answered,
            "control_refused": self.control.refused,
            "control_last_refusal": self.control.last_refusal,
            "peers": self._broker.peers(),
        }


def _subscribe_to_everything(publish: zmq.Socket[bytes], inside: list[zmq.Socket[bytes]]) -> None:
    """Make every publisher send every message, from its first moment.

    Without this, publishers would filter by the subscriptions that have travelled up to them, and the
    acknowledgement of a subscription would promise too much: the broker knows it, the publisher not yet.
    """
    publish.getsockopt(zmq.EVENTS)  # lets the XSUB take in the inside connections
    publish.send(b"\x01")
    for publisher in inside:
        publisher.getsockopt(zmq.EVENTS)  # lets each of them take in the subscription
