"""Origins and cookies in the form of python-engineio."""

from typing import Any

import pytest

from zmqio.config import EngineOptions
from zmqio.engine.handshake import ClientRequest
from zmqio.engine.origin import cookie_attributes, cors_environ, cors_origins


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, None), ("*", "*"), ((), []), (("http://a", "http://b"), ["http://a", "http://b"])],
)
def test_origins_are_none_text_or_a_list(given: Any, expected: Any) -> None:
    assert cors_origins(EngineOptions(cors_allowed_origins=given)) == expected


def test_function_of_the_origin_is_handed_on() -> None:
    def allowed(origin: str) -> bool:
        return origin == "http://a"

    assert cors_origins(EngineOptions(cors_allowed_origins=allowed)) is allowed


def test_environment_has_what_the_cors_rules_read_and_nothing_else() -> None:
    headers = {"origin": "http://a", "host": "h", "x-forwarded-proto": "https", "cookie": "secret"}
    assert cors_environ(ClientRequest("GET", "/", "", headers, secure=True)) == {
        "REQUEST_METHOD": "GET",
        "wsgi.url_scheme": "https",
        "HTTP_ORIGIN": "http://a",
        "HTTP_HOST": "h",
        "HTTP_X_FORWARDED_PROTO": "https",
    }


def test_cookie_name_gets_the_javascript_servers_attributes() -> None:
    assert cookie_attributes("io") == {"Path": "/", "HttpOnly": True, "SameSite": "Lax", "name": "io"}


def test_given_attributes_replace_defaults_whatever_their_case() -> None:
    given: dict[str, str | bool] = {
        "name": "n",
        "path": "/x",
        "samesite": "None",
        "HttpOnly": False,
        "Secure": True,
    }
    assert cookie_attributes(given) == {"name": "n", "path": "/x", "samesite": "None", "Secure": True}
