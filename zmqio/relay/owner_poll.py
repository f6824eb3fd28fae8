"""A polling request that another node has passed on, at the owner of its session: what an ASGI server would be.

Knows ASGI and the messages between nodes; must not know the bus.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.engine.http_exchange import ERROR_TYPE, header_fields
from zmqio.exceptions import BusError, MessageTooLargeError, ProtocolError
from zmqio.protocol.relay_messages import HttpRequest, HttpResponse
from zmqio.relay.scope import http_scope, join_fields

__all__ = ["RelayedPoll", "bus_limit"]

FAILED = Refusal(BAD_REQUEST.code, "Internal server error", 500)


class RelayedPoll:
    """One request, and its answer on the way back. Is the `Relayed` of its exchange.

    Args:
        message: what the other node says.
        say: sends the answer to it.

    Attributes:
        scope: of ASGI.
        answered: whether the answer has left.
        body_bytes: size of its body.
        undo: takes the answer back, if it can be taken back.
    """

    def __init__(self, message: HttpRequest, say: Callable[[HttpResponse], None]) -> None:
        self.scope = http_scope(message, self)
        self.answered = False
        self.body_bytes = 0
        self.undo: Callable[[], None] | None = None
        self._message = message
        self._say = say
        self._was_read = False
        self._gone = asyncio.get_running_loop().create_future()
        self._head: dict[str, Any] = {}

    def may_come_back(self, undo: Callable[[], None]) -> None:
        """Remember how the answer is taken back."""
        self.undo = undo

    def cancel(self) -> None:
        """The client has gone before it was answered."""
        if not self._gone.done():
            self._gone.set_result(None)

    async def receive(self) -> dict[str, Any]:
        """The body, then nothing until the client has gone."""
        if not self._was_read:
            self._was_read = True
            return {"type": "http.request", "body": self._message.body, "more_body": not self._message.whole}
        if self._message.whole:
            # The engine may stop waiting for this, and come back: the future has to outlive its waiter.
            await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take the answer, which comes as a head and a body.

        Raises:
            ConnectionError: it cannot leave, or the client has gone.
        """
        if message["type"] == "http.response.start":
            self._head = message
            return
        if self._gone.done():
            raise ConnectionError("the client has gone")
        self._answer(self._head["status"], self._head["headers"], message["body"])

    def finish(self) -> None:
        """The application has returned; if it has not answered a client that is still there, it has failed."""
        if not self.answered and self._message.whole and not self._gone.done():
            with suppress(ConnectionError):
                self._refuse(FAILED)

    def _answer(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        try:
            self._say(HttpResponse(self._message.request_id, status, join_fields(fields), body))
        except MessageTooLargeError as error:
            self._refuse(bus_limit(error))
            raise ConnectionError(str(error)) from error
        except (BusError, ProtocolError) as error:
            raise ConnectionError(str(error)) from error
        self.answered = True
        self.body_bytes = len(body)

    def _refuse(self, refusal: Refusal) -> None:
        self._answer(refusal.status, header_fields(refusal.body, ERROR_TYPE, ()), refusal.body)


def bus_limit(error: MessageTooLargeError) -> Refusal:
    """What to answer when a body does not fit into a message on the bus."""
    message = f"Body over the limit of {error.limit_bytes} bytes for one message between nodes (max_message_bytes)"
    return Refusal(BAD_REQUEST.code, message, 413)
