"""Hundreds of misbehaving clients on a real node: other clients miss nothing, and all memory is freed."""

import asyncio
import socket as sockets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from tests.support.churn import churn, read_census
from tests.support.cluster import NodeProcess
from tests.support.members import Member, PollingMember, WebSocketMember, call, next_event
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S

DISCONNECTS = 1_000
WEBSOCKETS = len(range(0, DISCONNECTS, 3))
"""How many of them are WebSockets."""
MOST_OTHER_LINES = 20
CYCLES = 2_000
ROUND = 100
LEAST_ROUNDS = 20
PAUSE_S = 0.02
"""Between two looks whether a round has arrived."""
FRAME_BYTES = 6_000
"""20 rounds of 100 frames are 12 MB: more than the kernel's buffers and the session's 1 MiB take."""
MORE_MEMORY_BYTES = 40 << 20
"""Memory that the allocator may keep after buffers of many MB were freed."""
MORE_OBJECTS = 300
"""Tracked objects may differ by those of the connection that reads the census."""


@pytest_asyncio.fixture
async def node() -> AsyncIterator[NodeProcess]:
    # A lost polling client is detected by its heartbeat only; the limit gives the remaining clients time.
    options = {"ping_interval_s": 1, "ping_timeout_s": 8}
    async with NodeProcess(NodeConfig("storm", options=options)) as process:
        yield process


async def _settle(node: NodeProcess, at_most: dict[str, int]) -> dict[str, Any]:
    """Wait until a census is nowhere above `at_most`, and return it."""
    ends_at = asyncio.get_running_loop().time() + 2 * LIMIT_S
    while True:
        census = await asyncio.to_thread(read_census, node.port)
        if all(census[name] <= limit for name, limit in at_most.items()):
            return census
        assert asyncio.get_running_loop().time() < ends_at, f"{census} never came down to {at_most}"
        await asyncio.sleep(0.2)


class Storm:
    """Rounds of broadcasts to a room, while other clients connect and disconnect."""

    def __init__(self, speaker: Member, survivors: Sequence[Member]) -> None:
        self._speaker = speaker
        self._survivors = survivors
        self.rounds = 0
        self.over = False

    async def run(self) -> None:
        """Make rounds until it is over. All clients read all the time: one that waits for others answers pings."""
        received: list[list[int]] = [[] for _ in self._survivors]
        listening = asyncio.gather(*map(_listen, self._survivors, received))
        while not self.over or self.rounds < LEAST_ROUNDS:
            await call(self._speaker, "flood", "room", ROUND, FRAME_BYTES)
            self.rounds += 1
            async with asyncio.timeout(2 * LIMIT_S):
                while min(map(len, received)) < ROUND * self.rounds and not listening.done():
                    await call(self._speaker, "echo")
                    await asyncio.sleep(PAUSE_S)
        await call(self._speaker, "say", "room", "end")
        await listening
        assert received == [list(range(ROUND)) * self.rounds] * len(self._survivors)


async def _listen(member: Member, numbers: list[int]) -> None:
    while (event := await next_event(member))[0] != "end":
        if event[0] == "flood":
            assert len(event[2]) == FRAME_BYTES
            numbers.append(event[1])


async def _join(member: Member) -> Member:
    await call(member, "join", "room")
    return member


async def _vanish(port: int, number: int) -> None:
    """Join, and disconnect in one of three ways: a WebSocket during the stream, a waiting poll, half a
    response."""
    if number % 3 == 0:
        await (await _join(await WebSocketMember.open(port))).drop()
        return
    member = await PollingMember.open(port)
    await _join(member)
    if number % 3 == 1:
        member.begin_poll()
    else:
        await asyncio.to_thread(_poll_half, port, member.query)
    await member.drop()


def _poll_half(port: int, query: str) -> None:
    """Read some bytes of a response on a separate connection, and reset that."""
    with _small_connection(port) as connection:
        connection.sendall(f"GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.recv(100)
        connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def _small_connection(port: int) -> sockets.socket:
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    connection.settimeout(LIMIT_S)
    connection.connect(("127.0.0.1", port))
    return connection


def _join_and_never_read(port: int) -> sockets.socket:
    connection = _small_connection(port)
    connection.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    for packet in (b"40", b'42["join","room"]'):
        connection.sendall(bytes((0x81, 0x80 | len(packet))) + bytes(4) + packet)  # masked with zeros
    return connection


async def _vanish_all(port: int, count: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await _vanish(port, number)

    await asyncio.gather(*(worker() for _ in range(20)))


async def test_remaining_clients_receive_everything_during_a_thousand_abrupt_disconnects(
    node: NodeProcess,
) -> None:
    before = await _settle(node, {"sessions": 0})
    survivors: list[Member] = [await _join(await WebSocketMember.open(node.port)) for _ in range(2)]
    survivors += [await _join(await PollingMember.open(node.port)) for _ in range(2)]
    speaker = await WebSocketMember.open(node.port)
    storm = Storm(speaker, survivors)
    with await asyncio.to_thread(_join_and_never_read, node.port):
        running = asyncio.ensure_future(storm.run())
        try:
            await _vanish_all(node.port, DISCONNECTS)
            await node.wait_log("client_dropped")  # the survivors read on, and so answer their pings
        finally:
            storm.over = True
        await running
    await asyncio.gather(*(member.close() for member in (speaker, *survivors)))

    after = await _settle(node, {"sessions": 0, "tasks": before["tasks"], "requests": before["requests"]})
    assert after["resident_bytes"] < before["resident_bytes"] + MORE_MEMORY_BYTES
    assert "Traceback" not in node.log_text()
    lines = Counter(line["event"] for line in node.log_lines())
    assert lines.pop("disconnect_handler_ran") > DISCONNECTS  # the test application's own
    # One line for each client with unread packets: the stuck client, and polls that vanished with a full buffer.
    assert 1 <= lines.pop("client_dropped") <= 1 + DISCONNECTS - WEBSOCKETS
    assert lines.total() < MOST_OTHER_LINES, lines


async def test_thousands_of_connections_of_every_kind_leave_nothing_behind(node: NodeProcess) -> None:
    await churn(node.port, CYCLES // 10)
    before = await _settle(node, {"sessions": 0, "requests": 0})
    await churn(node.port, CYCLES)
    after = await _settle(
        node,
        {
            "sessions": 0,
            "requests": 0,
            "tasks": before["tasks"],
            "descriptors": before["descriptors"],
            "objects": before["objects"] + MORE_OBJECTS,
        },
    )
    assert after["resident_bytes"] < before["resident_bytes"] + MORE_MEMORY_BYTES
    assert "Traceback" not in node.log_text()


@pytest.mark.parametrize("kinds", [(PollingMember, WebSocketMember), (WebSocketMember, PollingMember)])
async def test_binary_reaches_a_room_of_both_transports_in_either_order_of_joining(
    node: NodeProcess, kinds: tuple[type[PollingMember] | type[WebSocketMember], ...]
) -> None:
    members = [await _join(await kind.open(node.port)) for kind in kinds]
    speaker = await WebSocketMember.open(node.port)
    for size in (1, 100_000):
        await call(speaker, "say_big", "room", size)
        for member in members:
            while not str(head := await member.next_packet()).startswith("45"):
                pass
            assert head == '451-["big",{"_placeholder":true,"num":0}]'
            assert await member.next_packet() == bytes(size)
    await asyncio.gather(*(member.close() for member in (speaker, *members)))
