"""A TCP relay in front of a broker: records the data that a node receives, or delays the data that it sends."""

import asyncio
import contextlib
from types import TracebackType

from tests.support.ports import free_port_block

__all__ = ["Relay"]

LOOPBACK = "127.0.0.1"
PORTS_OF_A_BROKER = 4
SUBSCRIBE_OFFSET = 2
CHUNK_BYTES = 1 << 16


class Relay:
    """Four ports that lead to the four of a broker; used as `async with`.

    Args:
        broker_address: `tcp://host:port` of the broker.
        subscriptions_late_s: delay in seconds of the data that a node sends to the subscribe port.

    Attributes:
        address: base address of the relay; give it to a node in place of the broker's.
        received: every byte that came out of the broker's subscribe port through the relay.
    """

    def __init__(self, broker_address: str, subscriptions_late_s: float = 0.0) -> None:
        self._subscriptions_late_s = subscriptions_late_s
        self._broker_port = int(broker_address.rpartition(":")[2])
        self._base_port = free_port_block(PORTS_OF_A_BROKER)
        self.address = f"tcp://{LOOPBACK}:{self._base_port}"
        self.received = bytearray()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Relay":
        for offset in range(PORTS_OF_A_BROKER):

            async def connected(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, offset: int = offset
            ) -> None:
                task = asyncio.current_task()
                assert task is not None
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
                await self._carry(reader, writer, offset)

            self._servers.append(await asyncio.start_server(connected, LOOPBACK, self._base_port + offset))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _carry(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter, offset: int) -> None:
        far, to_far = await asyncio.open_connection(LOOPBACK, self._broker_port + offset)
        subscribes = offset == SUBSCRIBE_OFFSET
        up = _pump(near, to_far, late_s=self._subscriptions_late_s if subscribes else 0.0)
        down = _pump(far, to_near, self.received if subscribes else None)
        try:
            await asyncio.gather(up, down)
        finally:
            to_far.close()
            to_near.close()


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray | None = None, late_s: float = 0.0
) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            if kept is not None:
                kept += chunk
            if late_s:
                await asyncio.sleep(late_s)  # the delay of the simulated line
            sink.write(chunk)
            await sink.drain()
    sink.close()
