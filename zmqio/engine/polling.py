"""The polling transport of one session: at most one GET that takes packets, and at most one POST being read.

Knows its session and HTTP exchanges; must not know other sessions.

Source: Engine.IO protocol v4, "HTTP long-polling". Requests are refused as engine.io 6 (`Polling`) does.
"""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping

from zmqio.config import EngineOptions
from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.engine.http_exchange import AnswerFate, Exchange, Headers, accepted_encoding, compress
from zmqio.engine.long_poll import LongPollWaiter
from zmqio.engine.packets import CLOSE, NOOP, SEPARATOR, Prepared, decode_payload
from zmqio.engine.relayed_answer import RelayedAnswer
from zmqio.engine.request_body import (
    DISPLACED,
    BodyTimeoutError,
    BodyTooLargeError,
    ClientGoneError,
    RequestBody,
    too_large,
    too_slow,
)
from zmqio.engine.session import Session
from zmqio.exceptions import PacketError

__all__ = ["PollingTransport"]

# Seconds that a poll may wait after a probe before a noop ends it; an upgrade that follows at once needs no noop.
# engine.io 6 (`_maybeUpgrade`: `setInterval(check, 100)`) takes up to 100 ms, for which the client waits; frames
# that have already arrived need no more than a turn of the loop.
UPGRADING_POLL_S = 0.03

_SEPARATOR_BYTES = SEPARATOR.encode()

COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


class _WaitingPoll(LongPollWaiter):
    """A GET that waits.

    Attributes:
        carrier: the node that forwarded it; None if the client reached this node.
        replaced: whether a later GET takes the packets.
    """

    __slots__ = ("carrier", "replaced")

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.carrier = None if exchange.relayed is None else exchange.relayed.carrier
        self.replaced = False

    def replace(self, later: "_WaitingPoll") -> bool:
        """End the wait without packets if a later GET may replace this one; otherwise return False.

        A proxy repeats a GET through another node if the first node does not respond.
        """
        if self.carrier is None or self.carrier == later.carrier:
            return False
        self.replaced = True
        self.release()
        return True


