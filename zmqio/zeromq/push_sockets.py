"""The PUSH sockets of a `Push`: one for each broker, each accepting a message only while it is connected."""

import contextlib
import itertools
import struct
import time
from collections.abc import Sequence

import zmq

from zmqio.zeromq.connection import REFUSED_RETRY_S
from zmqio.zeromq.context import SyncContext, SyncSocket
from zmqio.zeromq.curve import SERVER_KEY_VARIABLE, LoadedCurve
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.socket_options import fd_of, is_writable, set_connect_options

__all__ = ["PushSockets"]

HEARTBEAT_IVL_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 5_000
UP = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
DOWN = int(zmq.EVENT_DISCONNECTED)
NO_DETAIL = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
PROTOCOL = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
AUTH = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
MECHANISM_MISMATCH = int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
FAILED = NO_DETAIL | PROTOCOL | AUTH

_numbers = itertools.count()


class PushSockets:
    """One PUSH socket for each broker. Not thread-safe. Only `wait` blocks.

    Args:
        context: creates the sockets.
        addresses: base address of each broker.
        queue_messages: most messages queued for each broker.
        keys: the keys for each broker; empty if none requires keys.
    """

    def __init__(
        self,
        context: SyncContext,
        addresses: Sequence[str],
        queue_messages: int,
        keys: Sequence[LoadedCurve | None] = (),
    ) -> None:
        self._sockets = [
            _MonitoredPush(context, endpoints_of(address).ingest, queue_messages, key)
            for address, key in itertools.zip_longest(addresses, keys)
        ]

    @property
    def problem(self) -> str:
        """The reason why brokers refused the connection, as far as known; otherwise empty."""
        return "; ".join(dict.fromkeys(each.problem for each in self._sockets if each.problem))

    @property
    def fds(self) -> list[int]:
        """File descriptors that become readable when a socket's state has changed, and only then."""
        return [fd_of(each.socket) for each in self._sockets]

    def offer(self, frame: bytes) -> bool:
        """Send `frame` to every broker that accepts it now; return whether at least one did."""
        # Not `any`, which would stop at the first broker that accepts it.
        return sum(each.offer(frame) for each in self._sockets) > 0

    def wait(self, timeout_s: float) -> None:
        """Wait until a broker may accept a message, for at most `timeout_s` seconds."""
        poller = zmq.Poller()
        for each in self._sockets:
            poller.register(each.socket, zmq.POLLOUT)
        poller.poll(max(1, int(timeout_s * 1000)))

    def close(self, linger_s: float) -> None:
        """Close; libzmq sends queued messages in the background for at most `linger_s` seconds."""
        for each in self._sockets:
            each.close(linger_s)


class _MonitoredPush:
    """The PUSH socket to one broker, with the monitor that shows when libzmq has stopped reconnecting."""

    def __init__(self, context: SyncContext, endpoint: str, queue_messages: int, keys: LoadedCurve | None) -> None:
        self._endpoint = endpoint
        self._keys = keys
        self._is_up = False
        self.problem = ""
        self._retry_at_s: float | None = None
        self.socket: SyncSocket = context.socket(zmq.PUSH)
        set_connect_options(self.socket, endpoint, keys)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.SNDHWM, queue_messages)
        self.socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS)
        self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        address = f"inproc://zmqio-push-{next(_numbers)}"
        self.socket.monitor(address, UP | DOWN | FAILED)
        self._monitor: SyncSocket = context.socket(zmq.PAIR)
        # Read only when a send fails, so unlimited: a full monitor would block libzmq's own thread.
        self._monitor.setsockopt(zmq.RCVHWM, 0)
        self._monitor.connect(address)
        self.socket.connect(endpoint)

    def offer(self, frame: bytes) -> bool:
        # Checking first makes libzmq process its events; sending alone does so only once a millisecond.
        if is_writable(self.socket):
            with contextlib.suppress(zmq.Again):
                self.socket.send(frame, zmq.DONTWAIT)
                return True
        self._reconnect_if_refused(time.monotonic())
        return False

    def close(self, linger_s: float) -> None:
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=int(linger_s * 1000))

    def _note_failure(self, event: int, value: int) -> None:
        if event == AUTH:
            key = self._keys.public_key if self._keys is not None else "none"
            self.problem = f"the broker does not know the key of this process (public key {key})"
        elif event == PROTOCOL and value == MECHANISM_MISMATCH:
            self.problem = (
                "the broker requires keys (CURVE), and this process has none"
                if self._keys is None
                else "the broker does not use keys (CURVE), and this process requires them"
            )
        elif event & FAILED and self._keys is not None:
            self.problem = (
                "the broker did not complete the handshake with keys: `server_key` "
                f"({SERVER_KEY_VARIABLE}) is not its public key, or it is not a broker"
            )

    def _reconnect_if_refused(self, now_s: float) -> None:
        """Reconnect after the peer turned out not to be a broker, which libzmq does not retry."""
        while self._monitor.poll(0):
            event, value = struct.unpack("=Hi", self._monitor.recv_multipart()[0])
            self._note_failure(event, value)
            if event == DOWN and not self._is_up:
                self._retry_at_s = now_s + REFUSED_RETRY_S
            self._is_up = event == UP
        if self._is_up:
            self._retry_at_s = None
            self.problem = ""
        if self._retry_at_s is not None and now_s >= self._retry_at_s:
            self._retry_at_s = None
            with contextlib.suppress(zmq.ZMQError):
                self.socket.disconnect(self._endpoint)
            self.socket.connect(self._endpoint)
