"""Publish to all clients, and to those of one room, with the stock client of NATS: `pip install nats-py`.

python examples/nats/publish.py nats://127.0.0.1:4222
"""

import asyncio
import json
import sys

import nats


async def main(url: str) -> None:
    """Connect, publish, and wait until the server has everything."""
    client = await nats.connect(url, max_reconnect_attempts=1)
    to_all = {"event": "news", "args": ["to all, from nats-py"]}
    await client.publish("zmqio.n._", json.dumps(to_all).encode())
    to_room = {"event": "news", "args": ["to the lobby, from nats-py"], "rooms": ["lobby"]}
    await client.publish("zmqio.r._.lobby", json.dumps(to_room).encode())
    await client.flush()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
