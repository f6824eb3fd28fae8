"""docs/mounting.md: the engine in web frameworks, as the page shows it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import ROOT, files_of
from tests.support.timing import LIMIT_S

FILES = files_of(ROOT / "docs" / "mounting.md")
PROGRAM = """
import asyncio, importlib, sys
import httpx

async def main():
    app = importlib.import_module(sys.argv[1]).app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        page = await client.get(sys.argv[2])
        handshake = await client.get("/socket.io/?EIO=4&transport=polling")
    print(page.status_code, page.text, handshake.status_code, handshake.text[:6])

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("app.py", "/docs", "Swagger UI"),
        ("starlette_app.py", "/", "home"),
        ("litestar_app.py", "/", "home"),
        ("django_app.py", "/", "home"),
        ("background_app.py", "/socket.io/socket.io.js", "Socket.IO"),
    ],
)
def test_framework_and_engine_both_answer(name: str, path: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    command = [sys.executable, "-c", PROGRAM, name.removesuffix(".py"), path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3 * LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(f"^200 .*{text}", done.stdout, re.M | re.S)
    assert done.stdout.rstrip().endswith('200 0{"sid')
