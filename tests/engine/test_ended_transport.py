"""Tests of `zmqio.engine.ended_transport`; `tests/e2e/test_closed_connections.py` has sessions."""

from zmqio.engine.ended_transport import ENDED
from zmqio.engine.packets import CLOSE, NOOP


def test_transport_of_an_ended_session_accepts_nothing_and_never_fails() -> None:
    assert not ENDED.ready
    assert ENDED.empty
    assert not ENDED.offer(NOOP)
    ENDED.flush()
    ENDED.begin_close()
    ENDED.end(farewell=CLOSE, code=1000, abort=False)
