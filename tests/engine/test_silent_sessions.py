"""Sessions whose clients have sent nothing: their time, and the memory of their heads."""

from tests.support.timing import wait_until
from zmqio.engine.silent_sessions import SilentSessions


async def test_session_that_stays_silent_expires() -> None:
    expired: list[str] = []
    sessions: SilentSessions[str] = SilentSessions(0.01, expired.append)
    sessions.add("a", 10)
    sessions.add("b", 10)
    sessions.remove("a")
    await wait_until(lambda: expired, "the end of the time")
    assert (expired, len(sessions)) == (["b"], 0)


async def test_oldest_sessions_expire_when_the_heads_take_too_much_memory() -> None:
    expired: list[str] = []
    sessions: SilentSessions[str] = SilentSessions(1_000, expired.append, max_bytes=100)
    for name in "abcd":
        sessions.add(name, 40)
    assert expired == ["a", "b"]
    sessions.remove("c")
    sessions.add("e", 60)
    assert expired == ["a", "b"]
    sessions.add("f", 500)
    assert (expired, len(sessions)) == (["a", "b", "d", "e"], 1)
    sessions.stop()
    assert len(sessions) == 0
