"""A WebSocket that another node has passed on, at the owner of its session: what an ASGI server would be.

Knows ASGI and one end of a stream; must not know the bus or sessions.
"""

from collections.abc import Callable
from typing import Any

from zmqio.exceptions import BusError, ProtocolError
from zmqio.protocol.relay_messages import RelayMessage, StreamAccept, StreamOpen, StreamRefuse
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.scope import websocket_scope
from zmqio.relay.stream import DROP, StreamEndpoint

__all__ = ["RelayedWebSocket"]


class RelayedWebSocket:
    """One WebSocket.

    Args:
        message: what the other node says.
        say: sends to it; raises BusError or ProtocolError.

    Attributes:
        scope: of ASGI.
        end: this end of the stream.
    """

    def __init__(self, message: StreamOpen, say: Callable[[RelayMessage], None]) -> None:
        self.scope = websocket_scope(message, self)
        self.end = StreamEndpoint(message.stream_id, down=True, say=say)
        self.end.widen(message.window_bytes)
        self._id = message.stream_id
        self._say = say
        self._was_opened = False
        self._was_answered = False
        self._status = 0

    async def receive(self) -> dict[str, Any]:
        """The opening, then what the client sends, then its close."""
        if not self._was_opened:
            self._was_opened = True
            return {"type": "websocket.connect"}
        frame = await self.end.take()
        if frame is None:
            return {"type": "websocket.disconnect", "code": self.end.code, "reason": self.end.reason}
        return {"type": "websocket.receive", "text" if isinstance(frame, str) else "bytes": frame}

    async def send(self, message: dict[str, Any]) -> None:
        """Take what goes to the client; waits while too much is under way to it.

        Raises:
            ConnectionError: it cannot leave, or the stream is closed.
        """
        match message["type"]:
            case "websocket.send":
                text = message.get("text")
                await self.end.push(text if text is not None else message["bytes"])
            case "websocket.close" if self._was_answered:
                self.end.close(message.get("code", 1000), message.get("reason") or "")
            case "websocket.accept":
                self._answer(StreamAccept(self._id, WINDOW_BYTES))
            case "websocket.http.response.start":
                self._status = message["status"]
            case "websocket.http.response.body":
                self._answer(StreamRefuse(self._id, self._status, message["body"]))
            case _:
                self._answer(StreamRefuse(self._id, 403, b""))

    def finish(self) -> None:
        """The application has returned; one that did not close wants the connection to be dropped."""
        self.end.close(DROP, "the session's node has let it go")

    def _answer(self, message: StreamAccept | StreamRefuse) -> None:
        self._was_answered = True
        try:
            self._say(message)
        except (BusError, ProtocolError) as error:
            self.end.cut(str(error))
            raise ConnectionError(str(error)) from error
