"""`EmitOptions`: options of one event to one client."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.fake_engine import Harness
from zmqio.exceptions import RequestTimeoutError
from zmqio.server.broadcast import Broadcast
from zmqio.server.sending import EmitOptions
from zmqio.server.socket import Socket


class Recorder:
    """A socket that records its calls."""

    def __init__(self) -> None:
        self.emitted: list[tuple[str, tuple[Any, ...], bool]] = []
        self.timeouts: list[float | None] = []

    @property
    def broadcast(self) -> Broadcast:
        raise NotImplementedError

    def emit_nowait(self, event: str, args: Sequence[Any], *, volatile: bool) -> None:
        self.emitted.append((event, tuple(args), volatile))

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        self.timeouts.append(timeout)


async def test_options_reach_the_socket_and_steps_return_new_values() -> None:
    recorder = Recorder()
    start = EmitOptions(recorder)
    chained = start.volatile.compress(False).timeout(5)
    await chained.emit("x", 1)
    await start.emit("y")
    await chained.emit_with_ack("q")
    await start.emit_with_ack("q")
    assert recorder.emitted == [("x", (1,), True), ("y", (), False)]
    assert recorder.timeouts == [5, None]


async def test_timeout_of_a_socket_limits_the_wait_for_its_acknowledgement() -> None:
    harness = Harness()
    client, session = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    with pytest.raises(RequestTimeoutError):
        await socket.timeout(0.01).emit_with_ack("q")
    asking = asyncio.ensure_future(socket.timeout(10).emit_with_ack("q"))
    await asyncio.sleep(0)
    client.message(f'3{str(session.sent[-1])[1]}["yes"]')
    assert await asking == "yes"


async def test_options_apply_to_a_broadcast_that_excludes_the_socket() -> None:
    harness = Harness()
    sessions = [(await harness.connected())[1] for _ in range(3)]
    sockets: list[Socket] = list(harness.of("/").sockets.values())
    await sockets[1].join("r")
    await sockets[0].volatile.to("r").emit("x")
    await sockets[0].compress().broadcast.emit("y")
    assert [session.sent[1:] for session in sessions] == [[], ['2["x"]', '2["y"]'], ['2["y"]']]
