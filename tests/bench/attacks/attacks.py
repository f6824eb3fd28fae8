"""The attacks: each is what one connection does, again and again until it is stopped.

An attack yields after every unit of work, and ends when the server closes the connection.
"""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tests.bench.attacks.wire import AUTH, POLL, Wire, frame_head, text_frame

__all__ = ["ATTACKS", "Attack"]

Step = AsyncIterator[None]
MB = 1 << 20
EMPTY_LISTS = f"[{'[],' * 300_000}[]]"
"""900 KB of text that take 24 MB as Python values."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack.

    Attributes:
        run: what one connection does.
        connections: how many do it at the same time.
    """

    run: Callable[[Wire], Step]
    connections: int = 20


async def failing_handlers(wire: Wire) -> Step:
    """Make a handler raise, with deeply nested arguments."""
    await wire.open_websocket()
    event = text_frame(f'42["fail",{"[" * 100}"secret"{"]" * 100}]')
    while True:
        await wire.send(event * 20)
        yield


async def failing_connects(wire: Wire) -> Step:
    """Make the connect handler raise; its auth contains a token."""
    await wire.open_websocket(joins=False)
    while True:
        await wire.send(text_frame('40{"token":"secret"}'))
        await wire.read()
        yield


async def deep_arguments(wire: Wire) -> Step:
    """Send an event whose arguments are nested too deeply."""
    await wire.open_websocket()
    await wire.send(text_frame(f'42["echo",{"[" * 5_000}{"]" * 5_000}]'))
    yield
    await wire.read()
    await wire.read()


async def unknown_events(wire: Wire) -> Step:
    """Send events with new names, which contain line ends and accents."""
    await wire.open_websocket()
    while True:
        names = [f'42["\\r\\né\\ud800{random.random()}",1]' for _ in range(20)]
        await wire.send(b"".join(map(text_frame, names)))
        yield


async def malformed_packets(wire: Wire) -> Step:
    """Send one malformed packet on each connection."""
    await wire.open_websocket()
    await wire.send(text_frame(random.choice(("9", "42", '42["connect"]', "451-x", '42["x",NaN]', '421e9["x"]'))))
    yield
    await wire.read()
    await wire.read()


async def endless_heads(wire: Wire) -> Step:
    """Send a head without end."""
    await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    while True:
        await wire.send(b"X-A: " + b"a" * 8_000 + b"\r\n")
        yield


async def endless_second_heads(wire: Wire) -> Step:
    """Send a head without end on a connection that is kept alive."""
    await wire.open_polling()
    await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
    while True:
        await wire.send(b"a" * 65_536)
        yield


async def pipelined_requests(wire: Wire) -> Step:
    """Send requests without reading the answers."""
    requests = b"GET /socket.io/?EIO=4&transport=none HTTP/1.1\r\nHost: x\r\n\r\n" * 200
    while True:
        await wire.send(requests)
        yield


