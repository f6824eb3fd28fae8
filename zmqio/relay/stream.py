"""One of the two ends of a WebSocket that goes through another node: messages in, messages out, and its close.

What is pushed in one turn of the loop leaves as one message. Knows the messages between nodes; must not know ASGI.
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
"""Code of a close that says: drop the connection. RFC 6455, section 7.4.1: never in a Close frame."""
TOO_LARGE = 1009
BROKEN = 1011


class StreamEndpoint:
    """One end.

    Args:
        stream_id: as both call it.
        down: whether this end sends towards the client.
        say: sends a message to the other end's node; raises BusError or ProtocolError.
        when_closed: called once, when either end has closed; what came before may still be there to `take`.

    Attributes:
        code: of the close, or None while it goes on.
        reason: of the close.
    """

    def __init__(
        self,
        stream_id: int,
        *,
        down: bool,
        say: Callable[[RelayMessage], None],
        when_closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.code: int | None = None
        self.reason = ""
        self._id = stream_id
        self._down = down
        self._say = say
        self._when_closed = when_closed
        self._out = SendWindow(WINDOW_BYTES)
        self._in = ReceiveWindow(WINDOW_BYTES)
        self._waiting: deque[str | bytes] = deque()
        self._batch: list[str | bytes] = []
        self._batch_bytes = 0
        self._owed_bytes = 0
        self._news = CompactEvent()
        self._room = CompactEvent()

    # For this side.

    def widen(self, window_bytes: int) -> None:
        """The other end says how much it takes."""
        self._out.widen(window_bytes)

    async def push(self, frame: str | bytes) -> None:
        """Send one message; waits while too much is under way.

        Raises:
            ConnectionError: the stream is closed.
        """
        while not self._out.is_open and self.code is None:
            self._room.clear()
            await self._room.wait()
        if self.code is not None:
            raise ConnectionError(self.reason)
        size = frame_size(frame)
        if self._batch_bytes + size > WINDOW_BYTES:
            self._flush()
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        self._batch.append(frame)
        self._batch_bytes += size
        self._out.add(size)

    async def take(self) -> str | bytes | None:
        """The next message; with this call the last one counts as handed on. None: the stream is closed."""
        self._credit(self._owed_bytes)
        self._owed_bytes = 0
        while not self._waiting:
            if self.code is not None:
                return None
            self._news.clear()
            await self._news.wait()
        frame = self._waiting.popleft()
        self._owed_bytes = frame_size(frame)
        return frame

    def close(self, code: int, reason: str = "") -> None:
        """Close behind what was pushed; does nothing if it is closed."""
        if self.code is not None:
            return
        self._flush()
        if self.code is None:
            # An ASGI server may give an enum, and a client any text.
            close = StreamClose(self._id, self._down, int(code), reason.replace("\0", ""))
            self._ended(close.code, close.reason)
            self._tell(close)

    # From the other end.

    def came(self, message: StreamData | StreamCredit | StreamClose) -> None:
        """The other end says something."""
        if self.code is not None:
            return
        if isinstance(message, StreamCredit):
            self._out.taken(message.taken_bytes)
            self._room.set()
        elif isinstance(message, StreamClose):
            self._ended(message.code, message.reason)
        else:
            self._accept(message)

    def cut(self, reason: str) -> None:
        """The other end's node is gone."""
        if self.code is None:
            self._ended(BROKEN, reason)

    def _accept(self, message: StreamData) -> None:
        try:
            if not self._in.accept(message.seq, [frame_size(frame) for frame in message.frames]):
                return
        except FlowError as error:
            self.close(BROKEN, str(error))
            return
        self._waiting.extend(message.frames)
        self._news.set()

    def _credit(self, size_bytes: int) -> None:
        total = self._in.take(size_bytes) if size_bytes else None
        if total is not None and self.code is None:
            self._tell(StreamCredit(self._id, self._down, total))

    def _flush(self) -> None:
        frames, self._batch, self._batch_bytes = self._batch, [], 0
        if not frames or self.code is not None:
            return
        try:
            self._say(StreamData(self._id, self._down, self._out.next_seq(), tuple(frames)))
        except (BusError, ProtocolError) as error:
            code = TOO_LARGE if isinstance(error, MessageTooLargeError) else BROKEN
            self._ended(code, str(error))
            self._tell(StreamClose(self._id, self._down, code, str(error)))

    def _tell(self, message: RelayMessage) -> None:
        try:
            self._say(message)
        except (BusError, ProtocolError) as error:
            if self.code is None:
                self._ended(BROKEN, str(error))

    def _ended(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason
        if code == DROP and not self._down:
            self._waiting.clear()  # the client does not take it; what it has sent itself is still good
        self._news.set()
        self._room.set()
        self._when_closed()