class PollingTransport:
    """Sends packets in the answers to GETs and receives them in the bodies of POSTs.

    Args:
        session: the session that it serves.
        options: limits and compression.
    """

    __slots__ = ("_close_is_due", "_forced_answer", "_options", "_session", "_unsettled", "_waiter")

    def __init__(self, session: Session, options: EngineOptions) -> None:
        self._session = session
        self._options = options
        self._waiter: _WaitingPoll | None = None
        self._unsettled: RelayedAnswer | None = None
        self._close_is_due = False
        self._forced_answer: Prepared | Refusal | None = None

    @property
    def ready(self) -> bool:
        """Whether a GET is waiting."""
        return self._waiter is not None

    @property
    def empty(self) -> bool:
        """Always True: packets wait in the session's send buffer."""
        return True

    def offer(self, prepared: Prepared) -> bool:
        """Always False: packets go through the send buffer, from which a GET takes as many as fit."""
        return False

    def flush(self) -> None:
        """Let a waiting GET take the buffered packets, unless it is unknown whether the last answer arrived."""
        if self._waiter is not None and self._unsettled is None:
            self._waiter.release()

    def begin_close(self) -> None:
        """Answer the last poll with a CLOSE packet, alone in its body.

        In one body with messages it would overtake them: the JavaScript client delivers messages in its next turn,
        but closes at once. It would report `transport close`, not the `io server disconnect` of DISCONNECT.
        """
        if self._session.buffered:
            self._close_is_due = True
        else:
            self._session.append(CLOSE)

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """Answer a waiting GET with `farewell`."""
        self._answer_waiting(farewell)

    def end_poll(self) -> None:
        """Answer a waiting GET with a noop, so that the client can move to its new transport."""
        self._answer_waiting(NOOP)

    def end_poll_after_probe(self) -> None:
        """End a waiting GET soon after a probe, unless the upgrade ends it first."""
        asyncio.get_running_loop().call_later(UPGRADING_POLL_S, self.end_poll)

    def refuse_poll(self) -> None:
        """Refuse a waiting GET: the session has left polling."""
        self._answer_waiting(BAD_REQUEST)

    async def get(self, exchange: Exchange, headers: Headers = ()) -> None:
        """Answer one GET as soon as packets are buffered.

        If the client disconnects first, the session ends. If only the node that relays the GET leaves, the packets
        stay for the client's next GET. A second GET at the same time ends the session, except that a GET replaces
        one that another node relays: a proxy may have repeated it. While it is unknown whether the last answer
        arrived, the GET waits.
        """
        if self._unsettled is not None:
            self._settle_by(exchange.request.query, self._unsettled)
            if self._session.closed:
                await exchange.refuse(BAD_REQUEST)
                return
        waiter = _WaitingPoll(exchange)
        if self._waiter is not None and not self._waiter.replace(waiter):
            self._session.end("transport error")  # "overlap from client"
            await exchange.refuse(BAD_REQUEST)
            return
        self._waiter = waiter
        self._forced_answer = None
        timer = self._start_wait(waiter)
        try:
            connected = await waiter.wait(exchange.receive)
            if waiter.replaced:
                await exchange.answer_text(NOOP.polling)
            elif connected:
                await self._answer_get(waiter, exchange, headers)
            else:
                self._disconnected(exchange)
        finally:
            if self._waiter is waiter:
                self._waiter = None
            if timer is not None:
                timer.cancel()

    def _settle_by(self, query: str, answer: RelayedAnswer) -> None:
        """Take back the last answer if this GET repeats its GET; end the session if its fate stays unknown."""
        if answer.is_repeated_by(query):
            self._answer_settled(answer, AnswerFate.RETURNED)
        elif answer.carrier_lost:
            self._session.end("transport error")

    def _answer_settled(self, answer: RelayedAnswer, fate: AnswerFate) -> None:
        """Continue after a relayed answer whose fate is known."""
        if self._unsettled is not answer:
            return
        is_current = self._session.transport is self
        if fate is AnswerFate.CARRIER_LOST and is_current and self._waiter is None:
            answer.carrier_lost = True  # the client's next GET decides
            return
        self._unsettled = None
        if fate is AnswerFate.CLIENT_GONE and is_current:
            self._session.end("transport close")
        elif fate is AnswerFate.RETURNED and is_current and answer.packets is not None:
            self._session.put_back(answer.packets)
        elif fate is not AnswerFate.DELIVERED:
            self._session.end("transport error")
        elif self._session.buffered:
            self.flush()

    async def post(self, exchange: Exchange) -> None:
        """Handle the packets of one POST in order, and answer when all are handled.

        A second POST at the same time ends the session; so does an incomplete, slow or malformed body. A body over
        `max_payload_bytes` is dropped and answered with 413. The end of the session ends the reading.
        """
        session = self._session
        if (
            session.abort_post is not None
            or exchange.request.headers.get("content-type") == "application/octet-stream"
        ):
            session.end("transport error")  # "data request overlap from client", "invalid content"
            await exchange.refuse(BAD_REQUEST)
            return
        body = RequestBody(self._options)
        session.abort_post = body.abort
        try:
            refusal = await self._receive_packets(body, exchange)
        except ClientGoneError:
            session.end("transport error")  # "data request connection closed prematurely"
            return
        finally:
            session.abort_post = None
        await (exchange.answer_ok() if refusal is None else exchange.refuse(refusal))

    async def _receive_packets(self, body: RequestBody, exchange: Exchange) -> Refusal | None:
        session, options = self._session, self._options
        try:
            packets = await body.read(exchange)
        except BodyTooLargeError:
            limit = options.max_payload_bytes
            session.notices.info("payload_rejected", sid=session.sid, limit=limit, option="max_payload_bytes")
            return too_large(options)
        except BodyTimeoutError:
            if session.closed:
                return BAD_REQUEST
            session.body_ended_early(displaced=body.displaced)
            return DISPLACED if body.displaced else too_slow(options)
        return None if await self._handle_packets(packets) else BAD_REQUEST

    def _start_wait(self, waiter: LongPollWaiter) -> asyncio.TimerHandle | None:
        if self._session.buffered and self._unsettled is None:
            waiter.release()
        elif self._session.upgrading:
            return asyncio.get_running_loop().call_later(UPGRADING_POLL_S, self.end_poll)
        return None

    def _answer_waiting(self, answer: Prepared | Refusal) -> None:
        if self._waiter is not None:
            self._forced_answer = answer
            self._waiter.release()

    async def _answer_get(self, waiter: _WaitingPoll, exchange: Exchange, headers: Headers) -> None:
        taken = self._session.take_for_poll() if self._unsettled is None else []
        if not taken and isinstance(self._forced_answer, Refusal):
            await exchange.refuse(self._forced_answer)
            return
        answer = None
        if exchange.relayed is not None and taken:
            answer = self._unsettled = RelayedAnswer(taken, exchange.request.query, self._answer_settled)
        try:
            body = self._body(taken)
            encoding = self._encoding_for(body, exchange)
            if encoding is not None:
                body, more = await compress(body, encoding, COMPRESSORS[encoding])
                headers = (*headers, *more)
            if self._waiter is waiter:
                self._waiter = None  # the client may poll again once it has the body
            await exchange.answer_text(body, headers)
        except (OSError, asyncio.CancelledError) as error:
            self._unsettled = None if answer is not None else self._unsettled
            self._session.put_back(taken)
            if isinstance(error, OSError):
                self._disconnected(exchange)
            raise
        self._answered()
        if answer is not None and exchange.relayed is not None:
            exchange.relayed.on_settled(answer)

    def _disconnected(self, exchange: Exchange) -> None:
        """End the session if the client of a GET has gone; official clients never continue such a session."""
        if (exchange.relayed is None or exchange.relayed.client_gone) and self._session.transport is self:
            self._session.end("transport close")

    def _body(self, taken: list[Prepared]) -> bytes:
        pieces = taken or [self._forced_answer if isinstance(self._forced_answer, Prepared) else NOOP]
        return _SEPARATOR_BYTES.join([piece.polling for piece in pieces])

    def _answered(self) -> None:
        if self._close_is_due and not self._session.buffered:
            self._close_is_due = False
            self._session.append(CLOSE)
        self._session.drained()

    def _encoding_for(self, body: bytes, exchange: Exchange) -> str | None:
        options = self._options
        if not options.http_compression or len(body) < options.compression_threshold_bytes:
            return None
        return accepted_encoding(exchange.request.headers.get("accept-encoding", ""), tuple(COMPRESSORS))

    async def _handle_packets(self, body: bytes) -> bool:
        try:
            for packet in decode_payload(body.decode(), self._options.max_payload_packets):
                pending = self._session.received(packet)
                if pending is not None:
                    await self._session.await_handled(pending)
        except (PacketError, UnicodeDecodeError) as error:
            self._session.notices.info("payload_rejected", sid=self._session.sid, error=str(error))
            self._session.end("parse error")
            return False
        return True
