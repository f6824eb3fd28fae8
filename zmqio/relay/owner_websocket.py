"""A relayed WebSocket at the session's owner: the ASGI server of this one connection.

Knows ASGI and one end of a stream; must not know the bus or sessions.
"""

from collections.abc import Callable
from typing import Any

from zmqio.exceptions import BusError, ProtocolError
from zmqio.protocol.relay_messages import RelayMessage, StreamAccept, StreamOpen, StreamRefuse
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.scope import websocket_scope
from zmqio.relay.stream import DROP, StreamEndpoint

__all__ = ["OwnerWebSocket"]


class OwnerWebSocket:
    """One WebSocket.

    Args:
        message: the opening request from the ingress node.
        send_message: sends a message to the ingress node; raises BusError or ProtocolError.

    Attributes:
        scope: the ASGI scope.
        stream: this end of the stream.
    """

    def __init__(self, message: StreamOpen, send_message: Callable[[RelayMessage], None]) -> None:
        self.scope = websocket_scope(message, self)
        self.stream = StreamEndpoint(message.stream_id, down=True, send_message=send_message)
        self.stream.set_send_window(message.window_bytes)
        self._id = message.stream_id
        self._send_message = send_message
        self._was_opened = False
        self._was_answered = False
        self._status = 0

    async def receive(self) -> dict[str, Any]:
        """Return the connect event, then each message of the client, then the disconnect event."""
        if not self._was_opened:
            self._was_opened = True
            return {"type": "websocket.connect"}
        frame = await self.stream.receive()
        if frame is None:
            code, reason = self.stream.close_code, self.stream.close_reason
            return {"type": "websocket.disconnect", "code": code, "reason": reason}
        return {"type": "websocket.receive", "text" if isinstance(frame, str) else "bytes": frame}

    async def send(self, message: dict[str, Any]) -> None:
        """Send an ASGI event to the client; wait while the send window is full.

        Raises:
            ConnectionError: the event cannot be sent, or the stream is closed.
        """
        match message["type"]:
            case "websocket.send":
                text = message.get("text")
                await self.stream.send(text if text is not None else message["bytes"])
            case "websocket.close" if self._was_answered:
                self.stream.close(message.get("code", 1000), message.get("reason") or "")
            case "websocket.accept":
                self._answer(StreamAccept(self._id, WINDOW_BYTES))
            case "websocket.http.response.start":
                self._status = message["status"]
            case "websocket.http.response.body":
                self._answer(StreamRefuse(self._id, self._status, message["body"]))
            case _:
                self._answer(StreamRefuse(self._id, 403, b""))

    def finish(self) -> None:
        """Drop the client's connection if the application has returned without closing it."""
        self.stream.close(DROP, "owner node ended the WebSocket without a close")

    def _answer(self, message: StreamAccept | StreamRefuse) -> None:
        self._was_answered = True
        try:
            self._send_message(message)
        except (BusError, ProtocolError) as error:
            self.stream.abort(str(error))
            raise ConnectionError(str(error)) from error
