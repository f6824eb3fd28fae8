"""The files of the browser client: names, types, validation by ETag, and CORS."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import zmqio.client
from zmqio.client import FILE_NAMES, client_file
from zmqio.config import EngineOptions
from zmqio.server.client_app import ClientApp

ORIGIN = (b"origin", b"https://a.example")


async def _ask(name: str, *headers: tuple[bytes, bytes], method: str = "GET", **options: Any) -> Any:
    """The status, the headers and the body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/", "headers": headers, "client": None}
    app = ClientApp(EngineOptions(**options))
    assert app.serves(scope, f"/{name}")
    await app.respond(scope, send, f"/{name}")
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_bundles_and_their_source_maps_are_there() -> None:
    bundles = {"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"}
    assert {name for name in FILE_NAMES if name.endswith(".js")} == bundles
    for name in bundles:
        last_line = client_file(name).content.decode().rstrip().splitlines()[-1]
        assert last_line.removeprefix("//# sourceMappingURL=") in FILE_NAMES


def test_every_package_in_a_bundle_has_its_licence_beside_it() -> None:
    maps = [name for name in FILE_NAMES if name.endswith(".map")]
    sources = [source for name in maps for source in json.loads(client_file(name).content)["sources"]]
    packages = {match[1] for source in sources if (match := re.search(r"node_modules/([^/]+)/", source))}
    licences = (Path(zmqio.client.__file__).parent / "LICENSE.bundled-packages").read_text()
    assert packages == {"component-emitter", "notepack.io", "socket.io-msgpack-parser"}
    assert [name for name in packages if name not in licences] == []


@pytest.mark.parametrize("name", sorted(FILE_NAMES))
async def test_file_is_sent_with_its_type_and_tag(name: str) -> None:
    status, headers, body = await _ask(name)
    kind = b"json" if name.endswith(".map") else b"javascript"
    assert (status, headers[b"content-type"]) == (200, b"application/" + kind + b"; charset=utf-8")
    assert headers[b"content-length"] == str(len(body)).encode()
    assert (body, headers[b"cache-control"]) == (client_file(name).content, b"public, max-age=0")


def test_file_is_read_once_and_each_content_has_its_tag() -> None:
    assert client_file("socket.io.js") is client_file("socket.io.min.js")
    assert len({client_file(name).etag for name in FILE_NAMES}) == len(FILE_NAMES) - 1


@pytest.mark.parametrize("given", ["{}", "W/{}", '"other", {}', "*"])
async def test_client_that_has_the_file_gets_304(given: str) -> None:
    etag = client_file("socket.io.js").etag
    status, headers, body = await _ask("socket.io.js", (b"if-none-match", given.format(etag).encode()))
    assert (status, body, headers[b"etag"]) == (304, b"", etag.encode())
    assert not {b"content-length", b"content-type"} & set(headers)


@pytest.mark.parametrize("given", [b'"other"', b"", b'"'])
async def test_client_that_has_another_file_gets_the_file(given: bytes) -> None:
    assert (await _ask("socket.io.js", (b"if-none-match", given)))[0] == 200


@pytest.mark.parametrize(("method", "status", "has_body"), [("HEAD", 200, False), ("POST", 405, False)])
async def test_only_get_has_a_body(method: str, status: int, has_body: bool) -> None:
    found, _, body = await _ask("socket.io.js", method=method)
    assert (found, bool(body)) == (status, has_body)


@pytest.mark.parametrize(
    ("allowed", "origin", "credentials"),
    [
        ("*", b"*", None),
        (["https://a.example"], b"https://a.example", b"true"),
        (None, None, None),
        (lambda origin: 1 / 0, None, None),
    ],
)
async def test_module_script_of_another_page_gets_the_cors_headers(
    allowed: Any, origin: bytes | None, credentials: bytes | None
) -> None:
    for tag in (b'"other"', client_file("socket.io.esm.min.js").etag.encode()):
        request = ORIGIN, (b"if-none-match", tag)
        _, headers, _ = await _ask("socket.io.esm.min.js", *request, cors_allowed_origins=allowed)
        assert headers.get(b"access-control-allow-origin") == origin
        assert headers.get(b"access-control-allow-credentials") == credentials
