"""Subscribes to one topic at one or more brokers, for publishers that wait until their own message comes back.

Not the subscriber of a node (that is `zmqio.zeromq.subscriber`): it waits for one body at a time and discards all
other messages.

Queue and policy: ZeroMQ's default of 1,000 messages; beyond that the broker drops.
"""

import asyncio
import time
from collections.abc import Sequence

import zmq

from zmqio.zeromq.context import ProcessContext, SyncSocket
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.socket_options import fd_of, set_connect_options

__all__ = ["EchoInbox"]


class EchoInbox:
    """Subscribes to one topic at every broker. Not thread-safe; a forked child needs another.

    The subscription takes effect some time after the constructor returns. A message that must come back has to be
    sent again until it does.

    Args:
        addresses: base address of each broker.
        topic: the topic to subscribe to.
    """

    def __init__(self, addresses: Sequence[str], topic: bytes) -> None:
        self.topic = topic
        self._context = ProcessContext()
        self._sockets: list[SyncSocket] = []
        for address in addresses:
            endpoint = endpoints_of(address).subscribe
            socket = self._context.get().socket(zmq.SUB)
            set_connect_options(socket, endpoint)
            socket.setsockopt(zmq.SUBSCRIBE, topic)
            socket.connect(endpoint)
            self._sockets.append(socket)

    def wait_for(self, body: bytes, timeout_s: float) -> bool:
        """Wait until `body` arrives from any broker; return False if it has not after `timeout_s` seconds."""
        poller = zmq.Poller()
        for socket in self._sockets:
            poller.register(socket, zmq.POLLIN)
        ends_at_s = time.monotonic() + timeout_s
        while not self._has_received(body):
            left_s = ends_at_s - time.monotonic()
            # Rounded up, or the last millisecond would be spent in a busy loop.
            if left_s <= 0 or not poller.poll(int(left_s * 1000) + 1):
                return self._has_received(body)
        return True

    async def wait_for_async(self, body: bytes, timeout_s: float) -> bool:
        """Do what `wait_for` does without blocking the event loop."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        fds = [fd_of(socket) for socket in self._sockets]
        for fd in fds:
            loop.add_reader(fd, changed.set)
        try:
            async with asyncio.timeout(timeout_s):
                while not self._has_received(body):
                    # The FD only signals changes, and nothing but `_has_received` consumes them.
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            return self._has_received(body)
        finally:
            for fd in fds:
                loop.remove_reader(fd)
        return True

    def close(self) -> None:
        """Stop receiving. Does nothing in a forked child."""
        if self._context.exists_here():
            for socket in self._sockets:
                socket.close(linger=0)
            self._sockets.clear()
            self._context.term()

    def _has_received(self, body: bytes) -> bool:
        """Read all messages that have arrived; return whether `body` is among them."""
        wanted = self.topic + body
        found = False
        for socket in self._sockets:
            while True:
                try:
                    found |= socket.recv(zmq.NOBLOCK) == wanted
                except zmq.Again:
                    break
        return found
