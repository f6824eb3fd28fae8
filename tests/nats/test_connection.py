"""Tests of `zmqio.nats.connection`."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.fake_nats import FakeNats, running_fake_nats
from tests.support.ports import free_port
from tests.support.timing import wait_until
from zmqio.exceptions import NatsError
from zmqio.links.resolver import HostResolver
from zmqio.nats import connection as connection_module
from zmqio.nats.addresses import NatsServer
from zmqio.nats.connection import BATCH_BYTES, NatsConnection
from zmqio.nats.login import NatsLogin
from zmqio.protocol.nats import NatsInfo


class Recorded:
    """Records the events of a connection."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes, bytes]] = []
        self.events: list[object] = []

    def nats_message(self, sid: int, subject: bytes, payload: bytes) -> None:
        self.messages.append((sid, subject, payload))

    def nats_info(self, info: NatsInfo) -> None:
        self.events.append(info)

    def nats_pong(self) -> None:
        self.events.append("pong")

    def nats_fault(self, text: str) -> None:
        self.events.append(text)

    def nats_closed(self, reason: str) -> None:
        self.events.append(("closed", reason))


async def open_connection(fake: FakeNats, login: NatsLogin = NatsLogin(), **options: int):  # noqa: B008
    recorded = Recorded()
    connection = NatsConnection(NatsServer("127.0.0.1", fake.port), login, "a name", recorded, **options)
    await connection.open(HostResolver("127.0.0.1"))
    return connection, recorded


async def test_login_is_followed_by_a_ping_because_servers_send_changes_only_after_one() -> None:
    async with running_fake_nats() as fake:
        connection, _ = await open_connection(fake, NatsLogin("me", "pw"))
        assert fake.lines[0].startswith(b"CONNECT {")
        assert b'"user": "me"' in fake.lines[0]
        assert b'"name": "a name"' in fake.lines[0]
        assert fake.lines[1:] == [b"PING"]
        assert connection.info.server_id == "S1"
        connection.close()


async def test_events_are_reported_in_order() -> None:
    async with running_fake_nats() as fake:
        connection, recorded = await open_connection(fake)
        fake.send(b"MSG a 1 2\r\nhi\r\nPING\r\n")
        fake.send_info(connect_urls=["b:1"])
        fake.send(b"PONG\r\n-ERR 'Unknown'\r\n")
        await wait_until(lambda: b"PONG" in fake.lines, "the answer to PING")
        fake.drop()
        await wait_until(lambda: len(recorded.events) == 4, "all events")
        assert recorded.messages == [(1, b"a", b"hi")]
        info, *rest = recorded.events
        assert isinstance(info, NatsInfo)
        assert info.urls == ("b:1",)
        assert rest == ["pong", "Unknown", ("closed", "Unknown")]
        assert connection.is_lost


async def test_refused_login_says_why() -> None:
    async with running_fake_nats() as fake:
        fake.refusal = "Authorization Violation"
        with pytest.raises(NatsError, match="refuses the login: Authorization Violation"):
            await open_connection(fake)


async def test_peer_that_does_not_speak_nats_is_refused() -> None:
    async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    fake = FakeNats()
    fake.port = server.sockets[0].getsockname()[1]
    with pytest.raises(NatsError, match="does not speak NATS"):
        await open_connection(fake)
    server.close()


async def test_nobody_at_the_address_and_silence_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNats()
    fake.port = free_port()
    with pytest.raises(OSError, match=r"[Rr]efused|[Cc]onnect call failed"):
        await open_connection(fake)
    monkeypatch.setattr(connection_module, "CONNECT_LIMIT_S", 0.05)
    async with running_fake_nats() as silent:
        silent.answers = False
        with pytest.raises(OSError, match=r"no answer in 0\.05 s"):
            await open_connection(silent)


