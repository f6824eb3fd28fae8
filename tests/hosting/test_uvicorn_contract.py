"""The guard for uvicorn's names: each is removed in turn, and connections are still served."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.server import ServerProtocol

from tests.support.timing import LIMIT_S, wait_until
from zmqio.engine.websocket import EXTENSION
from zmqio.exceptions import ServeError
from zmqio.hosting import accepted_server, server
from zmqio.hosting.accepted_server import AcceptedServer
from zmqio.hosting.http_protocol import HttpProtocol
from zmqio.hosting.options import HttpOptions
from zmqio.hosting.server import make_config
from zmqio.hosting.uvicorn_contract import (
    ATTRIBUTES,
    METHODS,
    find_missing,
    missing_names,
    protocol_classes,
    require_lifespan_state,
)
from zmqio.hosting.websocket_protocol import WebSocketProtocol
from zmqio.hosting.websocket_takeover import TakeoverProtocol

PLAIN = (HttpToolsProtocol, WebSocketsSansIOProtocol)
METHOD_CASES = [(owner, name) for owner, names in METHODS.items() for name in names]
ATTRIBUTE_CASES = [(owner, name) for owner, names in ATTRIBUTES.items() for name in names]
OWNERS_OF_PARTS: dict[str, tuple[type, str]] = {
    "conn.available_extensions": (ServerProtocol, "available_extensions"),
    "flow.read_paused": (FlowControl, "read_paused"),
}
SERVER_CLASSES = {uvicorn.Server, uvicorn.Config, ServerState}


@pytest.fixture(autouse=True)
def unchecked() -> Iterator[None]:
    """Let every test check uvicorn itself, and leave no result behind."""
    missing_names.cache_clear()
    yield
    missing_names.cache_clear()


def remove_attribute(monkeypatch: pytest.MonkeyPatch, owner: type, path: str) -> None:
    """Make assignments to an attribute of instances have no effect."""
    owner, name = OWNERS_OF_PARTS.get(path, (owner, path.partition(".")[0]))
    monkeypatch.delattr(owner, name, raising=False)

    def ignore(self: object, attribute: str, value: object) -> None:
        if attribute != name:
            object.__setattr__(self, attribute, value)

    monkeypatch.setattr(owner, "__setattr__", ignore, raising=False)


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def assert_served_plainly(owner: type) -> None:
    """One warning is logged, and uvicorn's own classes are used."""
    with capture_logs() as logs:
        assert protocol_classes() == PLAIN
        config = make_config(app)
        assert (config.http, config.ws) == PLAIN
        if owner in SERVER_CLASSES and "Server" in str(missing_names()):
            with pytest.raises(ServeError, match=f"cannot serve with uvicorn {uvicorn.__version__}"):
                AcceptedServer(app, HttpOptions(), on_started=lambda: None, before_shutdown=_nothing)
    (warning,) = logs
    assert warning["event"] == "uvicorn_unsupported"
    assert warning["version"] == uvicorn.__version__
    assert warning["missing"]


async def _nothing() -> None: ...


def test_installed_uvicorn_has_every_name() -> None:
    with capture_logs() as logs:
        assert find_missing() == []
        assert protocol_classes() == (HttpProtocol, WebSocketProtocol)
    assert logs == []


@pytest.mark.parametrize(("owner", "name"), METHOD_CASES)
def test_uvicorn_without_a_method_is_served_plainly(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(owner, name)
    assert find_missing() == [f"{owner.__name__}.{name}"]
    assert_served_plainly(owner)


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTE_CASES)
def test_uvicorn_without_an_attribute_is_served_plainly(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        remove_attribute(patch, owner, name)
        # By its name, or by the error of uvicorn's own code that needs it; then all that this code would have set.
        missing, *_ = find_missing()
        assert missing.startswith((f"{owner.__name__}.{name}", "probe"))
        assert name.partition(".")[0] in missing
        if owner not in (uvicorn.Config, ServerState):  # whose constructors fail then
            assert_served_plainly(owner)


def test_every_overridden_name_is_listed() -> None:
    unlisted = {"pause_writing", "resume_writing", "keepalive_timeout"}  # see the module's docstring
    pairs = [
        (HttpProtocol, HttpToolsProtocol),
        (WebSocketProtocol, WebSocketsSansIOProtocol),
        (TakeoverProtocol, WebSocketsSansIOProtocol),
        *(
            (cls, uvicorn.Server)
            for module in (accepted_server, server)
            for cls in vars(module).values()
            if isinstance(cls, type) and issubclass(cls, uvicorn.Server) and cls is not uvicorn.Server
        ),
    ]
    assert len(pairs) == 5
    for ours, uvicorns in pairs:
        overridden = {name for name in vars(ours) if not name.startswith("__") and hasattr(uvicorns, name)}
        assert overridden - unlisted <= set(METHODS[uvicorns]), ours


def test_server_without_the_state_of_its_lifespan_is_refused() -> None:
    with pytest.raises(ServeError, match=r"it has no Server\.lifespan\.state"):
        require_lifespan_state(uvicorn.Server(uvicorn.Config(app, log_config=None)))


async def test_plain_classes_carry_an_application(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            raise NotImplementedError(scope["type"])
        assert EXTENSION not in scope["extensions"]
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    monkeypatch.setitem(METHODS[WebSocketsSansIOProtocol], "no_such_method", "nothing")  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    host = uvicorn.Server(make_config(echo))
    host.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.ensure_future(host.serve(sockets=[listener]))
    await wait_until(lambda: host.started, "uvicorn to start")
    async with connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/") as client:
        await client.send("hello")
        assert await client.recv() == "hello"
    host.should_exit = True
    await asyncio.wait_for(task, LIMIT_S)
