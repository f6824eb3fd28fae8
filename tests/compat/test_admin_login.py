"""Tests of `zmqio.compat.admin_login`."""

from typing import Any

import pytest

from zmqio.compat.admin_login import AdminHandle, login_options
from zmqio.exceptions import ConfigError
from zmqio.server.admin.password import PasswordHash


def test_a_login_is_passed_on_with_the_hash_of_its_password() -> None:
    options = login_options({"username": "ops", "password": "a secret"}, 2)
    assert options["username"] == "ops"
    assert PasswordHash.parse(options["password"]).matches("a secret")
    assert login_options(False, 2) == {"insecure": True}


@pytest.mark.parametrize("auth", [None, True, [], [{"username": "a", "password": "b"}], {"token": 1}, print])
def test_other_logins_are_refused_without_showing_them(auth: Any) -> None:
    with pytest.raises(ConfigError, match="give one dict with `username` and `password`"):
        login_options(auth, 2)


def test_another_interval_is_refused() -> None:
    with pytest.raises(ConfigError, match="server_stats_interval=5"):
        login_options(False, 5)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 6 characters; use at least 8"):
        login_options({"username": "admin", "password": "python"}, 2)


async def test_the_handle_can_be_shut_down() -> None:
    await AdminHandle().shutdown()
