"""The app serves the page's files and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from zmqio.demo.static import PAGE, StaticFiles


async def get(app: StaticFiles, path: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": path}, None, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


@pytest.fixture
def app() -> StaticFiles:
    return StaticFiles(PAGE, lambda: {"node": "A"})


async def test_page_is_at_the_root_with_a_strict_policy(app: StaticFiles) -> None:
    status, headers, body = await get(app, "/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert b"<html" in body


async def test_config_is_created_for_each_request(app: StaticFiles) -> None:
    status, headers, body = await get(app, "/config.json")
    assert (status, json.loads(body)) == (200, {"node": "A"})
    assert headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("path", ["/../chat.py", "/..%2fchat.py", "/nothing", "//etc/passwd"])
async def test_no_path_leads_outside_the_folder(app: StaticFiles, path: str) -> None:
    assert (await get(app, path))[0] == 404


def test_every_file_of_the_page_is_served() -> None:
    assert {path.name for path in Path(PAGE).iterdir()} >= {"index.html", "style.css", "chat.js"}
