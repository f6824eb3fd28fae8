"""The probes have handled one request each."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from zmqio.hosting.uvicorn_probes import make_probes


def test_each_protocol_has_made_a_scope_of_its_request() -> None:
    probes = make_probes()
    types = {kind: probes[kind].scope["type"] for kind in (HttpToolsProtocol, WebSocketsSansIOProtocol)}
    assert types == {HttpToolsProtocol: "http", WebSocketsSansIOProtocol: "websocket"}