class RecordingTransport(asyncio.Transport):
    """Records writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


async def test_first_command_is_written_at_once_unless_there_are_several_in_each_iteration() -> None:
    transport = RecordingTransport()
    connection = NatsConnection(NatsServer("127.0.0.1", 1), NatsLogin(), "a name", Recorded())
    connection.connection_made(transport)

    async def writes_of(*commands: bytes) -> list[list[bytes]]:
        transport.writes = []
        for command in commands:
            connection.write(command)
        at_once = transport.writes.copy()
        await asyncio.sleep(0)
        return [at_once, transport.writes[len(at_once) :]]

    assert await writes_of(b"1") == [[b"1"], []]
    assert await writes_of(b"2", b"3", b"4") == [[b"2"], [b"34"]]
    assert await writes_of(b"5", b"6", b"7") == [[], [b"567"]]
    assert await writes_of(b"8") == [[], [b"8"]]
    assert await writes_of(b"9") == [[b"9"], []]


async def test_commands_of_one_iteration_arrive_in_order() -> None:
    async with running_fake_nats() as fake:
        connection, _ = await open_connection(fake)
        for number in range(100):
            connection.write(b"SUB a %d\r\n" % number)
        await wait_until(lambda: len(fake.commands(b"SUB")) == 100, "all commands")
        assert fake.commands(b"SUB") == [b"SUB a %d" % number for number in range(100)]
        connection.close()


async def paused(fake: FakeNats, connection: NatsConnection, send: Callable[[], object]) -> None:
    """Send until the kernel is full, which the queue shows by refusing a message."""
    for _ in range(20_000):
        if not send():
            return
        await asyncio.sleep(0)
    raise AssertionError("the queue never becomes full")


async def test_full_queue_refuses_messages_but_no_other_command() -> None:
    reading = asyncio.Event()

    class Slow(FakeNats):
        async def _handle(self, line, reader, writer):
            if line.startswith(b"PUB"):
                await reading.wait()
            await super()._handle(line, reader, writer)

    fake = Slow()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    connection, _ = await open_connection(fake, queue_messages=10)
    message = b"PUB a %d\r\n%b\r\n" % (BATCH_BYTES, b"x" * BATCH_BYTES)
    await paused(fake, connection, lambda: connection.send(message))
    connection.write(b"SUB last 1\r\n")
    reading.set()
    await wait_until(lambda: fake.commands(b"SUB"), "the command behind the messages")
    await wait_until(lambda: connection.send(message), "the queue accepts messages again")
    connection.close()
    server.close()
    await wait_until(lambda: fake.clients == 0, "the end of the connection")


async def test_close_sends_what_waits() -> None:
    async with running_fake_nats() as fake:
        connection, recorded = await open_connection(fake)
        for number in range(10):
            connection.send(b"SUB a %d\r\n" % number)
        connection.close()
        await connection.wait_closed(20)
        await wait_until(lambda: len(fake.commands(b"SUB")) == 10, "all commands")
        assert recorded.events == []
        assert not connection.send(b"SUB a 11\r\n")


async def test_close_with_a_reason_is_reported() -> None:
    async with running_fake_nats() as fake:
        connection, recorded = await open_connection(fake)
        connection.close("enough")
        await wait_until(lambda: recorded.events, "the report")
        assert recorded.events == [("closed", "enough")]


async def test_malformed_data_closes_the_connection() -> None:
    async with running_fake_nats() as fake:
        _, recorded = await open_connection(fake)
        fake.send(b"nonsense\r\n")
        await wait_until(lambda: recorded.events, "the report")
        ((_, reason),) = recorded.events  # type: ignore[misc]
        assert "does not speak NATS" in reason


async def test_last_commands_are_sent_without_an_event_loop() -> None:
    async with running_fake_nats() as fake:
        connection, _ = await open_connection(fake)
        connection.write(b"SUB first 1\r\n")
        connection.write(b"SUB last 2\r\n")
        connection.send_last()
        await wait_until(lambda: fake.commands(b"SUB") == [b"SUB first 1", b"SUB last 2"], "both")
        connection.close()
