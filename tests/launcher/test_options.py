"""Defaults of the options, and errors for those that cannot work."""

from typing import Any

import pytest

from zmqio.exceptions import ConfigError
from zmqio.launcher.options import ServeOptions, acceptor_count, check_tls, worker_count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"app": "chat"}, "module:attribute"),
        ({"app": object()}, "is not a string"),
        ({"bind": "8000"}, "host:port"),
        ({"workers": 0}, "workers=0"),
        ({"workers": "many"}, "workers='many'"),
        ({"acceptors": 0}, "acceptors=0"),
        ({"acceptors": "many"}, "acceptors='many'"),
        ({"broker": "redis://x"}, "tcp://host:port"),
        ({"sticky": "cookie"}, "sid, address, none"),
        ({"sticky": "sid", "ssl_certfile": "x"}, "hides the session id"),
        ({"ssl_keyfile": "x"}, "ssl_certfile"),
        ({"node_tag": "abc"}, "at most 2"),
        ({"trusted_proxies": "x"}, "trusted proxy 'x'"),
        ({"drain_s": -1}, "drain_s=-1"),
        ({"head_limit_s": 0}, "head_limit_s=0"),
        ({"max_head_bytes": 0}, "max_head_bytes=0"),
        ({"worker_timeout_s": 2}, "worker_timeout_s=2 must be greater than 2, or 0"),
        ({"worker_timeout_s": -1}, "worker_timeout_s=-1"),
        ({"log_level": "loud"}, "log_level='loud'"),
    ],
)
def test_option_that_cannot_work_is_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ServeOptions(**{"app": "chat:app", **options})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_stickiness_defaults_to_sid_and_with_tls_to_address() -> None:
    assert ServeOptions("chat:app").stickiness == "sid"
    assert ServeOptions("chat:app", ssl_certfile="x").stickiness == "address"
    assert ServeOptions("chat:app", ssl_certfile="x", sticky="none").stickiness == "none"


def test_number_of_workers() -> None:
    assert worker_count(ServeOptions("chat:app", workers=3)) == 3
    assert worker_count(ServeOptions("chat:app")) >= 1
    assert worker_count(ServeOptions("chat:app", reload=True)) == 1
    assert worker_count(ServeOptions("chat:app", reload=True, workers=2)) == 2


@pytest.mark.parametrize(("workers", "acceptors"), [(1, 1), (2, 1), (3, 2), (4, 2), (7, 4), (64, 32)])
def test_default_is_one_acceptor_for_two_workers(workers: int, acceptors: int) -> None:
    assert acceptor_count(ServeOptions("chat:app", workers=workers)) == acceptors


def test_given_number_of_acceptors_is_used() -> None:
    assert acceptor_count(ServeOptions("chat:app", workers=8, acceptors=1)) == 1
    assert acceptor_count(ServeOptions("chat:app", workers=1, acceptors=2)) == 2


def test_stop_timeout_is_the_drain_plus_a_margin() -> None:
    assert ServeOptions("chat:app", drain_s=30).stop_timeout_s == 50


def test_invalid_certificate_is_rejected(tmp_path: Any) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"cannot load .*cert\.pem for TLS"):
        check_tls(ServeOptions("chat:app", ssl_certfile=str(tmp_path / "cert.pem")))
