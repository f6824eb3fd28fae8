"""The timer gives back the memory of sessions whose time is over."""

import time
from collections import Counter

from tests.support.timing import wait_until
from zmqio.config import Recovery
from zmqio.ids import NodeId, Sid
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore
from zmqio.server.recovery_expiry import RecoveryExpiry


async def test_a_session_expires_without_any_other_event() -> None:
    counters: Counter[str] = Counter()
    store = RecoveryStore(NodeId("me"), Recovery(max_disconnection_s=0.01), 0.0, counters, time.monotonic)
    expiry = RecoveryExpiry(store, 0.01)
    expiry.start()
    store.suspend(RecoverableSession("pid", "/", Sid("sid"), (), {}, 0.0, {}, 0))
    await wait_until(lambda: counters["suspended_sessions_expired"] == 1, "the end of the session")
    expiry.stop()
    expiry.stop()
    assert len(store.suspended) == 0
