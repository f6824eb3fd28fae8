"""`AdminSessions`: ids that end, with a clock of the test."""

from zmqio.server.admin.sessions import MAX_SESSIONS, SESSION_S, AdminSessions, digest_of


def test_session_ends_after_a_day() -> None:
    sessions = AdminSessions()
    digest = digest_of(sessions.create(1_000))
    assert sessions.left_s(digest, 1_000) == SESSION_S
    assert sessions.left_s(digest, 1_000 + SESSION_S - 1) == 1
    assert sessions.left_s(digest, 1_000 + SESSION_S) == 0
    assert sessions.left_s(digest, 1_000) == 0  # it is forgotten


def test_unknown_session_has_ended() -> None:
    assert AdminSessions().left_s(digest_of("guess"), 0) == 0


def test_session_of_another_node_keeps_its_end() -> None:
    here, there = AdminSessions(), AdminSessions()
    digest = digest_of(here.create(0))
    there.add(digest, here.left_s(digest, 3_600), 77)
    assert there.left_s(digest, 77) == SESSION_S - 3_600
    there.add("of a node that lies", 10 * SESSION_S, 0)
    assert there.left_s("of a node that lies", 0) == SESSION_S


def test_ids_differ_and_the_oldest_is_dropped_beyond_the_limit() -> None:
    sessions = AdminSessions()
    ids = [sessions.create(0) for _ in range(MAX_SESSIONS + 1)]
    assert len(set(ids)) == len(ids)
    assert sessions.left_s(digest_of(ids[0]), 0) == 0
    assert sessions.left_s(digest_of(ids[1]), 0) > 0
    assert sessions.left_s(digest_of(ids[-1]), 0) > 0


def test_ids_themselves_are_not_kept() -> None:
    sessions = AdminSessions()
    session_id = sessions.create(0)
    assert session_id not in repr(vars(sessions))
