"""What a node hands over when it stops arrives complete in the store of another one."""

import time
from collections import Counter

import pytest

from zmqio.cluster.handover_rows import HandoverReader, pack_log, pack_session, pack_tables
from zmqio.cluster.requests.rows import pack_rows
from zmqio.config import Recovery
from zmqio.exceptions import EnvelopeError
from zmqio.ids import NodeId, Sid
from zmqio.protocol.values import pack_values
from zmqio.recovery.absence import Absence
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.store import RecoveryStore

OLD, NEW = NodeId("tagA-old"), NodeId("tagB-new")
MUCH = 1 << 20


def store_of(node_id: NodeId) -> RecoveryStore:
    store = RecoveryStore(node_id, Recovery(), 10.0, Counter(), time.monotonic)
    store.recorder("/")
    return store


def hand_over(rows: list[bytes], to: RecoveryStore) -> None:
    reader = HandoverReader(to, to.adopt)
    for part in pack_rows(rows, 200):
        reader.read(part)


def session(**fields: object) -> RecoverableSession:
    values = {"rooms": ("r",), "data": {"n": 1}, "connected_at": time.monotonic(), "start": {}, "held_from": 0}
    return RecoverableSession("pid", "/", Sid("sid"), **{**values, **fields})  # type: ignore[arg-type]


def test_a_session_is_adopted_with_its_offsets_and_private_packets() -> None:
    old, new, adopted = store_of(OLD), store_of(NEW), []
    new.on_adopt["/"] = adopted.append
    recorder = old.recorder("/")
    recorder.sent(("1",), None)
    offset = recorder.offset()
    private = MissedPacket(OLD, 2, None, time.monotonic(), ("private",))
    handed = session(floor={"a": 5}, floor_key="=tagA-old", floor_from=1)
    hand_over([*pack_tables(old, {"/"}), pack_session(handed, (private,), time.monotonic())], new)
    found = new.claim("/", "pid", offset)
    assert isinstance(found, Returning)
    assert found.received == {"=tagA-old": 1, "a": 5}
    assert [packet.frames for packet in found.session.inherited] == [("private",)]
    assert found.session.data == {"n": 1}
    assert [each.pid for each in adopted] == ["pid"]


def test_packets_are_archived_and_found() -> None:
    old, new = store_of(OLD), store_of(NEW)
    recorder = old.recorder("/")
    for number in range(1, 4):
        recorder.sent((str(number),), frozenset("r")).bus_number = 10 * number
    recorder.sent(("private",), frozenset("r"))
    hand_over(pack_log(old.log, 35, 0.0, time.monotonic(), MUCH), new)
    (found,) = new.missed_of_archives(session(), {OLD: 10})
    assert found.packets is not None
    assert [packet.frames for packet in found.packets] == [("2",), ("3",)]
    assert (found.node_id, found.log_number, found.bus_number) == (OLD, 4, 35)


def test_packets_that_were_left_out_are_known_to_be_missing() -> None:
    old, new = store_of(OLD), store_of(NEW)
    recorder = old.recorder("/")
    for number in range(1, 4):
        recorder.sent(("x" * 300,), frozenset("r")).bus_number = 10 * number
    hand_over(pack_log(old.log, 35, 0.0, time.monotonic(), 800), new)
    (found,) = new.missed_of_archives(session(), {OLD: 5})
    assert found.packets is None
    (found,) = new.missed_of_archives(session(), {OLD: 10})
    assert found.packets is not None and len(found.packets) == 2


def test_an_archive_is_incomplete_for_a_client_that_was_away_before_it_begins() -> None:
    old, new = store_of(OLD), store_of(NEW)
    now = time.monotonic()
    old.recorder("/").sent(("x",), None).bus_number = 1
    hand_over(pack_log(old.log, 1, now - 20.0, now, MUCH), new)
    for since, is_complete in ((now - 30.0, False), (now - 10.0, True)):
        (found,) = new.missed_of_archives(session(absence=Absence(since=since)), {OLD: 0})
        assert (found.packets is not None) == is_complete


def test_an_archive_without_its_end_does_not_count() -> None:
    old, new = store_of(OLD), store_of(NEW)
    old.recorder("/").sent(("x",), None).bus_number = 1
    hand_over(pack_log(old.log, 1, 0.0, time.monotonic(), MUCH)[:-1], new)
    assert list(new.missed_of_archives(session(), {})) == []


def test_an_archive_that_lacks_a_packet_does_not_count() -> None:
    old, new = store_of(OLD), store_of(NEW)
    for number in range(3):
        old.recorder("/").sent((str(number),), None).bus_number = 1 + number
    rows = pack_log(old.log, 3, 0.0, time.monotonic(), MUCH)
    hand_over(rows[1:], new)
    assert list(new.missed_of_archives(session(), {})) == []
    hand_over(rows, new)
    (found,) = new.missed_of_archives(session(), {})
    assert found.packets is not None and len(found.packets) == 3


@pytest.mark.parametrize("row", [["nothing"], ["session", 1], ["table", "t"], [], 5])
def test_a_malformed_row_is_refused(row: object) -> None:
    with pytest.raises(EnvelopeError):
        HandoverReader(store := store_of(NEW), store.adopt).read(pack_values([row]))
