"""The sockets under a push: one PUSH for each broker, each taking a message only while it is connected."""

import contextlib
import itertools
import struct
import time
from collections.abc import Sequence

import zmq

from zmqio.zeromq.context import SyncContext, SyncSocket
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.socket_options import REFUSED_RETRY_S, fd_of, is_writable, set_link_options

__all__ = ["PushSockets"]

HEARTBEAT_IVL_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 5_000
UP = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
DOWN = int(zmq.EVENT_DISCONNECTED)

_numbers = itertools.count()


class PushSockets:
    """One PUSH for each broker. Not thread-safe; nothing here waits but `wait`.

    Args:
        context: where sockets are made.
        addresses: base address of each broker.
        queue_messages: most messages that wait for each broker.
    """

    def __init__(self, context: SyncContext, addresses: Sequence[str], queue_messages: int) -> None:
        self._lanes = [_Lane(context, endpoints_of(address).ingest, queue_messages) for address in addresses]

    @property
    def fds(self) -> list[int]:
        """File descriptors that tell of changes, and of changes only."""
        return [fd_of(lane.socket) for lane in self._lanes]

    def offer(self, frame: bytes) -> bool:
        """Give `frame` to every broker that takes it now; whether one did."""
        # No `any`: it would stop at the first that takes it.
        return sum(lane.offer(frame) for lane in self._lanes) > 0

    def wait(self, timeout_s: float) -> None:
        """Wait until a broker may take something, or `timeout_s` is over."""
        poller = zmq.Poller()
        for lane in self._lanes:
            poller.register(lane.socket, zmq.POLLOUT)
        poller.poll(max(1, int(timeout_s * 1000)))

    def close(self, linger_s: float) -> None:
        """Close; what is queued is still sent for `linger_s` seconds, in the background."""
        for lane in self._lanes:
            lane.close(linger_s)


class _Lane:
    """The PUSH to one broker, and the monitor that tells when libzmq has given up on it."""

    def __init__(self, context: SyncContext, endpoint: str, queue_messages: int) -> None:
        self._endpoint = endpoint
        self._is_up = False
        self._retry_at_s: float | None = None
        self.socket: SyncSocket = context.socket(zmq.PUSH)
        set_link_options(self.socket, endpoint)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.SNDHWM, queue_messages)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        address = f"inproc://zmqio-push-{next(_numbers)}"
        self.socket.monitor(address, UP | DOWN)
        self._monitor: SyncSocket = context.socket(zmq.PAIR)
        # Read only when something is wrong; a full monitor would stop libzmq's own thread.
        self._monitor.setsockopt(zmq.RCVHWM, 0)
        self._monitor.connect(address)
        self.socket.connect(endpoint)

    def offer(self, frame: bytes) -> bool:
        # Looking first makes libzmq see what has happened; sending alone does so once a millisecond.
        if is_writable(self.socket):
            with contextlib.suppress(zmq.Again):
                self.socket.send(frame, zmq.DONTWAIT)
                return True
        self._try_again_if_refused(time.monotonic())
        return False

    def close(self, linger_s: float) -> None:
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=int(linger_s * 1000))

    def _try_again_if_refused(self, now_s: float) -> None:
        """Connect anew after a peer that is no broker: libzmq does not try such a one again."""
        while self._monitor.poll(0):
            event = struct.unpack("=Hi", self._monitor.recv_multipart()[0])[0]
            if event == DOWN and not self._is_up:
                self._retry_at_s = now_s + REFUSED_RETRY_S
            self._is_up = event == UP
        if self._is_up:
            self._retry_at_s = None
        if self._retry_at_s is not None and now_s >= self._retry_at_s:
            self._retry_at_s = None
            with contextlib.suppress(zmq.ZMQError):
                self.socket.disconnect(self._endpoint)
            self.socket.connect(self._endpoint)
