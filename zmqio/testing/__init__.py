"""For the tests of applications: a client and a bus in memory, without ports and processes.

    async def test_chat() -> None:
        async with zmqio.testing.TestClient(io) as client:
            assert await client.call("chat message", "hello") == "delivered"

Example: docs/testing.md
"""

from zmqio.testing.client import TestClient
from zmqio.testing.memory_bus import MemoryCluster

__all__ = ["MemoryCluster", "TestClient"]
