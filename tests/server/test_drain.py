"""`Drain`: every client is closed once, spread over the time or at once."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.timing import LIMIT_S, wait_until
from zmqio.server import drain as drain_module
from zmqio.server.drain import Drain, departure_times

LONG_DRAIN_S = 10_000.0


class RecordingClient:
    """Records the reasons it was closed with."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.disconnected = False

    def close_gracefully(self, reason: str) -> None:
        self.reasons.append(reason)
        self.disconnected = True


async def all_disconnected(clients: Sequence[RecordingClient]) -> None:
    await wait_until(lambda: all(client.disconnected for client in clients), "all clients to disconnect")


@given(st.integers(0, 500), st.floats(1e-3, 1e6), st.integers())
def test_each_equal_part_of_the_time_has_one_departure(count: int, over_s: float, seed: int) -> None:
    times = departure_times(count, over_s, Random(seed))
    assert len(times) == count
    assert times == sorted(times)
    for index, after_s in enumerate(times):
        assert index * over_s / count <= after_s * (1 + 1e-9)
        assert after_s <= (index + 1) * over_s / count * (1 + 1e-9)


def test_departure_times_of_two_drains_differ() -> None:
    assert departure_times(10, 1.0, Random(1)) != departure_times(10, 1.0, Random(2))


async def test_every_client_is_closed_once_with_the_reason() -> None:
    clients = [RecordingClient() for _ in range(500)]
    await Drain(clients, 0.05).run("shutting down", all_disconnected(clients))
    assert [client.reasons for client in clients] == [["shutting down"]] * 500


async def test_finish_now_closes_all_clients_that_are_not_due() -> None:
    clients = [RecordingClient() for _ in range(3)]
    drain = Drain(clients, LONG_DRAIN_S, Random(1))
    running = asyncio.ensure_future(drain.run("shutting down", all_disconnected(clients)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert [client.reasons for client in clients] == [[]] * 3
    drain.finish_now()
    await asyncio.wait_for(running, LIMIT_S)
    assert [client.reasons for client in clients] == [["shutting down"]] * 3


async def test_clients_are_closed_in_random_order() -> None:
    order: list[int] = []

    class Numbered(RecordingClient):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def close_gracefully(self, reason: str) -> None:
            super().close_gracefully(reason)
            order.append(self.number)

    clients = [Numbered(number) for number in range(100)]
    await Drain(clients, 0.01, Random(3)).run("shutting down", all_disconnected(clients))
    assert sorted(order) == list(range(100)) != order


async def test_event_loop_keeps_turning_while_many_clients_are_closed() -> None:
    clients = [RecordingClient() for _ in range(1_000)]
    drain = Drain(clients, LONG_DRAIN_S)
    drain.finish_now()
    running = asyncio.ensure_future(drain.run("shutting down", all_disconnected(clients)))
    await asyncio.sleep(0)
    closed = sum(len(client.reasons) for client in clients)
    assert 0 < closed < 1_000
    await wait_until(running.done, "all clients to be closed")


@pytest.mark.parametrize("count", [0, 1])
async def test_drain_of_no_client_or_one(count: int) -> None:
    clients = [RecordingClient() for _ in range(count)]
    await Drain(clients, 0.01).run("shutting down", all_disconnected(clients))
    assert [client.reasons for client in clients] == [["shutting down"]] * count


async def test_drain_ends_when_all_clients_have_disconnected_by_themselves() -> None:
    client = RecordingClient()
    running = asyncio.ensure_future(Drain([client], LONG_DRAIN_S).run("shutting down", all_disconnected([client])))
    await asyncio.sleep(0)
    client.disconnected = True
    await asyncio.wait_for(running, LIMIT_S)


async def test_client_that_stays_connected_does_not_block_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "FETCH_GRACE_S", 0.01)

    class Stubborn(RecordingClient):
        def close_gracefully(self, reason: str) -> None:
            self.reasons.append(reason)

    clients = [Stubborn() for _ in range(2)]
    await asyncio.wait_for(Drain(clients, 0.01).run("shutting down", all_disconnected(clients)), LIMIT_S)
    assert [client.reasons for client in clients] == [["shutting down"]] * 2
