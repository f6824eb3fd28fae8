"""The choice of the client's address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio import trusted_proxies
from zmqio.exceptions import ConfigError
from zmqio.trusted_proxies import MAX_FORWARDED_ADDRESSES, TrustedProxies

LOCAL = TrustedProxies("127.0.0.1, ::1,10.0.0.0/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("::1", ["1.2.3.4"], "1.2.3.4"),
        ("10.9.9.9", ["1.2.3.4"], "1.2.3.4"),
        ("::ffff:10.9.9.9", ["1.2.3.4"], "1.2.3.4"),
        ("9.9.9.9", ["1.2.3.4"], "9.9.9.9"),  # not a trusted peer
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # the first entry was written by the client
        ("127.0.0.1", ["6.6.6.6", "1.2.3.4, 10.0.0.1"], "1.2.3.4"),
        ("127.0.0.1", ["10.0.0.2, 10.0.0.1"], "10.0.0.2"),  # all are trusted proxies
        ("127.0.0.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("127.0.0.1", ["[2001:db8::1]:5678"], "2001:db8::1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["1.2.3.4, unknown, 10.0.0.1"], "10.0.0.1"),
        (None, ["1.2.3.4"], None),  # a unix socket has no address to trust
    ],
)
def test_client_address(peer: str | None, forwarded: list[str], client: str | None) -> None:
    assert LOCAL.client_address(peer, forwarded) == client


@pytest.mark.parametrize("peer", [None, "9.9.9.9"])
def test_star_trusts_every_peer_and_takes_the_first_address(peer: str | None) -> None:
    assert TrustedProxies("*").client_address(peer, ["1.2.3.4, 5.6.7.8", "9.9.9.9"]) == "1.2.3.4"


def test_empty_list_trusts_no_peer() -> None:
    assert TrustedProxies("").client_address("127.0.0.1", ["1.2.3.4"]) == "127.0.0.1"


@given(st.lists(st.text(max_size=20), max_size=4), st.sampled_from(["*", "127.0.0.1"]))
def test_any_header_yields_the_peer_or_an_address(forwarded: list[str], trusted: str) -> None:
    found = TrustedProxies(trusted).client_address("127.0.0.1", forwarded)
    assert found is not None


def test_entry_that_is_not_an_address_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"'localhost' must be an address .* a network"):
        TrustedProxies("127.0.0.1,localhost")


@pytest.mark.parametrize(
    ("text", "peer", "trusted"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("*", None, True),
        ("127.0.0.1", None, False),
        ("", "127.0.0.1", False),
    ],
)
def test_peer_is_trusted_by_its_address(text: str, peer: str | None, trusted: bool) -> None:
    assert TrustedProxies(text).trusts(peer) is trusted


@pytest.mark.parametrize("trusted", ["*", "127.0.0.1"])
def test_few_of_very_many_addresses_are_parsed(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str | None] = []
    parse = trusted_proxies._parse

    def count(text: str | None) -> object:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(trusted_proxies, "_parse", count)
    proxies = TrustedProxies(trusted)
    for address in ("127.0.0.1", "x", ""):
        assert proxies.client_address("127.0.0.1", [",".join([address] * 30_000)] * 2) == "127.0.0.1"
    assert len(parsed) <= 3 * (1 + MAX_FORWARDED_ADDRESSES)
