"""Tests of the checks of the fault tests: each defect is added to a perfect run, and must be found."""

from array import array
from typing import Any

import pytest

from tests.bench.soak.checks import Check
from tests.bench.soak.judge import Evidence, Findings, examine
from tests.bench.soak.load import MEMBERS, NODES, Message, room_of

PER_EMITTER = 200
STEP_NS = 1_000_000
BASE_NS = 10 * STEP_NS
NODE_IDS = ("id-0", "id-1", "id-2")

Arrivals = dict[int, list[tuple[int, int]]]
"""For each client the received (emitter, number), in order."""


def perfect_arrivals() -> Arrivals:
    everything = [(emitter, number) for number in range(PER_EMITTER) for emitter in range(NODES)]
    return {
        client: [one for one in everything if room_of(*one) in rooms] for client, (_, rooms) in MEMBERS.items()
    }


def emitted_ns(number: int) -> int:
    return BASE_NS + number * STEP_NS


def packet(emitter: int, number: int) -> bytes:
    return f'42["m","{Message(emitter, number, emitted_ns(number)).text()}"]'.encode()


def judged(arrivals: Arrivals, *, refused: tuple[tuple[int, int], ...] = (), **facts: Any) -> Findings:
    tallies = {}
    for client, messages in arrivals.items():
        check = Check(MEMBERS[client][1], emitters=NODES, capacity=PER_EMITTER, base_ns=BASE_NS)
        for emitter, number in messages:
            check.message(packet(emitter, number), emitted_ns(number) + STEP_NS // 2)
        tallies[client] = check.tally
    ledgers = [array("q", map(emitted_ns, range(PER_EMITTER))) for _ in range(NODES)]
    for emitter, number in refused:
        ledgers[emitter][number] *= -1
    return examine(
        Evidence(
            ledgers=ledgers,
            tallies=tallies,
            states=facts.pop("states", states()),
            node_ids=NODE_IDS,
            killed_ns=facts.pop("killed_ns", {}),
            kept=facts.pop("kept", set()),
            window_ns=(BASE_NS, BASE_NS + 50 * STEP_NS),
            **facts,
        )
    )


def states(**counters: int) -> dict[int, dict[str, Any]]:
    """The states of three healthy nodes; the counters are those of node 0."""
    return {
        node: {"nodes_left": [], "gaps": [], "health_details": {"counters": {"bus": {} if node else counters}}}
        for node in range(NODES)
    }


def foreign(arrivals: Arrivals, client: int = 0) -> tuple[int, int]:
    """A message in the middle that reaches a client from another node."""
    return next(one for one in arrivals[client][20:] if one[0] != MEMBERS[client][0])


def without(arrivals: Arrivals, message: tuple[int, int], *, node: int = 0) -> Arrivals:
    """The same arrivals, except that no client of a node gets that message."""
    return {
        client: [one for one in messages if one != message or MEMBERS[client][0] != node]
        for client, messages in arrivals.items()
    }


def test_perfect_run_holds():
    findings = judged(perfect_arrivals())
    assert findings.broken == []
    assert findings.delivered == findings.came["lost"] == sum(map(len, perfect_arrivals().values()))
    assert (findings.emitted, set(findings.delays_us)) == (NODES * PER_EMITTER, {500})


def test_one_lost_message_is_found():
    arrivals = perfect_arrivals()
    del arrivals[3][30]
    assert judged(arrivals).broken == ["1 lost", "unreported: 1 at node 0"]


def test_lost_last_message_is_found():
    arrivals = perfect_arrivals()
    del arrivals[3][-1]
    assert judged(arrivals).missing["lost"] == 1


def test_duplicate_message_is_found():
    arrivals = perfect_arrivals()
    arrivals[5].append(arrivals[5][30])
    assert judged(arrivals).broken == ["1 duplicated"]


def test_message_that_is_overtaken_in_another_room_is_found_and_is_none_within_its_room():
    arrivals = perfect_arrivals()
    of_one = [one for one in arrivals[0] if one[0] == 1]
    first = next(
        number for number in range(len(of_one) - 1) if room_of(*of_one[number]) != room_of(*of_one[number + 1])
    )
    a, b = arrivals[0].index(of_one[first]), arrivals[0].index(of_one[first + 1])
    arrivals[0][a], arrivals[0][b] = arrivals[0][b], arrivals[0][a]
    findings = judged(arrivals)
    assert findings.broken == ["1 overtaken"]
    assert findings.overtaken_in_room == 0


def test_message_of_a_room_that_the_client_is_not_in_is_found():
    arrivals = perfect_arrivals()
    stray = next((0, number) for number in range(PER_EMITTER) if room_of(0, number) not in MEMBERS[0][1])
    arrivals[0].append(stray)
    assert judged(arrivals).strays == 1


def test_refused_message_is_no_loss_at_other_nodes():
    arrivals = perfect_arrivals()
    message = foreign(arrivals)
    for node in set(range(NODES)) - {message[0]}:
        arrivals = without(arrivals, message, node=node)
    findings = judged(arrivals, refused=(message,))
    assert findings.broken == []
    assert findings.missing["refused"] > 0


def test_refused_message_must_reach_clients_of_the_emitting_node():
    arrivals = perfect_arrivals()
    message = next(one for one in arrivals[0] if one[0] == MEMBERS[0][0])
    assert judged(without(arrivals, message), refused=(message,)).missing["lost"] > 0


@pytest.mark.parametrize(
    ("counters", "broken"),
    [
        ({"bus_gaps": 1, "bus_gap_messages": 1}, []),
        ({"bus_gaps": 1, "bus_gap_messages": 2}, ["more reported than missed at node 0"]),
        ({}, ["unreported: 1 at node 0"]),
    ],
)
def test_allowed_loss_must_be_reported_exactly(counters: dict[str, int], broken: list[str]):
    arrivals = perfect_arrivals()
    findings = judged(without(arrivals, foreign(arrivals)), states=states(**counters), may_lose=True)
    assert findings.broken == broken


@pytest.mark.parametrize(("ahead", "broken"), [(0, []), (1, ["1 missed outside the reported gaps"])])
def test_loss_must_lie_in_the_reported_range(ahead: int, broken: list[str]):
    arrivals = perfect_arrivals()
    emitter, number = foreign(arrivals)
    told = states(bus_gap_messages=1)
    n = number + 1 + ahead
    told[0]["gaps"] = [{"node_id": NODE_IDS[emitter], "first": n, "last": n, "messages": 1, "reason": ""}]
    assert judged(without(arrivals, (emitter, number)), states=told, may_lose=True).broken == broken


def test_reported_loss_still_fails_where_nothing_may_be_lost():
    arrivals = perfect_arrivals()
    findings = judged(without(arrivals, foreign(arrivals)), states=states(bus_gap_messages=1))
    assert [reason.split()[1] for reason in findings.broken] == ["lost"]


def test_last_messages_of_a_killed_node_may_be_lost_but_no_earlier_ones():
    alive = {node: state for node, state in states().items() if node != 2}
    for state in alive.values():
        state["nodes_left"] = [["id-2", "silent", 2]]
    arrivals = perfect_arrivals()
    facts: dict[str, Any] = {"states": alive, "killed_ns": {2: 1}}
    ended = {client: [one for one in messages if one < (2, 150)] for client, messages in arrivals.items()}
    assert judged(ended, **facts).broken == []
    message = next(one for one in ended[0][20:] if one[0] == 2)
    findings = judged(without(ended, message), **facts)
    assert findings.missing["lost"] == sum(message in ended[client] for client in range(4))


def test_live_node_declared_dead_is_found():
    told = states()
    told[1]["nodes_left"] = [["id-2", "silent", 1]]
    assert judged(perfect_arrivals(), states=told).broken == ["1 false deaths"]


def test_undetected_death_is_found():
    alive = {node: state for node, state in states().items() if node != 2}
    assert judged(perfect_arrivals(), states=alive, killed_ns={2: 1}).broken == ["death not detected"]


def test_client_that_joined_must_receive_messages_emitted_after_the_acknowledgement():
    arrivals = perfect_arrivals()
    joined = next(room for room in range(20) if room not in MEMBERS[0][1])
    check = Check(MEMBERS[0][1], emitters=NODES, capacity=PER_EMITTER, base_ns=BASE_NS)
    check.may_come(joined)
    check.tally.acked.append((joined, True, emitted_ns(PER_EMITTER // 2)))
    findings = judged(arrivals, kept={(0, joined)})
    assert findings.broken == ["1 joins not acknowledged"]
    for one in arrivals[0]:
        check.message(packet(*one), emitted_ns(one[1]))
    later = [
        (emitter, number)
        for emitter in range(NODES)
        for number in range(PER_EMITTER // 2, PER_EMITTER)
        if room_of(emitter, number) == joined
    ]
    ledgers = [array("q", map(emitted_ns, range(PER_EMITTER))) for _ in range(NODES)]
    evidence = Evidence(
        ledgers, {0: check.tally}, states(), NODE_IDS, {}, {(0, joined)}, (BASE_NS, BASE_NS + STEP_NS)
    )
    assert examine(evidence).missing["lost"] == len(later)
