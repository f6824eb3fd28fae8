"""`AsyncEmitter`: publishes from an asyncio program that is not a node."""

import asyncio
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Self

from zmqio.buses import make_async_sender
from zmqio.config import DEFAULT_ADDRESS, BusOptions
from zmqio.emitter.frames import RequestFrames
from zmqio.emitter.operator import BroadcastOperator, Sending
from zmqio.emitter.senders import AsyncSender
from zmqio.protocol.publish import PublishRequest

if TYPE_CHECKING:
    from zmqio.zeromq.curve import Curve

__all__ = ["AsyncEmitter"]

DEFAULTS = BusOptions()


class AsyncEmitter(BroadcastOperator[Sending]):
    """Publishes to clients of every node without blocking the event loop. Connects on the first `emit`.

        async with zmqio.AsyncEmitter("tcp://127.0.0.1:5555") as emitter:
            await emitter.to("lobby").emit("news", {"text": "from a service"})

    Belongs to the event loop of its first `emit`; on another loop its methods raise RuntimeError. Requests are
    sent in order and at most once, as by `Emitter`; `flush` confirms that a broker has them.

    The arguments are those of `Emitter`.

    Raises:
        ConfigError: an option is invalid.
        TopicError, PacketError: the namespace is invalid.
    """

    __slots__ = ("_connection",)

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        namespace: str = "/",
        prefix: str = DEFAULTS.prefix,
        send_timeout_s: float = 2.0,
        close_timeout_s: float = 2.0,
        queue_messages: int = DEFAULTS.publish_queue_messages,
        max_message_bytes: int = DEFAULTS.max_message_bytes,
        curve: "Curve | None" = None,
    ) -> None:
        options = BusOptions(prefix, publish_queue_messages=queue_messages, max_message_bytes=max_message_bytes)
        sender = make_async_sender(
            address,
            curve=curve,
            send_timeout_s=send_timeout_s,
            close_timeout_s=close_timeout_s,
            queue_messages=queue_messages,
        )
        self._connection = _AsyncEmitterConnection(sender, options, send_timeout_s)
        super().__init__(self._connection.send, PublishRequest())
        self._request = self.of(namespace)._request

    @property
    def source(self) -> str:
        """Identifies this emitter to nodes."""
        return self._connection.frames.source

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until a broker has accepted all requests emitted before this call.

        Limits as for `Emitter.flush`.

        Args:
            timeout: seconds to wait, also for a broker to connect; None means `send_timeout_s`.

        Raises:
            BusUnavailableError: no broker was connected within `send_timeout_s`.
            RequestTimeoutError: no broker confirmed within `timeout`.
        """
        await self._connection.flush(timeout)

    async def close(self) -> None:
        """Wait until queued requests are sent, at most `close_timeout_s`. A later `emit` connects again."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _AsyncEmitterConnection:
    """The connection of an `AsyncEmitter`. Operators share it; it closes when the last of them is collected."""

    def __init__(self, sender: AsyncSender, options: BusOptions, send_timeout_s: float) -> None:
        self.frames = RequestFrames(options.prefix, options.max_message_bytes)
        self._sender = sender
        self._send_timeout_s = send_timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        # Keeps the sender alive: its sockets must not be collected while messages are queued in them.
        weakref.finalize(self, sender.close_sync)

    async def send(self, request: PublishRequest) -> None:
        self._check_loop()
        frame = self.frames.make(request)
        if frame is not None:
            await self._sender.send(frame)

    async def flush(self, timeout: float | None) -> None:
        self._check_loop()
        await self._sender.flush(self._send_timeout_s if timeout is None else timeout)

    async def close(self) -> None:
        self._check_loop()
        await self._sender.close()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError(
                "AsyncEmitter belongs to the event loop that used it first, which is not this one; create one for "
                "each loop, or use zmqio.Emitter, which works on any thread"
            )
