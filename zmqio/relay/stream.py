"""One end of a WebSocket that is relayed between two nodes: messages in both directions, and the close.

WebSocket messages sent in the same iteration of the event loop leave as one `StreamData`. Knows the messages
between nodes; must not know ASGI.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from zmqio.engine.compact_sync import CompactEvent
from zmqio.exceptions import BusError, MessageTooLargeError, ProtocolError
from zmqio.protocol.relay_messages import RelayMessage, StreamClose, StreamCredit, StreamData
from zmqio.relay.flow_control import WINDOW_BYTES, FlowError, ReceiveWindow, SendWindow, frame_size

__all__ = ["DROP", "StreamEndpoint"]

DROP = 1006
"""Close code for "drop the connection": RFC 6455, section 7.4.1, forbids it in a Close frame."""
TOO_LARGE = 1009
BROKEN = 1011


class StreamEndpoint:
    """One end of a stream.

    Args:
        stream_id: the id that both nodes use.
        down: whether this end sends towards the client.
        send_message: sends a message to the node at the other end; raises BusError or ProtocolError.
        on_close: called once, when either end has closed. Messages received before may still be read by `receive`.

    Attributes:
        close_code: WebSocket close code; None while the stream is open.
        close_reason: reason of the close.
    """

    def __init__(
        self,
        stream_id: int,
        *,
        down: bool,
        send_message: Callable[[RelayMessage], None],
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self._id = stream_id
        self._down = down
        self._send_message = send_message
        self._on_close = on_close
        self._out = SendWindow(WINDOW_BYTES)
        self._in = ReceiveWindow(WINDOW_BYTES)
        self._inbox: deque[str | bytes] = deque()
        self._batch: list[str | bytes] = []
        self._batch_bytes = 0
        self._unconsumed_bytes = 0
        self._readable = CompactEvent()
        self._writable = CompactEvent()

    # For this node.

    def set_send_window(self, window_bytes: int) -> None:
        """Set the window that the other end has announced."""
        self._out.resize(window_bytes)

    async def send(self, frame: str | bytes) -> None:
        """Send one WebSocket message; wait while the send window is full.

        Raises:
            ConnectionError: the stream is closed.
        """
        while not self._out.is_open and self.close_code is None:
            self._writable.clear()
            await self._writable.wait()
        if self.close_code is not None:
            raise ConnectionError(self.close_reason)
        size = frame_size(frame)
        if self._batch_bytes + size > WINDOW_BYTES:
            self._flush()
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        self._batch.append(frame)
        self._batch_bytes += size
        self._out.add(size)

    async def receive(self) -> str | bytes | None:
        """Return the next WebSocket message, or None once the stream is closed.

        Each call also marks the previous message as consumed.
        """
        self._send_credit(self._unconsumed_bytes)
        self._unconsumed_bytes = 0
        while not self._inbox:
            if self.close_code is not None:
                return None
            self._readable.clear()
            await self._readable.wait()
        frame = self._inbox.popleft()
        self._unconsumed_bytes = frame_size(frame)
        return frame

    def close(self, code: int, reason: str = "") -> None:
        """Send what is queued, then close; does nothing on a closed stream."""
        if self.close_code is not None:
            return
        self._flush()
        if self.close_code is None:
            # An ASGI server may pass an enum as the code, and a client any text as the reason.
            close = StreamClose(self._id, self._down, int(code), reason.replace("\0", ""))
            self._set_closed(close.code, close.reason)
            self._try_send(close)

    def abort(self, reason: str) -> None:
        """Close without notifying the other end, whose node is unreachable."""
        if self.close_code is None:
            self._set_closed(BROKEN, reason)

    # For the other end.

    def received(self, message: StreamData | StreamCredit | StreamClose) -> None:
        """Handle a message from the other end."""
        if self.close_code is not None:
            return
        if isinstance(message, StreamCredit):
            self._out.acknowledge(message.taken_bytes)
            self._writable.set()
        elif isinstance(message, StreamClose):
            self._set_closed(message.code, message.reason)
        else:
            self._accept(message)

    def _accept(self, message: StreamData) -> None:
        try:
            if not self._in.accept(message.seq, [frame_size(frame) for frame in message.frames]):
                return
        except FlowError as error:
            self.close(BROKEN, str(error))
            return
        self._inbox.extend(message.frames)
        self._readable.set()

    def _send_credit(self, size_bytes: int) -> None:
        total = self._in.consume(size_bytes) if size_bytes else None
        if total is not None and self.close_code is None:
            self._try_send(StreamCredit(self._id, self._down, total))

    def _flush(self) -> None:
        frames, self._batch, self._batch_bytes = self._batch, [], 0
        if not frames or self.close_code is not None:
            return
        try:
            self._send_message(StreamData(self._id, self._down, self._out.next_seq(), tuple(frames)))
        except (BusError, ProtocolError) as error:
            code = TOO_LARGE if isinstance(error, MessageTooLargeError) else BROKEN
            self._set_closed(code, str(error))
            self._try_send(StreamClose(self._id, self._down, code, str(error)))

    def _try_send(self, message: RelayMessage) -> None:
        try:
            self._send_message(message)
        except (BusError, ProtocolError) as error:
            if self.close_code is None:
                self._set_closed(BROKEN, str(error))

    def _set_closed(self, code: int, reason: str) -> None:
        self.close_code, self.close_reason = code, reason
        if code == DROP and not self._down:
            self._inbox.clear()  # the client is not reading; the owner still gets what the client sent
        self._readable.set()
        self._writable.set()
        self._on_close()
