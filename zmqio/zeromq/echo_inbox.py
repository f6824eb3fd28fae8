"""A SUB socket on one topic at one or more brokers, for senders that want to hear their own message come back.

Not the receiving half of a node (`zmq_subscriber` is): nothing is awaited but one body at a time, and what else
arrives is thrown away.

Queue and policy: ZeroMQ's default of 1,000 messages; beyond it the broker drops.
"""

import asyncio
import time
from collections.abc import Sequence

import zmq

from zmqio.zeromq.context import ProcessContext, SyncSocket
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.socket_options import set_link_options

__all__ = ["EchoInbox"]


class EchoInbox:
    """Subscribed to one topic at every broker. Not thread-safe; in a forked child make another.

    The subscription takes effect some time after this returns: a message that must be seen is sent again until
    it is.

    Args:
        addresses: base address of each broker.
        topic: what is subscribed to.
    """

    def __init__(self, addresses: Sequence[str], topic: bytes) -> None:
        self.topic = topic
        self._context = ProcessContext()
        self._sockets: list[SyncSocket] = []
        for address in addresses:
            endpoint = endpoints_of(address).subscribe
            socket = self._context.get().socket(zmq.SUB)
            set_link_options(socket, endpoint)
            socket.setsockopt(zmq.SUBSCRIBE, topic)
            socket.connect(endpoint)
            self._sockets.append(socket)

    def wait_for(self, body: bytes, timeout_s: float) -> bool:
        """Wait until `body` comes from any broker; False when it has not after `timeout_s` seconds."""
        poller = zmq.Poller()
        for socket in self._sockets:
            poller.register(socket, zmq.POLLIN)
        ends_at_s = time.monotonic() + timeout_s
        while not self._take(body):
            left_s = ends_at_s - time.monotonic()
            # Rounded up, or the last millisecond would be spent in a busy loop.
            if left_s <= 0 or not poller.poll(int(left_s * 1000) + 1):
                return self._take(body)
        return True

    async def wait_for_async(self, body: bytes, timeout_s: float) -> bool:
        """Do what `wait_for` does without blocking the event loop."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        fds = [int(socket.getsockopt(zmq.FD)) for socket in self._sockets]
        for fd in fds:
            loop.add_reader(fd, changed.set)
        try:
            async with asyncio.timeout(timeout_s):
                while not self._take(body):
                    # The FD tells of changes only: whoever has read EVENTS meanwhile has taken none from us.
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            return self._take(body)
        finally:
            for fd in fds:
                loop.remove_reader(fd)
        return True

    def close(self) -> None:
        """Stop; does nothing in a forked child."""
        if self._context.is_here():
            for socket in self._sockets:
                socket.close(linger=0)
            self._sockets.clear()
            self._context.term()

    def _take(self, body: bytes) -> bool:
        wanted = self.topic + body
        found = False
        for socket in self._sockets:
            while True:
                try:
                    found |= socket.recv(zmq.NOBLOCK) == wanted
                except zmq.Again:
                    break
        return found
