import zmq
from zmqio_broker.rejections import INTERVAL_S, MAX_SUBJECTS, PeerRejection, Rejections, peer_property


def test_first_reason_of_each_peer_is_kept_with_a_count() -> None:
    rejections = Rejections()
    for reason in ("first", "second"):
        rejections.note(PeerRejection(True, "peer", reason))
    rejections.note(PeerRejection(False, "peer", "first"))
    assert rejections.take(0.0) == {
        PeerRejection(True, "peer", "first"): 2,
        PeerRejection(False, "peer", "first"): 1,
    }


def test_report_is_made_once_a_second() -> None:
    rejections = Rejections()
    rejections.note(PeerRejection(True, "peer", "x"))
    assert rejections.take(10.0)
    rejections.note(PeerRejection(True, "peer", "x"))
    assert not rejections.take(10.0 + INTERVAL_S / 2)
    assert rejections.take(10.0 + INTERVAL_S)


def test_number_of_lines_is_limited_and_everything_counted() -> None:
    rejections = Rejections()
    for number in range(10 * MAX_SUBJECTS):
        rejections.note(PeerRejection(True, str(number), "x"))
    taken = rejections.take(0.0)
    assert len(taken) == MAX_SUBJECTS + 1
    assert sum(taken.values()) == 10 * MAX_SUBJECTS
    assert taken[PeerRejection(True, "", "various")] == 9 * MAX_SUBJECTS


def test_missing_property_is_empty() -> None:
    assert peer_property(zmq.Frame(b""), "User-Id") == ""
