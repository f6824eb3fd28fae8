"""All members of a room disconnect while as many new ones join it: no client that has joined misses a message.

The room lives on one node only, so each turn the last member's leave and the first newcomer's join race for the
subscription at the broker.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import ClusterNode, running_nodes
from tests.support.raw_clients import RawClient
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TURNS = 25
MEMBERS = 300
TOLD_AT = (1, MEMBERS // 2, MEMBERS)
"""Number of joins that were acknowledged when a message is sent to the room: each must receive it."""
CONNECTING_AT_ONCE = 50
SWEEP_S = 0.003
"""The added delay of the newcomers in each turn: from long before the last member has left to after it."""


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(broker: BrokerProcess) -> AsyncIterator[list[ClusterNode]]:
    """Two nodes: the sender's and that of the members."""
    async with running_nodes(broker.address, 2) as processes:
        yield processes


async def connect_crowd(node: ClusterNode) -> list[RawClient]:
    """Connect as many clients as the room has members, in no room."""
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def connect() -> RawClient:
        async with gate:
            return await RawClient.connect("127.0.0.1", node.port)

    return list(await asyncio.gather(*(connect() for _ in range(MEMBERS))))


class Turn:
    """One exchange of all members."""

    def __init__(self, number: int, speaker: RawClient, newcomers: list[RawClient]) -> None:
        self._number = number
        self._speaker = speaker
        self._newcomers = newcomers
        self._acknowledged: list[RawClient] = []
        self._tellings: list[asyncio.Task[None]] = []

    async def run(self, leavers: list[RawClient]) -> None:
        """Drop the old members while the new ones join; check that every message reaches all that had joined."""
        for client in leavers:
            client.vanish()
        await asyncio.sleep(self._number * SWEEP_S)  # not a wait: another phase of the same race each turn
        await asyncio.gather(*(self._join(client) for client in self._newcomers))
        await asyncio.gather(*self._tellings)

    async def _join(self, client: RawClient) -> None:
        assert await client.call("join", "room") == ["joined"]
        self._acknowledged.append(client)
        count = len(self._acknowledged)
        if count in TOLD_AT:  # in this very moment: nothing gives the subscription time to arrive
            self._speaker.emit("say", "room", "word", self._number, count)
            self._tellings.append(asyncio.create_task(self._hear(list(self._acknowledged))))

    async def _hear(self, members: list[RawClient]) -> None:
        word = [self._number, len(members)]
        await wait_until(
            lambda: all(["word", *word] in client.events for client in members),
            f"turn {self._number}: the word to {len(members)} members",
        )


async def test_no_message_is_missed_when_all_members_change_at_once(nodes: list[ClusterNode]) -> None:
    sender, home = nodes
    speaker = await RawClient.connect("127.0.0.1", sender.port)
    members: list[RawClient] = []
    number = -1
    while number < TURNS - 1 or not (await home.state())["emptied"].get("room"):  # the last out met the first in
        number += 1
        newcomers = await connect_crowd(home)
        await Turn(number, speaker, newcomers).run(members)
        members = newcomers
    for client in members:
        assert client.events.count(["word", number, MEMBERS]) == 1
        client.vanish()
    speaker.vanish()
    for node in nodes:
        await node.wait_state("nobody is left", lambda state: state["sockets"] == 0)
    assert await sender.do("rooms") == []
