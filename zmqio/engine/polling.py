"""The polling transport of one session: at most one GET at rest, at most one POST being read.

Knows its session and HTTP exchanges; must not know who else is connected.

Source: Engine.IO protocol v4, "HTTP long-polling"; what is refused how is engine.io 6's `Polling`.
"""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from zmqio.config import EngineOptions
from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.engine.http_exchange import (
    BodyTooLargeError,
    ClientGoneError,
    Exchange,
    Headers,
    accepted_encoding,
    compress,
)
from zmqio.engine.long_poll import LongPollWaiter
from zmqio.engine.packets import CLOSE, NOOP, SEPARATOR, Prepared, decode_payload
from zmqio.engine.session import Session
from zmqio.exceptions import PacketError

__all__ = ["PollingTransport"]

# How long a poll rests after a probe before it is ended with a noop: the upgrade may be right behind, and the poll
# is one too many then. engine.io 6 (`_maybeUpgrade`: `setInterval(check, 100)`) takes up to 100 ms, and the client
# waits for it; frames that are here already need no more than a turn of the loop.
UPGRADING_POLL_S = 0.03

_SEPARATOR_BYTES = SEPARATOR.encode()

COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


class PollingTransport:
    """Packets leave in the answers to GETs, and come in the bodies of POSTs.

    Args:
        session: whose transport it is.
        options: limits and compression.
    """

    __slots__ = ("_answers", "_close_is_due", "_options", "_posting", "_session", "_verdict", "_waiter")

    def __init__(self, session: Session, options: EngineOptions) -> None:
        self._session = session
        self._options = options
        self._waiter: LongPollWaiter | None = None
        self._posting = False
        self._answers = 0
        self._close_is_due = False
        self._verdict: Prepared | Refusal | None = None

    @property
    def ready(self) -> bool:
        """Whether a GET is waiting."""
        return self._waiter is not None

    @property
    def empty(self) -> bool:
        """True: what waits for a GET is in the session's buffer."""
        return True

    def offer(self, prepared: Prepared) -> bool:
        """False: everything goes through the buffer, from where a GET takes as much as fits."""
        return False

    def flush(self) -> None:
        """Let a waiting GET take what there is."""
        if self._waiter is not None:
            self._waiter.release()

    def begin_close(self) -> None:
        """Answer the last poll with a CLOSE packet, alone in its body.

        In one body with what waits it would come first: the JavaScript client hands messages on in its next turn,
        but closes at once (and would say `transport close` where a DISCONNECT packet says `io server disconnect`).
        """
        if self._session.buffered:
            self._close_is_due = True
        else:
            self._session.append(CLOSE)

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """Answer a waiting GET with `farewell`."""
        self._release_with(farewell)

    def end_poll(self) -> None:
        """End a waiting GET with a noop, so that the client can move on to its new transport."""
        self._release_with(NOOP)

    def end_poll_after_probe(self) -> None:
        """A probe has come: end a waiting GET in a moment, if the upgrade does not come first."""
        asyncio.get_running_loop().call_later(UPGRADING_POLL_S, self.end_poll)

    def refuse_poll(self) -> None:
        """The session has left polling: refuse a GET that is still waiting."""
        self._release_with(BAD_REQUEST)

    async def get(self, exchange: Exchange, headers: Headers = ()) -> None:
        """Answer one GET as soon as something waits for the client.

        Packets of a client that goes away meanwhile stay for its next GET. A second GET at the same time ends
        the session.
        """
        if self._waiter is not None:
            self._session.end("transport error")  # "overlap from client"
            await exchange.refuse(BAD_REQUEST)
            return
        waiter = self._waiter = LongPollWaiter()
        self._verdict = None
        timer = self._begin_to_wait(waiter)
        try:
            if await waiter.wait(exchange.receive):
                await self._answer_get(exchange, headers)
        finally:
            if self._waiter is waiter:
                self._waiter = None
            if timer is not None:
                timer.cancel()

    async def post(self, exchange: Exchange) -> None:
        """Take the packets of one POST, in order, and answer when all are accepted.

        Two POSTs at the same time, a body that breaks off and a malformed one end the session; one over
        `max_payload_bytes` is answered with 413 and dropped.
        """
        if self._posting or exchange.request.headers.get("content-type") == "application/octet-stream":
            self._session.end("transport error")  # "data request overlap from client", "invalid content"
            await exchange.refuse(BAD_REQUEST)
            return
        self._posting = True
        try:
            body = await exchange.read_body(self._options.max_payload_bytes)
            accepted = await self._take_packets(body)
        except BodyTooLargeError:
            await self._refuse_too_large(exchange)
            return
        except ClientGoneError:
            self._session.end("transport error")  # "data request connection closed prematurely"
            return
        finally:
            self._posting = False
        await (exchange.answer_ok() if accepted else exchange.refuse(BAD_REQUEST))

    def _begin_to_wait(self, waiter: LongPollWaiter) -> asyncio.TimerHandle | None:
        if self._session.buffered:
            waiter.release()
        elif self._session.upgrading:
            return asyncio.get_running_loop().call_later(UPGRADING_POLL_S, self.end_poll)
        return None

    def _release_with(self, verdict: Prepared | Refusal) -> None:
        if self._waiter is not None:
            self._verdict = verdict
            self._waiter.release()

    async def _answer_get(self, exchange: Exchange, headers: Headers) -> None:
        taken = self._session.take_for_poll()
        if not taken and isinstance(self._verdict, Refusal):
            await exchange.refuse(self._verdict)
            return
        try:
            body, more = await self._encode(exchange, self._body(taken))
            self._waiter = None  # the client may poll again as soon as it has the body
            await exchange.answer_text(body, (*headers, *more))
        except (OSError, asyncio.CancelledError):
            self._session.put_back(taken)
            raise
        self._was_answered()
        if exchange.relayed is not None and taken:
            exchange.relayed.on_undelivered(partial(self._take_back, taken, self._answers))

    def _take_back(self, taken: list[Prepared], answers: int) -> None:
        """An answer did not reach the client: put its packets back, if nothing has overtaken them."""
        if answers == self._answers and self._session.transport is self:
            self._session.put_back(taken)

    def _body(self, taken: list[Prepared]) -> bytes:
        pieces = taken or [self._verdict if isinstance(self._verdict, Prepared) else NOOP]
        return _SEPARATOR_BYTES.join([piece.polling for piece in pieces])

    def _was_answered(self) -> None:
        self._answers += 1
        if self._close_is_due and not self._session.buffered:
            self._close_is_due = False
            self._session.append(CLOSE)
        self._session.drained()

    async def _encode(self, exchange: Exchange, body: bytes) -> tuple[bytes, Headers]:
        encoding = self._encoding_for(body, exchange.request.headers.get("accept-encoding", ""))
        return (body, ()) if encoding is None else await compress(body, encoding, COMPRESSORS[encoding])

    def _encoding_for(self, body: bytes, encodings: str) -> str | None:
        options = self._options
        if not options.http_compression or len(body) < options.compression_threshold_bytes:
            return None
        return accepted_encoding(encodings, tuple(COMPRESSORS))

    async def _take_packets(self, body: bytes) -> bool:
        try:
            for packet in decode_payload(body.decode(), self._options.max_payload_packets):
                pending = self._session.received(packet)
                if pending is not None:
                    await self._session.await_handled(pending)
        except (PacketError, UnicodeDecodeError) as error:
            self._session.notices.info("payload_malformed", sid=self._session.sid, error=str(error))
            self._session.end("parse error")
            return False
        return True

    async def _refuse_too_large(self, exchange: Exchange) -> None:
        limit = self._options.max_payload_bytes
        session = self._session
        session.notices.info("payload_too_large", sid=session.sid, limit=limit, option="max_payload_bytes")
        message = f"Request body over {limit} bytes (max_payload_bytes)"
        await exchange.refuse(Refusal(BAD_REQUEST.code, message, 413))
