"""The choice of the worker for a connection."""

from collections import Counter
from dataclasses import dataclass

import pytest

from zmqio.ids import NodeTag, make_engine_sid
from zmqio.launcher.routing.worker_choice import Sticky, WorkerChoice


@dataclass(eq=False)
class Worker:
    slot: int
    tag: NodeTag
    connections: int = 0


def make_choice(sticky: Sticky, count: int = 3) -> tuple[WorkerChoice[Worker], list[Worker]]:
    choice: WorkerChoice[Worker] = WorkerChoice(sticky)
    workers = [Worker(slot, NodeTag(f"tag{slot}")) for slot in range(count)]
    for worker in workers:
        choice.add(worker)
    return choice, workers


@pytest.mark.parametrize("sticky", ["sid", "address"])
def test_known_session_goes_to_its_owner_however_busy(sticky: Sticky) -> None:
    choice, workers = make_choice(sticky)
    for worker in workers:
        worker.connections = 1_000
        for _ in range(3):
            assert choice.pick(make_engine_sid(worker.tag), "1.2.3.4") is worker


@pytest.mark.parametrize("sid", [None, "gone" + "x" * 16, "tag1", "tag1" + "x" * 15, "\xff" * 20])
def test_new_or_unknown_session_goes_to_the_worker_with_the_fewest_connections(sid: str | None) -> None:
    choice, workers = make_choice("sid")
    workers[0].connections, workers[1].connections, workers[2].connections = 5, 9, 4
    assert choice.pick(sid, None) is workers[2]


def test_equally_loaded_workers_are_chosen_in_turn() -> None:
    choice, workers = make_choice("sid")
    picked = [choice.pick(None, None) for _ in range(9)]
    assert Counter(worker.slot for worker in picked if worker) == {0: 3, 1: 3, 2: 3}
    assert picked[:3] == workers


def test_each_address_maps_to_one_worker_and_addresses_are_spread() -> None:
    choice, _ = make_choice("address", 4)
    addresses = [f"10.0.{n % 7}.{n}" for n in range(400)]
    first = {address: choice.pick(None, address) for address in addresses}
    assert {address: choice.pick(None, address) for address in addresses} == first
    spread = Counter(worker.slot for worker in first.values() if worker)
    assert len(spread) == 4
    assert min(spread.values()) > 50


def test_only_the_addresses_of_a_removed_worker_move_and_its_successor_gets_them_back() -> None:
    choice, workers = make_choice("address", 4)
    addresses = [f"10.0.0.{n}" for n in range(200)]
    before = {address: choice.pick(None, address) for address in addresses}
    choice.remove(workers[1])
    without = {address: choice.pick(None, address) for address in addresses}
    assert all(without[a] is before[a] for a in addresses if before[a] is not workers[1])
    assert workers[1] not in without.values()
    successor = Worker(workers[1].slot, NodeTag("next"))
    choice.add(successor)
    after = {address: choice.pick(None, address) for address in addresses}
    assert [a for a in addresses if after[a] is successor] == [a for a in addresses if before[a] is workers[1]]


def test_clients_without_an_address_are_spread() -> None:
    choice, workers = make_choice("address")
    assert {choice.pick(None, None) for _ in range(3)} == set(workers)


def test_none_chooses_in_turn_whatever_the_request() -> None:
    choice, workers = make_choice("none")
    workers[0].connections = 99
    sid = make_engine_sid(workers[2].tag)
    assert [choice.pick(sid, "1.2.3.4") for _ in range(4)] == [*workers, workers[0]]


def test_retired_worker_keeps_its_sessions_and_gets_no_new_one() -> None:
    choice, workers = make_choice("sid", 2)
    choice.retire(workers[0])
    assert {choice.pick(None, None) for _ in range(4)} == {workers[1]}
    assert choice.pick(make_engine_sid(workers[0].tag), None) is workers[0]
    choice.remove(workers[0])
    assert choice.pick(make_engine_sid(workers[0].tag), None) is workers[1]


def test_suspended_worker_keeps_its_sessions_and_returns() -> None:
    choice, workers = make_choice("sid", 2)
    sid = make_engine_sid(workers[0].tag)
    choice.suspend(workers[0])
    choice.suspend(workers[0])
    assert choice.is_suspended(workers[0])
    assert {choice.pick(None, None) for _ in range(4)} == {workers[1]}
    assert choice.pick(sid, None) is workers[0]
    choice.resume(workers[0])
    choice.resume(workers[0])
    assert not choice.is_suspended(workers[0])
    assert [choice.pick(None, None) for _ in range(4)].count(workers[0]) == 2


def test_suspended_worker_that_is_retired_or_removed_does_not_return() -> None:
    choice, workers = make_choice("sid", 3)
    choice.suspend(workers[0])
    choice.retire(workers[0])
    choice.retire(workers[1])
    choice.suspend(workers[1])
    for worker in workers[:2]:
        choice.resume(worker)
        assert choice.pick(make_engine_sid(worker.tag), None) is worker
    assert {choice.pick(None, None) for _ in range(4)} == {workers[2]}
    choice.suspend(workers[2])
    choice.remove(workers[2])
    assert not choice.is_suspended(workers[2])
    choice.resume(workers[2])
    choice.suspend(workers[2])
    assert not choice.accepts_sessions
    assert choice.pick(None, None) is None


def test_without_workers_none_is_chosen() -> None:
    choice, workers = make_choice("sid", 1)
    assert choice.accepts_sessions
    choice.remove(workers[0])
    choice.remove(workers[0])
    assert not choice.accepts_sessions
    assert choice.pick(None, None) is None


def test_successor_with_the_same_tag_survives_the_removal_of_its_predecessor() -> None:
    choice, workers = make_choice("sid", 1)
    successor = Worker(0, workers[0].tag)
    choice.add(successor)
    choice.remove(workers[0])
    assert choice.pick(make_engine_sid(successor.tag), None) is successor


def test_turn_begins_behind_the_given_slot() -> None:
    choice: WorkerChoice[Worker] = WorkerChoice("sid", after_slot=1)
    for slot in range(4):
        choice.add(Worker(slot, NodeTag(f"tag{slot}")))
    found = [choice.pick(None, None) for _ in range(5)]
    assert [worker.slot for worker in found if worker is not None] == [2, 3, 0, 1, 2]
