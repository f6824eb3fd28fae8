"""The CORS rules alone: which origin gets which headers."""

from typing import Any

import pytest

from zmqio.config import EngineOptions
from zmqio.engine.cors import CorsPolicy, own_origins
from zmqio.engine.handshake import ClientRequest
from zmqio.exceptions import ConfigError

A = "https://a.example"
NAMED = {"Access-Control-Allow-Origin": A, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
ANY = {"Access-Control-Allow-Origin": "*"}
NOTHING = {"Vary": "Origin"}


def _request(method: str = "GET", **headers: str) -> ClientRequest:
    return ClientRequest(method, "/", "", {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("allowed", "is_allowed", "headers"),
    [
        (A, True, NAMED),
        ([A, "https://b"], True, NAMED),
        ([A, "*"], True, NAMED),
        (lambda origin: origin == A, True, NAMED),
        ("*", True, ANY),
        (["*"], True, ANY),
        (["https://b", "*"], True, {**ANY, **NOTHING}),
        (["https://b"], False, NOTHING),
        (lambda origin: origin == "*", False, NOTHING),
        (None, False, NOTHING),
        ((), True, {}),
    ],
)
def test_credentials_are_allowed_for_listed_origins_only(allowed: Any, is_allowed: bool, headers: Any) -> None:
    decision = CorsPolicy(EngineOptions(cors_allowed_origins=allowed)).decide(_request(origin=A, host="c"))
    assert (decision.allowed, dict(decision.headers)) == (is_allowed, headers)


def test_origin_that_spells_the_wildcard_gets_no_credentials() -> None:
    decision = CorsPolicy(EngineOptions(cors_allowed_origins="*")).decide(_request(origin="*"))
    assert dict(decision.headers) == ANY


def test_request_without_an_origin_is_allowed_without_headers() -> None:
    decision = CorsPolicy(EngineOptions(cors_allowed_origins=[A])).decide(_request())
    assert (decision.allowed, decision.headers) == (True, ())


def test_preflight_names_methods_and_the_requested_headers() -> None:
    policy = CorsPolicy(EngineOptions(cors_allowed_origins="*"))
    headers = policy.decide(_request("OPTIONS", origin=A, access_control_request_headers="x-token")).headers
    assert headers == (
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", "OPTIONS, GET, POST"),
        ("Access-Control-Allow-Headers", "x-token"),
        ("Vary", "Access-Control-Request-Headers"),
    )


def test_preflight_of_a_refused_origin_allows_nothing() -> None:
    headers = CorsPolicy(EngineOptions()).decide(_request("OPTIONS", origin=A, host="c")).headers
    assert dict(headers) == NOTHING


@pytest.mark.parametrize(
    ("proxied", "forwarded", "expected"),
    [
        (False, "front", {"http://host:1"}),
        (True, "front", {"http://host:1", "http://front"}),
        (True, "evil.example, front", {"http://host:1", "http://front"}),
        (True, "", {"http://host:1"}),
    ],
)
def test_own_origin_is_the_host_and_what_a_trusted_proxy_states(
    proxied: bool, forwarded: str, expected: set[str]
) -> None:
    request = ClientRequest("GET", "/", "", {"host": "host:1", "x-forwarded-host": forwarded}, proxied=proxied)
    assert own_origins(request) == expected


async def _async(origin: str) -> bool:
    return True


class _AsyncCall:
    async def __call__(self, origin: str) -> bool:
        return True


@pytest.mark.parametrize("function", [_async, _AsyncCall()])
def test_async_function_is_a_config_error(function: Any) -> None:
    with pytest.raises(ConfigError, match="cors_allowed_origins is an async function"):
        EngineOptions(cors_allowed_origins=function)
