"""Tests of `zmqio.compat.environ`."""

import pytest

from zmqio.compat.environ import make_environ
from zmqio.server.handshake import Handshake

HANDSHAKE = Handshake(
    headers={"host": "h", "x-token": "a, b", "cookie": "k=ü", "content-type": "text/plain"},
    query={"EIO": "4"},
    auth=None,
    address="10.0.0.1",
    secure=True,
    time=1.0,
    url="//strange/socket.io/?EIO=4&q=%20x",
)


def test_request_and_headers_have_the_names_of_wsgi() -> None:
    environ = make_environ(HANDSHAKE)
    assert environ["PATH_INFO"] == "//strange/socket.io/"
    assert environ["QUERY_STRING"] == "EIO=4&q=%20x"
    assert environ["RAW_URI"] == HANDSHAKE.url
    assert (environ["HTTP_HOST"], environ["HTTP_X_TOKEN"], environ["CONTENT_TYPE"]) == ("h", "a, b", "text/plain")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("10.0.0.1", "https")


def test_the_scope_has_what_the_request_contained() -> None:
    scope = make_environ(HANDSHAKE)["asgi.scope"]
    assert scope["query_string"] == b"EIO=4&q=%20x"
    assert (b"cookie", "k=ü".encode("latin-1")) in scope["headers"]
    assert scope["client"] == ("10.0.0.1", 0)


def test_unknown_names_are_explained_and_get_returns_its_default() -> None:
    environ = make_environ(HANDSHAKE)
    with pytest.raises(KeyError, match=r"asgi\.receive.* is not known .*docs/from-python-socketio\.md"):
        environ["asgi.receive"]
    with pytest.raises(KeyError, match=r"session.* is not known"):
        environ["asgi.scope"]["session"]
    assert environ.get("HTTP_ORIGIN") is None
