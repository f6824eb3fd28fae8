"""A relayed polling request at the session's owner: the ASGI server of this one request.

Knows ASGI and the messages between nodes; must not know the bus.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.engine.http_exchange import ERROR_TYPE, SentAnswer, header_fields
from zmqio.exceptions import BusError, MessageTooLargeError, ProtocolError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpRequest, HttpResponse
from zmqio.relay.scope import http_scope, join_fields

__all__ = ["OwnerPoll", "too_large_for_bus"]

FAILED = Refusal(BAD_REQUEST.code, "Internal server error", 500)


class OwnerPoll:
    """One polling request, and the way back for its response. Implements `Relayed` for its exchange.

    Args:
        ingress: the node that the client has reached.
        message: the request from that node.
        send_response: sends the response to the ingress node; raises BusError or ProtocolError.
        keep: keeps the answer, with the size of its body in bytes, until its fate is known.

    Attributes:
        carrier: the ingress node.
        scope: the ASGI scope.
        client_gone: whether a disconnect means that the client has gone; otherwise the ingress node has.
        responded: whether the response has been sent.
    """

    def __init__(
        self,
        ingress: NodeId,
        message: HttpRequest,
        send_response: Callable[[HttpResponse], None],
        keep: Callable[[SentAnswer, int], None],
    ) -> None:
        self.carrier = ingress
        self.scope = http_scope(message, self)
        self.responded = False
        self._body_bytes = 0
        self._keep = keep
        self.client_gone = not message.whole
        self._message = message
        self._send_response = send_response
        self._was_read = False
        self._disconnected = asyncio.get_running_loop().create_future()
        self._start: dict[str, Any] = {}

    def on_settled(self, answer: SentAnswer) -> None:
        """Keep the answer until it is known whether it reached the client."""
        self._keep(answer, self._body_bytes)

    def cancel(self, *, client_gone: bool) -> None:
        """Report a disconnect to the application: of the client, or of the ingress node alone."""
        if not self._disconnected.done():
            self.client_gone = client_gone
            self._disconnected.set_result(None)

    async def receive(self) -> dict[str, Any]:
        """Return the body, then, once the client has disconnected, `http.disconnect`."""
        if not self._was_read:
            self._was_read = True
            return {"type": "http.request", "body": self._message.body, "more_body": not self._message.whole}
        if self._message.whole:
            # The engine may cancel this wait and call again, so the future must survive the cancellation.
            await asyncio.shield(self._disconnected)
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Accept the response: one start message, then one body message.

        Raises:
            ConnectionError: the response cannot be sent, or the client has disconnected.
        """
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._disconnected.done():
            raise ConnectionError("the client has disconnected")
        self._respond(self._start["status"], self._start["headers"], message["body"])

    def finish(self) -> None:
        """Send status 500 if the application has returned without a response to a client that still waits."""
        if not self.responded and self._message.whole and not self._disconnected.done():
            with suppress(ConnectionError):
                self._refuse(FAILED)

    def _respond(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        try:
            self._send_response(HttpResponse(self._message.request_id, status, join_fields(fields), body))
        except MessageTooLargeError as error:
            self._refuse(too_large_for_bus(error))
            raise ConnectionError(str(error)) from error
        except (BusError, ProtocolError) as error:
            raise ConnectionError(str(error)) from error
        self.responded = True
        self._body_bytes = len(body)

    def _refuse(self, refusal: Refusal) -> None:
        self._respond(refusal.status, header_fields(refusal.body, ERROR_TYPE, ()), refusal.body)


def too_large_for_bus(error: MessageTooLargeError) -> Refusal:
    """Return the response to a request whose body, or whose response, exceeds `max_message_bytes` of the bus."""
    message = f"Body over the limit of {error.limit_bytes} bytes for one message between nodes (max_message_bytes)"
    return Refusal(BAD_REQUEST.code, message, 413)
