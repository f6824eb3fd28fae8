"""The options of `Server.admin`: what is refused, and what the page is offered."""

from typing import Any

import pytest

from tests.support.admin_nodes import cheap_hash
from zmqio.exceptions import ConfigError
from zmqio.server.admin.options import AdminOptions, make_options

LOGIN = {"username": "ops", "password": cheap_hash()}
DEFAULTS = {
    "username": "",
    "password": "",
    "mode": "production",
    "readonly": False,
    "namespace": "/admin",
    "server_id": "",
    "insecure": False,
}


def make(**options: Any) -> AdminOptions:
    return make_options(**{**DEFAULTS, **options})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "needs username= and password="),
        ({"username": "ops"}, "needs username= and password="),
        ({"password": cheap_hash()}, "needs username= and password="),
        ({**LOGIN, "insecure": True}, "insecure=True and a password"),
        ({"username": "ops", "password": "plain text"}, "zmqio admin-password"),
        ({**LOGIN, "mode": "debug"}, "'production' or 'development'"),
        ({**LOGIN, "namespace": "/"}, "choose another"),
        ({**LOGIN, "namespace": ""}, "choose another"),
    ],
)
def test_wrong_options_are_refused_with_the_reason(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make(**options)


def test_namespace_gets_its_slash() -> None:
    assert make(**LOGIN, namespace="ops").namespace == "/ops"


def test_nobody_is_asked_for_a_password_only_if_that_is_said() -> None:
    assert make(insecure=True).credentials is None
    credentials = make(**LOGIN).credentials
    assert credentials is not None
    assert credentials[0] == "ops"


def test_production_offers_statistics_only() -> None:
    assert make(**LOGIN).features == ["AGGREGATED_EVENTS"]


def test_development_offers_events_and_actions_and_readonly_no_actions() -> None:
    assert make(**LOGIN, mode="development", readonly=True).features == ["AGGREGATED_EVENTS", "ALL_EVENTS"]
    assert set(make(**LOGIN, mode="development").features) > {"ALL_EVENTS", "JOIN", "LEAVE", "DISCONNECT", "EMIT"}