async def endless_bodies(wire: Wire) -> Step:
    """Send a body of 1 MB but for its last byte, then wait."""
    sid = await wire.open_polling()
    await wire.send(f"POST {POLL}&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode())
    await wire.send(bytes(999_999))
    yield
    await wire.read()


async def endless_chunks(wire: Wire) -> Step:
    """Send a body without end for a session that does not exist."""
    sid = "x" * 20
    await wire.send(f"POST {POLL}&sid={sid} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    while True:
        await wire.send(b"10000\r\n" + bytes(65_536) + b"\r\n")
        yield


async def unread_pongs(wire: Wire) -> Step:
    """Send pings without reading the pongs."""
    await wire.open_websocket()
    pings = (frame_head(120, 0x89) + bytes(120)) * 200
    while True:
        await wire.send(pings)
        yield


async def big_frames(wire: Wire) -> Step:
    """Send frames of 16 MB."""
    await wire.open_websocket()
    await wire.send(frame_head(16 * MB - 1))
    for _ in range(255):
        await wire.send(b"x" * 65_536)
        yield
    await wire.read()


async def endless_fragments(wire: Wire) -> Step:
    """Send fragments of one message without end."""
    await wire.open_websocket()
    await wire.send(text_frame("4", 0x01))
    fragment = text_frame("x" * 50_000, 0x00)
    while True:
        await wire.send(fragment)
        yield


async def pending_events(wire: Wire) -> Step:
    """Send large events behind one that waits."""
    await wire.open_websocket()
    await wire.send(text_frame('42["slow"]'))
    event = text_frame(f'42["slow",{EMPTY_LISTS}]')
    while True:
        await wire.send(event)
        yield


async def pending_acks(wire: Wire) -> Step:
    """Send large events while the server waits for an acknowledgement."""
    await wire.open_websocket()
    await wire.send(text_frame('42["ask"]'))
    event = text_frame(f'42["slow",{EMPTY_LISTS}]')
    while True:
        await wire.send(event)
        yield


async def sessions(wire: Wire) -> Step:
    """Open sessions that never join, with large heads."""
    head = f"GET {POLL} HTTP/1.1\r\nHost: x\r\nX-A: {'a' * 12_000}\r\n\r\n".encode()
    while True:
        await wire.send(head)
        await wire.answer()
        yield


async def auths(wire: Wire) -> Step:
    """Join many namespaces with auth payloads of nearly 1 MB."""
    await wire.open_websocket(joins=False)
    auth = '{"pair":"a","x":"' + "x" * 900_000 + '"}'
    for number in range(100):
        await wire.send(text_frame(f"40/n{number},{auth}"))
        await wire.read()
        yield


async def hanging_connects(wire: Wire) -> Step:
    """Go while the connect handler runs."""
    await wire.open_websocket(joins=False)
    await wire.send(text_frame(f"40/hang,{AUTH}"))
    yield


async def long_forwarded(wire: Wire) -> Step:
    """Send X-Forwarded-For of 30 KB, and as many fields in the query."""
    addresses, fields = "1.2.3.4," * 3_700, "a&" * 14_000
    heads = [f"GET {POLL} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {addresses}\r\n\r\n"]
    heads.append(f"GET {POLL}&{fields} HTTP/1.1\r\nHost: x\r\n\r\n")
    for number in range(1_000):
        await wire.send(heads[number % 2].encode())
        await wire.answer()
        yield


async def odd_numbers(wire: Wire) -> Step:
    """Send numbers that cannot be sent back."""
    await wire.open_websocket()
    number = random.choice(("1e999", "-1e999", "NaN", "9" * 400, "9" * 900_000, "-Infinity"))
    await wire.send(text_frame(f'421["echo",{number}]'))
    yield
    await wire.read()
    await wire.read()


async def odd_requests(wire: Wire) -> Step:
    """Send requests that parsers read in different ways."""
    sid = await wire.open_polling()
    yield
    head = f"POST  {POLL}&sid={sid} HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
    await wire.send(f"{head}Content-Length: 1\r\n\r\n3".encode())
    await wire.answer()
    yield


async def slow_readers(wire: Wire) -> Step:
    """Make the server send, and do not read."""
    await wire.open_websocket()
    while True:
        await wire.send(text_frame('42["flood"]'))
        yield


async def connections(wire: Wire) -> Step:
    """Connect, send a part of a head, and go."""
    await wire.send(b"GET /socket.io/")
    yield


ATTACKS = {
    "auths": Attack(auths),
    "big_frames": Attack(big_frames),
    "connections": Attack(connections, 50),
    "deep_arguments": Attack(deep_arguments),
    "endless_bodies": Attack(endless_bodies, 100),
    "endless_chunks": Attack(endless_chunks),
    "endless_fragments": Attack(endless_fragments),
    "endless_heads": Attack(endless_heads),
    "endless_second_heads": Attack(endless_second_heads),
    "failing_connects": Attack(failing_connects),
    "failing_handlers": Attack(failing_handlers),
    "hanging_connects": Attack(hanging_connects, 50),
    "long_forwarded": Attack(long_forwarded, 5),
    "malformed_packets": Attack(malformed_packets),
    "odd_numbers": Attack(odd_numbers),
    "odd_requests": Attack(odd_requests),
    "pending_acks": Attack(pending_acks, 1),
    "pending_events": Attack(pending_events, 1),
    "pipelined_requests": Attack(pipelined_requests),
    "sessions": Attack(sessions, 5),
    "slow_readers": Attack(slow_readers),
    "unknown_events": Attack(unknown_events),
    "unread_pongs": Attack(unread_pongs),
}
"""Name -> attack."""
