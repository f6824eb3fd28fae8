"""Both ends of a stream, connected to each other, or one end with a simulated other end."""

import asyncio
from collections.abc import Callable

import pytest
from websockets.frames import CloseCode

from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.ids import NodeId
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import Envelope, MessageId
from zmqio.protocol.relay_messages import RelayMessage, StreamClose, StreamCredit, StreamData
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.stream import DROP, StreamEndpoint

HALF = b"x" * (WINDOW_BYTES // 2)


class Line:
    """Records each message of one end and delivers it to the other in the next loop iteration."""

    def __init__(self, *, limit_bytes: int = 1 << 30) -> None:
        self.sent: list[RelayMessage] = []
        self.is_down = False
        self._limit_bytes = limit_bytes
        self.down = StreamEndpoint(1, down=True, send_message=lambda message: self._send(message, lambda: self.up))
        self.up = StreamEndpoint(
            1, down=False, send_message=lambda message: self._send(message, lambda: self.down)
        )

    def of(self, kind: type[RelayMessage]) -> list[RelayMessage]:
        return [message for message in self.sent if isinstance(message, kind)]

    def _send(self, message: RelayMessage, other: Callable[[], StreamEndpoint]) -> None:
        if self.is_down:
            raise BusUnavailableError("no broker")
        if isinstance(message, StreamData) and sum(map(len, message.frames)) > self._limit_bytes:
            raise MessageTooLargeError(sum(map(len, message.frames)), self._limit_bytes)
        encode(Envelope(MessageId(NodeId("node"), 1, 0), message))
        self.sent.append(message)
        assert isinstance(message, StreamData | StreamCredit | StreamClose)
        asyncio.get_running_loop().call_soon(other().received, message)


async def receive(end: StreamEndpoint) -> str | bytes | None:
    return await asyncio.wait_for(end.receive(), LIMIT_S)


async def test_messages_keep_their_order_in_both_directions() -> None:
    line = Line()
    for number in range(5):
        await line.down.send(f"down {number}")
        await line.up.send(b"%d" % number)
        await asyncio.sleep(0)
    assert [await receive(line.up) for _ in range(5)] == [f"down {number}" for number in range(5)]
    assert [await receive(line.down) for _ in range(5)] == [b"%d" % number for number in range(5)]


async def test_messages_of_one_loop_iteration_leave_together() -> None:
    line = Line()
    for frame in ("a", b"b", "c"):
        await line.down.send(frame)
    assert await receive(line.up) == "a"
    assert line.sent == [StreamData(1, True, 0, ("a", b"b", "c"))]


async def test_send_waits_for_credit() -> None:
    line = Line()
    await line.down.send(HALF)
    await line.down.send(HALF)
    third = asyncio.create_task(line.down.send("third"))
    assert await receive(line.up) == HALF
    assert not third.done()
    assert await receive(line.up) == HALF  # which marks the first as consumed
    await asyncio.wait_for(third, LIMIT_S)
    assert line.of(StreamCredit) == [StreamCredit(1, False, len(HALF))]
    assert await receive(line.up) == "third"


async def test_message_larger_than_the_window_is_sent_alone() -> None:
    line = Line()
    await line.down.send("small")
    await line.down.send(HALF * 3)
    assert await receive(line.up) == "small"
    assert await receive(line.up) == HALF * 3
    assert [len(message.frames) for message in line.of(StreamData)] == [1, 1]  # type: ignore[union-attr]


async def test_close_follows_the_messages_sent_before() -> None:
    line = Line()
    await line.down.send("last")
    line.down.close(1000, "bye")
    line.down.close(1001)
    assert await receive(line.up) == "last"
    assert await receive(line.up) is None
    assert await receive(line.up) is None
    assert (line.up.close_code, line.up.close_reason) == (1000, "bye")
    assert line.sent == [StreamData(1, True, 0, ("last",)), StreamClose(1, True, 1000, "bye")]
    for end in (line.down, line.up):
        with pytest.raises(ConnectionError):
            await end.send("too late")


async def test_any_code_or_reason_of_a_close_can_be_sent() -> None:
    line = Line()
    line.down.close(CloseCode.NORMAL_CLOSURE, "a\0b")
    assert line.sent == [StreamClose(1, True, 1000, "ab")]


async def test_both_ends_may_close_at_the_same_time() -> None:
    line = Line()
    line.down.close(1000)
    line.up.close(1001)
    await asyncio.sleep(0)
    assert (line.down.close_code, line.up.close_code) == (1000, 1001)
    assert len(line.sent) == 2


async def test_close_wakes_waiters_at_both_ends() -> None:
    line = Line()
    await line.down.send(HALF * 2)
    pushing = asyncio.create_task(line.down.send("never"))
    taking = asyncio.create_task(line.down.receive())
    await asyncio.sleep(0)
    line.up.close(1001)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(pushing, LIMIT_S)
    assert await asyncio.wait_for(taking, LIMIT_S) is None


async def test_drop_towards_the_client_discards_queued_messages() -> None:
    line = Line()
    await line.down.send("the client does not take it")
    line.down.close(DROP)
    await wait_until(lambda: line.up.close_code is not None, "the close")
    assert await receive(line.up) is None


async def test_last_messages_of_a_dropped_client_are_received() -> None:
    line = Line()
    await line.up.send("last words")
    line.up.close(DROP)
    assert await receive(line.down) == "last words"
    assert await receive(line.down) is None


async def test_missing_message_closes_the_stream_at_both_ends() -> None:
    line = Line()
    line.up.received(StreamData(1, True, 1, ("second",)))
    assert line.up.close_code == 1011
    await wait_until(lambda: line.down.close_code == 1011, "the other end")
    assert line.down.close_reason == "message 0 of the stream is missing"


async def test_duplicate_message_is_ignored() -> None:
    line = Line()
    for _ in range(2):
        line.up.received(StreamData(1, True, 0, ("once",)))
    line.up.received(StreamClose(1, True, 1000, ""))
    assert [await receive(line.up), await receive(line.up)] == ["once", None]


async def test_message_over_the_bus_limit_closes_with_1009() -> None:
    line = Line(limit_bytes=10)
    await line.down.send("x" * 11)
    await wait_until(lambda: line.up.close_code is not None, "the close")
    assert (line.down.close_code, line.up.close_code) == (1009, 1009)


async def test_send_without_a_broker_closes_the_stream_locally() -> None:
    line = Line()
    line.is_down = True
    await line.down.send("x")
    await wait_until(lambda: line.down.close_code is not None, "the end")
    assert (line.down.close_code, line.down.close_reason) == (1011, "no broker")


async def test_abort_closes_the_stream_once() -> None:
    closed: list[str] = []
    end = StreamEndpoint(1, down=False, send_message=lambda message: None, on_close=lambda: closed.append("once"))
    end.abort("node is unreachable")
    end.abort("again")
    end.close(1000)
    assert (end.close_code, end.close_reason, closed) == (1011, "node is unreachable", ["once"])
