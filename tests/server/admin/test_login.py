"""Login to the admin namespace: passwords, sessions of any node, and the limit on failed ones."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.admin_nodes import USER, FakeClient, admin_nodes
from zmqio.server.admin.attempts import MAX_FAILURES_PER_ADDRESS
from zmqio.server.server import Server

INVALID = {"message": "invalid credentials"}


async def log_in(io: Server, auth: Any) -> FakeClient:
    return await FakeClient(io, "/admin", auth).connect()


async def test_password_begins_a_session_that_is_valid_on_every_node() -> None:
    async with admin_nodes(2) as (first, second):
        page = await log_in(first, USER)
        (session_id,) = await page.wait_for("session")
        again = await log_in(second, {"sessionId": session_id})
        assert again.sid
        assert again.events("session") == []


async def test_session_is_known_to_a_node_that_missed_its_begin() -> None:
    async with admin_nodes(1) as (first,):
        (session_id,) = await (await log_in(first, USER)).wait_for("session")
        login = _login_of(first)
        async with admin_nodes(2) as (late, holder):
            _login_of(holder)._sessions = login._sessions  # as if it had started after the session began
            assert (await log_in(late, {"sessionId": session_id})).sid
            assert (await log_in(late, {"sessionId": session_id[:-1]})).answer == INVALID


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        {"username": "ops"},
        {"username": "ops", "password": ""},
        {"username": "ops", "password": "wrong password"},
        {"username": "other", "password": USER["password"]},
        {"username": "ops", "password": [USER["password"]]},
        {"username": "\ud800", "password": "\ud800"},
        {"sessionId": "guess"},
        {"sessionId": ["guess"]},
        {"sessionId": "", "username": "ops", "password": "wrong password"},
    ],
)
async def test_everything_else_is_refused_without_a_trace_of_what_was_sent(auth: Any) -> None:
    async with admin_nodes(1) as (io,):
        with capture_logs() as logs:
            page = await log_in(io, auth)
        assert page.answer == INVALID
        refused = [line for line in logs if line["event"] == "admin_login_refused"]
        assert [line["address"] for line in refused] == ["127.0.0.1"]
        assert "wrong password" not in repr(logs)


async def test_too_many_failed_logins_are_refused_without_a_check_and_sessions_are_still_valid() -> None:
    async with admin_nodes(1) as (io,):
        (session_id,) = await (await log_in(io, USER)).wait_for("session")
        for _ in range(MAX_FAILURES_PER_ADDRESS):
            assert (await log_in(io, {**USER, "password": "wrong"})).answer == INVALID
        refused = await log_in(io, USER)
        assert refused.answer["message"].startswith("too many failed logins; try again in ")
        assert (await log_in(io, {"sessionId": session_id})).sid


async def test_insecure_admits_everyone_and_warns() -> None:
    with capture_logs() as logs:
        async with admin_nodes(1, insecure=True) as (io,):
            assert (await log_in(io, None)).sid
    assert [line["mode"] for line in logs if line["event"] == "admin_unprotected"] == ["production"]


def _login_of(io: Server) -> Any:
    (admit,) = io.of("/admin").registry.middleware
    return admit.__self__  # type: ignore[attr-defined]
