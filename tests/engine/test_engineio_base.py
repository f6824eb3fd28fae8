"""The seams to python-engineio: a test for each, so that an incompatible version is noticed."""

import inspect
import logging

import engineio
from engineio.async_server import AsyncServer
from engineio.async_socket import AsyncSocket

from tests.support.engine import EngineUnderTest
from zmqio.config import EngineOptions
from zmqio.engine.engineio_base import cookie_attributes
from zmqio.engine.server import Engine, Session
from zmqio.ids import NodeTag


def _engine(**options: object) -> Engine:
    return Engine(EngineOptions(**options), NodeTag("node"), lambda *_: None)  # type: ignore[arg-type, return-value]


def test_engine_and_session_are_subclasses_of_the_public_classes() -> None:
    assert issubclass(Engine, engineio.AsyncServer)
    assert issubclass(Session, AsyncSocket)
    assert AsyncServer is engineio.AsyncServer


def test_socket_makes_its_queue_through_the_server() -> None:
    assert "create_queue" in inspect.getsource(AsyncSocket.__init__)
    assert _engine().create_queue() is None


def test_options_reach_the_base_class() -> None:
    engine = _engine(ping_interval_s=0.3, max_payload_bytes=7, transports=("polling",))
    assert (engine.ping_interval, engine.max_http_buffer_size) == (0.3, 7)
    assert list(engine.transports) == ["polling"]
    assert engine.async_mode == "asgi"


def test_base_class_starts_no_task_and_adds_no_handler() -> None:
    handlers = list(logging.getLogger("engineio.server").handlers)  # another test may have used the base class
    engine = _engine()
    assert engine.start_service_task is False
    assert engine.logger.propagate is False
    assert not engine.logger.isEnabledFor(50)
    assert logging.getLogger("engineio.server").handlers == handlers
    assert [type(each) for each in engine.logger.handlers].count(logging.NullHandler) == 1
    assert _engine().logger.handlers == engine.logger.handlers  # a second engine adds no second one


def test_cookie_is_written_from_attributes() -> None:
    text = _engine()._generate_sid_cookie("s", {"name": "io", "Path": "/", "HttpOnly": True})
    assert text == "io=s; Path=/; HttpOnly"


async def test_registry_of_sessions_is_the_base_classes() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        assert host.engine.sockets[sid] is connection.session
        assert host.engine._get_socket(sid) is connection.session


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
