"""Tests of `zmqio.nats.blocking_connection`."""

import asyncio
import time
from functools import partial

import pytest

from tests.support.fake_nats import FakeNats, running_fake_nats
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import NatsError
from zmqio.nats.addresses import NatsServer
from zmqio.nats.blocking_connection import BlockingConnection
from zmqio.nats.login import NatsLogin


def soon(limit_s: float = LIMIT_S) -> float:
    return time.monotonic() + limit_s


async def connect(fake: FakeNats, limit_s: float = LIMIT_S, login: NatsLogin = NatsLogin()) -> BlockingConnection:  # noqa: B008
    server = NatsServer("127.0.0.1", fake.port)
    return await asyncio.to_thread(BlockingConnection, server, login, soon(limit_s))


async def test_login_and_commands() -> None:
    async with running_fake_nats(max_payload=1_000) as fake:
        connection = await connect(fake, login=NatsLogin("me", "pw"))
        assert connection.info.max_payload_bytes == 1_000
        assert b'"user": "me"' in fake.lines[0]
        await asyncio.to_thread(connection.send, b"PUB a 1\r\nx\r\n", soon())
        await asyncio.to_thread(connection.ping, soon())
        assert fake.lines[1:] == [b"PING", b"PUB a 1", b"PING"]
        connection.close()


async def test_ping_of_the_server_is_answered_at_the_next_poll() -> None:
    async with running_fake_nats() as fake:
        connection = await connect(fake)
        fake.send(b"PING\r\n")

        def answered() -> bool:
            connection.poll()
            return b"PONG" in fake.lines

        await wait_until(answered, "the answer")
        connection.close()


async def test_refused_login_and_silence_are_errors() -> None:
    async with running_fake_nats() as fake:
        fake.refusal = "Authorization Violation"
        with pytest.raises(NatsError, match="Authorization Violation"):
            await connect(fake)
    async with running_fake_nats() as fake:
        fake.answers = False
        with pytest.raises(TimeoutError):
            await connect(fake, 0.1)
    nobody = FakeNats()
    nobody.port = free_port()
    with pytest.raises(OSError, match="refused"):
        await connect(nobody)


async def test_end_of_the_connection_is_found_before_a_command_is_sent() -> None:
    async with running_fake_nats() as fake:
        connection = await connect(fake)
        fake.drop()
        with pytest.raises(OSError):
            for _ in range(1_000):
                connection.poll()
                await asyncio.sleep(0.01)
        connection.close()


async def test_missing_permission_is_kept_and_ends_no_ping() -> None:
    async with running_fake_nats() as fake:
        connection = await connect(fake)
        fake.send(b"-ERR 'Permissions Violation for Publish to \"a\"'\r\n")
        await asyncio.to_thread(connection.ping, soon())
        assert "Permissions Violation" in connection.fault
        fake.answers = False
        fake.send(b"-ERR 'Stale Connection'\r\n")
        await asyncio.to_thread(partial(connection.ping, soon()))
        assert connection.fault == "Stale Connection"
        connection.close()
