"""Limits on the number of open sessions."""

from typing import Any

import pytest

from zmqio.config import EngineOptions
from zmqio.engine.session_limits import SessionLimits, network_of
from zmqio.ids import EngineSid


def _limits(addresses: list[str], **options: Any) -> SessionLimits:
    limits = SessionLimits(EngineOptions(**options))
    for number, address in enumerate(addresses):
        assert limits.refuse(address) is None
        limits.opened(EngineSid(f"s{number}"), address)
    return limits


def test_session_beyond_the_limit_of_the_node_is_refused_until_one_closes() -> None:
    limits = _limits(["a", "b"], max_sessions=2)
    refusal = limits.refuse("c")
    assert refusal is not None
    assert refusal.status == 503
    assert refusal.body == (
        b'{"code":3,"message":"Too many sessions: this server has 2 (max_sessions); try again later",'
        b'"option":"max_sessions"}'
    )
    limits.closed(EngineSid("s0"))
    assert limits.refuse("c") is None


def test_session_beyond_the_limit_of_an_address_is_refused_until_one_of_it_closes() -> None:
    limits = _limits(["a", "b", "a"], max_sessions_per_address=2)
    refusal = limits.refuse("a")
    assert refusal is not None
    assert "this address has 2 (max_sessions_per_address)" in refusal.message
    limits.closed(EngineSid("s1"))
    assert limits.refuse("a") == refusal
    limits.closed(EngineSid("s0"))
    assert limits.refuse("a") is None


def test_nothing_is_kept_of_addresses_without_sessions() -> None:
    limits = _limits(["a", "b"], max_sessions_per_address=2)
    for sid in ("s0", "s1"):
        limits.closed(EngineSid(sid))
    assert (limits._by_network, limits._networks) == ({}, {})
    assert limits.refuse("c") is None
    assert limits._by_network == {}


def test_unknown_address_has_no_limit_of_its_own() -> None:
    assert _limits(["", "", ""], max_sessions_per_address=1).refuse("") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("not:an:address", "not:an:address", True),
    ],
)
def test_addresses_of_one_ipv6_network_count_as_one(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same
