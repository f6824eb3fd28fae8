"""Both ends of a stream, wired to each other, or one of them with the other played by the test."""

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
    """What one end says is kept, and passed to the other in the next turn."""

    def __init__(self, *, limit_bytes: int = 1 << 30) -> None:
        self.said: list[RelayMessage] = []
        self.is_cut = False
        self._limit_bytes = limit_bytes
        self.down = StreamEndpoint(1, down=True, say=lambda message: self._say(message, lambda: self.up))
        self.up = StreamEndpoint(1, down=False, say=lambda message: self._say(message, lambda: self.down))

    def of(self, kind: type[RelayMessage]) -> list[RelayMessage]:
        return [message for message in self.said if isinstance(message, kind)]

    def _say(self, message: RelayMessage, other: Callable[[], StreamEndpoint]) -> None:
        if self.is_cut:
            raise BusUnavailableError("no broker")
        if isinstance(message, StreamData) and sum(map(len, message.frames)) > self._limit_bytes:
            raise MessageTooLargeError(sum(map(len, message.frames)), self._limit_bytes)
        encode(Envelope(MessageId(NodeId("node"), 1, 0), message))
        self.said.append(message)
        assert isinstance(message, StreamData | StreamCredit | StreamClose)
        asyncio.get_running_loop().call_soon(other().came, message)


async def take(end: StreamEndpoint) -> str | bytes | None:
    return await asyncio.wait_for(end.take(), LIMIT_S)


async def test_messages_come_in_order_both_ways() -> None:
    line = Line()
    for number in range(5):
        await line.down.push(f"down {number}")
        await line.up.push(b"%d" % number)
        await asyncio.sleep(0)
    assert [await take(line.up) for _ in range(5)] == [f"down {number}" for number in range(5)]
    assert [await take(line.down) for _ in range(5)] == [b"%d" % number for number in range(5)]


async def test_what_is_pushed_in_one_turn_is_one_message() -> None:
    line = Line()
    for frame in ("a", b"b", "c"):
        await line.down.push(frame)
    assert await take(line.up) == "a"
    assert line.said == [StreamData(1, True, 0, ("a", b"b", "c"))]


async def test_sender_waits_for_the_one_who_takes() -> None:
    line = Line()
    await line.down.push(HALF)
    await line.down.push(HALF)
    third = asyncio.create_task(line.down.push("third"))
    assert await take(line.up) == HALF
    assert not third.done()
    assert await take(line.up) == HALF  # the first counts as taken now
    await asyncio.wait_for(third, LIMIT_S)
    assert line.of(StreamCredit) == [StreamCredit(1, False, len(HALF))]
    assert await take(line.up) == "third"


async def test_message_larger_than_the_window_passes_alone() -> None:
    line = Line()
    await line.down.push("small")
    await line.down.push(HALF * 3)
    assert await take(line.up) == "small"
    assert await take(line.up) == HALF * 3
    assert [len(message.frames) for message in line.of(StreamData)] == [1, 1]  # type: ignore[union-attr]


async def test_close_comes_behind_what_was_pushed() -> None:
    line = Line()
    await line.down.push("last")
    line.down.close(1000, "bye")
    line.down.close(1001)
    assert await take(line.up) == "last"
    assert await take(line.up) is None
    assert await take(line.up) is None
    assert (line.up.code, line.up.reason) == (1000, "bye")
    assert line.said == [StreamData(1, True, 0, ("last",)), StreamClose(1, True, 1000, "bye")]
    for end in (line.down, line.up):
        with pytest.raises(ConnectionError):
            await end.push("too late")


async def test_close_of_an_asgi_server_or_a_client_can_always_be_said() -> None:
    line = Line()
    line.down.close(CloseCode.NORMAL_CLOSURE, "a\0b")
    assert line.said == [StreamClose(1, True, 1000, "ab")]


async def test_both_may_close_at_once() -> None:
    line = Line()
    line.down.close(1000)
    line.up.close(1001)
    await asyncio.sleep(0)
    assert (line.down.code, line.up.code) == (1000, 1001)
    assert len(line.said) == 2


async def test_closing_wakes_who_waits_on_either_end() -> None:
    line = Line()
    await line.down.push(HALF * 2)
    pushing = asyncio.create_task(line.down.push("never"))
    taking = asyncio.create_task(line.down.take())
    await asyncio.sleep(0)
    line.up.close(1001)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(pushing, LIMIT_S)
    assert await asyncio.wait_for(taking, LIMIT_S) is None


async def test_drop_towards_the_client_leaves_out_what_waits() -> None:
    line = Line()
    await line.down.push("the client does not take it")
    line.down.close(DROP)
    await wait_until(lambda: line.up.code is not None, "the close")
    assert await take(line.up) is None


async def test_last_words_of_a_client_that_was_cut_off_still_come() -> None:
    line = Line()
    await line.up.push("last words")
    line.up.close(DROP)
    assert await take(line.down) == "last words"
    assert await take(line.down) is None


async def test_missing_message_breaks_the_stream_for_both() -> None:
    line = Line()
    line.up.came(StreamData(1, True, 1, ("second",)))
    assert line.up.code == 1011
    await wait_until(lambda: line.down.code == 1011, "the other end")
    assert line.down.reason == "message 0 of the stream is missing"


async def test_copy_of_a_message_is_passed_over() -> None:
    line = Line()
    for _ in range(2):
        line.up.came(StreamData(1, True, 0, ("once",)))
    line.up.came(StreamClose(1, True, 1000, ""))
    assert [await take(line.up), await take(line.up)] == ["once", None]


async def test_message_that_the_bus_does_not_take_closes_with_1009() -> None:
    line = Line(limit_bytes=10)
    await line.down.push("x" * 11)
    await wait_until(lambda: line.up.code is not None, "the close")
    assert (line.down.code, line.up.code) == (1009, 1009)


async def test_bus_that_is_away_breaks_the_stream_here() -> None:
    line = Line()
    line.is_cut = True
    await line.down.push("x")
    await wait_until(lambda: line.down.code is not None, "the end")
    assert (line.down.code, line.down.reason) == (1011, "no broker")


async def test_node_that_is_gone_ends_the_stream() -> None:
    closed: list[str] = []
    end = StreamEndpoint(1, down=False, say=lambda message: None, when_closed=lambda: closed.append("once"))
    end.cut("its node has gone")
    end.cut("again")
    end.close(1000)
    assert (end.code, end.reason, closed) == (1011, "its node has gone", ["once"])
