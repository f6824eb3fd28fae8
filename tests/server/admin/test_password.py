"""Hashes of the admin page's password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.admin_nodes import cheap_hash
from zmqio.exceptions import ConfigError
from zmqio.server.admin import password
from zmqio.server.admin.password import PasswordHash, hash_password


def test_hash_matches_its_password_only() -> None:
    text = hash_password("correct horse")
    assert text.startswith("scrypt:15:8:3:")
    assert PasswordHash.parse(text).matches("correct horse")
    assert not PasswordHash.parse(text).matches("correct horsf")


@pytest.fixture
def lowest_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG_N", "R", "P"):
        monkeypatch.setattr(password, name, 1)


@pytest.mark.usefixtures("lowest_cost")
def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password("correct horse") != hash_password("correct horse")


@given(st.text(min_size=1))
def test_text_of_a_hash_is_read_back(text: str) -> None:
    found = PasswordHash.parse(f" {cheap_hash(text)}\n")
    assert str(found) == cheap_hash(text)
    assert found.matches(text)
    assert not found.matches(f"{text}x")


@pytest.mark.usefixtures("lowest_cost")
def test_hash_has_no_character_that_a_shell_changes() -> None:
    assert set("$`\"'\\ *?!#&;|<>()").isdisjoint(hash_password("correct horse"))


@pytest.mark.parametrize(
    "text", ["", "my secret password", "scrypt:15:8:3", cheap_hash()[:-4], cheap_hash() + "!", "scrypt:1:1:1:a:b"]
)
def test_text_that_is_no_hash_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="zmqio admin-password") as caught:
        PasswordHash.parse(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("cost", ["21:8:1", "15:17:1", "15:8:17", "0:8:1", "15:0:1", "15:8:0"])
def test_cost_out_of_range_is_refused(cost: str) -> None:
    with pytest.raises(ConfigError, match="cost"):
        PasswordHash.parse(cheap_hash().replace("1:1:1", cost))


def test_short_password_is_refused_with_the_limit() -> None:
    with pytest.raises(ValueError, match="7 characters; use at least 8"):
        hash_password("1234567")
