"""The log of sent packets, and what it finds for a client that missed some."""

from hypothesis import given
from hypothesis import strategies as st

from zmqio.ids import NodeId
from zmqio.recovery.packet_log import PACKET_OVERHEAD_BYTES, LoggedPacket, PacketLog
from zmqio.recovery.vector import log_key

ME = NodeId("tagA-me")
OWN = log_key(ME)
ROOMS = st.none() | st.frozensets(st.sampled_from("abc"), min_size=1)


def packet_log(max_bytes: int = 1 << 20, max_age_s: float = 100.0) -> PacketLog:
    return PacketLog(ME, max_bytes, max_age_s)


def add(
    log: PacketLog,
    rooms: str | None = None,
    at: float = 0.0,
    *,
    except_: str = "",
    bus_number: int | None = None,
    frames: str = "x",
) -> LoggedPacket:
    members = None if rooms is None else frozenset(rooms)
    packet = LoggedPacket(log.next_number(), at, members, frozenset(except_), (frames,), bus_number)
    log.add("/", packet)
    return packet


def missed(
    log: PacketLog,
    rooms: str,
    vector: dict[str, int],
    since: float = 0.0,
    private_after: int | None = 0,
    now: float = 0.0,
) -> list[int] | None:
    packets = log.missed("/", tuple(rooms), vector, since, private_after, now)
    return None if packets is None else [packet.number for packet in packets]


@given(
    st.lists(st.tuples(ROOMS, st.frozensets(st.sampled_from("abcd")))),
    st.frozensets(st.sampled_from("abcd")),
    st.integers(0, 30),
)
def test_exactly_the_packets_of_the_rooms_after_the_number_are_found(
    packets: list[tuple[frozenset[str] | None, frozenset[str]]], rooms: frozenset[str], after: int
) -> None:
    log, wanted = packet_log(), []
    for to, except_ in packets:
        number = log.next_number()
        log.add("/", LoggedPacket(number, 0.0, to, except_, ("x",)))
        if number > after and (to is None or to & rooms) and not except_ & rooms:
            wanted.append(number)
    assert missed(log, "".join(rooms), {OWN: after}) == wanted


def test_other_namespaces_are_left_out() -> None:
    log = packet_log()
    log.add("/other", LoggedPacket(log.next_number(), 0.0, None, frozenset(), ("x",)))
    add(log)
    assert missed(log, "", {OWN: 0}) == [2]


def test_a_client_of_another_node_is_found_by_bus_number_and_gets_no_private_packet() -> None:
    log = packet_log()
    add(log, "a", bus_number=10)
    add(log, "a")
    add(log, "a", bus_number=12)
    assert missed(log, "a", {ME: 10}, private_after=None) == [3]
    assert missed(log, "a", {ME: 10, OWN: 1}) == [2, 3]
    assert missed(log, "a", {ME: 12, OWN: 1}, private_after=2) == []


def test_without_a_number_of_this_node_the_time_decides() -> None:
    log = packet_log()
    add(log, at=1.0, bus_number=1)
    add(log, at=5.0, bus_number=2)
    assert missed(log, "", {"other": 9}, since=2.0, private_after=None) == [2]


def test_a_missed_packet_that_was_dropped_is_known() -> None:
    log = packet_log(max_bytes=1, max_age_s=10)
    add(log, "a", 0.0, bus_number=7)
    add(log, "a", 0.0)
    add(log, "b", 0.0, bus_number=9)
    assert len(log) == 0 and log.size_bytes == 0
    assert missed(log, "a", {OWN: 1}) is None
    assert missed(log, "a", {OWN: 2}) == []
    assert missed(log, "c", {OWN: 0}) == []
    assert missed(log, "a", {ME: 6}, private_after=None) is None  # although a private packet was dropped later
    assert missed(log, "a", {ME: 7}, private_after=None) == []
    assert missed(log, "a", {OWN: 1}, now=11.0) == []  # too old to have been missed


def test_a_packet_that_is_too_old_was_not_missed() -> None:
    log = packet_log(max_age_s=64.0)
    for at in (0.0, 0.9, 1.0, 64.0):
        add(log, "a", at)
    assert missed(log, "a", {OWN: 0}, now=64.5) == [2, 3, 4]
    log.expire(64.5)
    assert missed(log, "a", {OWN: 0}, now=64.5) == [2, 3, 4]
    log.expire(65.5)
    assert len(log) == 1 and missed(log, "a", {OWN: 0}, now=65.5) == [4]


def test_packets_beyond_the_size_limit_are_dropped() -> None:
    log = packet_log(max_bytes=2 * (PACKET_OVERHEAD_BYTES + 10))
    for _ in range(3):
        add(log, "a", frames="0123456789")
    assert len(log) == 2
    assert missed(log, "a", {OWN: 0}) is None
    assert missed(log, "a", {OWN: 1}) == [2, 3]
    assert log.size_bytes == 2 * (PACKET_OVERHEAD_BYTES + 10)


def test_beyond_the_rooms_remembered_a_dropped_packet_counts_for_all(monkeypatch: object) -> None:
    from zmqio.recovery import packet_log as module

    limit, module.ROOMS_REMEMBERED = module.ROOMS_REMEMBERED, 2
    try:
        log = packet_log(max_bytes=1)
        for room in "abc":
            add(log, room)
        assert missed(log, "z", {OWN: 0}) is None
        assert missed(log, "z", {OWN: 1}) == []
    finally:
        module.ROOMS_REMEMBERED = limit
