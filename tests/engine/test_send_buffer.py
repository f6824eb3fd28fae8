"""The queue of what waits for one client."""

from hypothesis import given
from hypothesis import strategies as st

from zmqio.engine.packets import Prepared
from zmqio.engine.send_buffer import SendBuffer


def _piece(text: str) -> Prepared:
    return Prepared.of_messages([text])


def _filled(*texts: str) -> SendBuffer:
    send_buffer = SendBuffer()
    for text in texts:
        send_buffer.append(_piece(text))
    return send_buffer


def _texts(taken: list[Prepared]) -> list[str]:
    return [str(packet)[1:] for prepared in taken for packet in prepared.packets]


def test_counts_bytes_and_packets_of_what_waits() -> None:
    send_buffer = _filled("a", "bb")
    assert (send_buffer.size_bytes, send_buffer.packets, bool(send_buffer)) == (5, 2, True)
    send_buffer.pop()
    send_buffer.pop()
    assert (send_buffer.size_bytes, send_buffer.packets, bool(send_buffer)) == (0, 0, False)


def test_poll_takes_no_more_bytes_than_a_body_may_have_separators_included() -> None:
    send_buffer = _filled("aaa", "bbb", "ccc")
    assert _texts(send_buffer.take_for_poll(9, 100)) == ["aaa", "bbb"]  # 4 + 1 + 4 bytes
    assert _texts(send_buffer.take_for_poll(9, 100)) == ["ccc"]


def test_poll_counts_binary_as_base64() -> None:
    send_buffer = SendBuffer()
    for _ in range(2):
        send_buffer.append(Prepared([b"123456"]))  # a record of 9 bytes
    assert len(send_buffer.take_for_poll(18, 100)) == 1
    assert len(send_buffer.take_for_poll(18, 100)) == 1


def test_poll_takes_no_more_packets_than_a_body_may_have() -> None:
    assert _texts(_filled("a", "b", "c").take_for_poll(100, 2)) == ["a", "b"]


def test_poll_takes_one_piece_however_large() -> None:
    assert _texts(_filled("x" * 50, "y").take_for_poll(10, 1)) == ["x" * 50]


def test_put_back_restores_order_and_counts() -> None:
    send_buffer = _filled("a", "b", "c", "d")
    taken = send_buffer.take_for_poll(5, 100)
    send_buffer.append(_piece("e"))
    send_buffer.put_back(taken)
    assert (send_buffer.size_bytes, send_buffer.packets) == (10, 5)
    assert _texts(send_buffer.take_for_poll(100, 100)) == ["a", "b", "c", "d", "e"]


@given(st.lists(st.text(max_size=10), max_size=30), st.integers(1, 40), st.integers(1, 5), st.data())
def test_polls_that_succeed_or_abort_deliver_everything_once_and_in_order(
    texts: list[str], max_bytes: int, max_packets: int, data: st.DataObject
) -> None:
    send_buffer = _filled(*texts)
    delivered: list[str] = []
    aborts = 0
    while send_buffer:
        taken = send_buffer.take_for_poll(max_bytes, max_packets)
        if aborts < 20 and data.draw(st.booleans()):
            aborts += 1
            send_buffer.put_back(taken)
        else:
            delivered += _texts(taken)
    assert delivered == texts
    assert (send_buffer.size_bytes, send_buffer.packets) == (0, 0)
