"""Headless Chromium tabs for the tests of the demo's page.

Starts `browser.mjs` under node and speaks JSON lines with it; knows the page by its `data-testid` names only.
`browser_missing` names a missing program (node, chromium, playwright-core), for `pytest.mark.skipif`.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tests.support.timing import LIMIT_S

__all__ = ["Browser", "BrowserError", "SeenMessage", "Tab", "browser_missing", "open_browser"]

_DRIVER = Path(__file__).with_name("browser.mjs")
# An answer holds every message of the page: far above asyncio's 64 KiB a line.
_LINE_LIMIT_BYTES = 16 * 1024 * 1024


class BrowserError(AssertionError):
    """The browser did not show the expected content, or the driver died; the text says which."""


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """One message as the page shows it.

    `node` is the sender's node or "outside"; `via` is "local" or "broker"; `state` is "received" for other
    people's messages, else "waiting", "sending", "delivered", "unconfirmed" or "failed"; `shown` is the text as
    rendered.
    """

    id: str | None
    text: str
    sender: str
    node: str
    via: str
    state: str
    own: bool
    route: str
    shown: str


def _node_modules() -> Path | None:
    named = os.environ.get("ZMQIO_NODE_MODULES") or os.environ.get("NODE_PATH", "").split(os.pathsep)[0]
    return Path(named) if named and (Path(named) / "playwright-core").is_dir() else None


def browser_missing() -> str | None:
    """The program that is missing for a browser test; None if all are available."""
    if shutil.which("node") is None:
        return "node is not installed"
    if shutil.which("chromium") is None:
        return "chromium is not installed"
    if _node_modules() is None:
        return "ZMQIO_NODE_MODULES names no folder with playwright-core"
    return None


class Browser:
    """A running browser; `open_browser` makes and closes it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()
        self._asked = 0
        self._tabs: list[Tab] = []

    async def open(self, name: str, url: str, **view: str | int) -> "Tab":
        """Open `url` in a tab of its own context and wait until the page is connected.

        Args:
            name: the tab's name, for error texts.
            url: the page, query included.
            view: `width`, `height` (pixels), `scheme` ("light" or "dark"), `motion` ("reduce", the default, which
                takes less CPU, or "no-preference").

        Raises:
            BrowserError: the page did not connect within the limit.
        """
        await self.ask("open", tab=name, url=url, **view)
        self._tabs.append(Tab(self, name))
        return self._tabs[-1]

    async def close_tabs(self) -> None:
        """Close all tabs."""
        while self._tabs:
            await self._tabs.pop().close()

    async def ask(self, what: str, **request: Any) -> Any:  # Any: JSON both ways
        """Send one request to the driver and return its value; a refused one raises `BrowserError`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._lock:
            self._asked += 1
            line = json.dumps({"id": self._asked, "do": what, **request})
            stdin.write(line.encode() + b"\n")
            async with asyncio.timeout(2 * LIMIT_S):
                await stdin.drain()
                reply = {"id": 0}
                while reply["id"] != self._asked:  # the answer to a request whose caller has been cancelled
                    if not (answer := await stdout.readline()):
                        raise BrowserError(f"the browser driver ended during {what!r}")
                    reply = json.loads(answer)
        if not reply["ok"]:
            raise BrowserError(f"{what} {request}: {reply['error']}")
        return reply["value"]


class Tab:
    """One tab with the demo's page. Every wait fails with `BrowserError` after `LIMIT_S` seconds."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self.name = name

    async def send(self, text: str) -> None:
        """Type a message and press Send; does not wait for its acknowledgement."""
        await self._browser.ask("send", tab=self.name, text=text)

    async def set_nickname(self, name: str) -> None:
        """Change the name in the field beside the chat's title."""
        await self._browser.ask("nickname", tab=self.name, name=name)

    async def click(self, testid: str) -> None:
        """Click the element with that `data-testid`, e.g. "reconnect-polling" or "retry"."""
        await self._browser.ask("click", tab=self.name, testid=testid)

    async def wait_message(self, text: str, *, state: str | None = None) -> SeenMessage:
        """Wait until a message with this text (in this state) is in the list; return the newest such one."""
        return _seen(await self._browser.ask("wait_message", tab=self.name, text=text, state=state))

    async def messages(self) -> list[SeenMessage]:
        """Return all messages in the list, oldest first."""
        return [_seen(each) for each in await self._browser.ask("messages", tab=self.name)]

    async def wait(self, testid: str, *, text: str | None = None, state: str = "visible") -> str | None:
        """Wait for an element to be "visible" or "hidden"; return its text (None when hidden).

        `text` must be a part of what it holds, whatever the case: "connected" is also in "Not connected".
        """
        request = {"tab": self.name, "testid": testid, "state": state}
        value = await self._browser.ask("wait", **request, **({} if text is None else {"text": text}))
        return None if value is None else str(value)

    async def facts(self) -> dict[str, Any]:
        """Return the facts that the page shows.

        Keys (text): node, transport, upgraded, round_trip, sid, broker_address, presence, version, returned,
        command, status ("online", "offline", "connecting"), path (last travelled, e.g. "A>broker>B", or None);
        bool: offline, bus_banner.
        """
        return dict(await self._browser.ask("facts", tab=self.name))

    async def problems(self) -> list[str]:
        """Return uncaught errors, breaches of the content security policy, and requests to foreign origins."""
        return list(await self._browser.ask("problems", tab=self.name))

    async def audit(self) -> list[str]:
        """Return what axe-core finds that a keyboard or a screen reader cannot use."""
        return list(await self._browser.ask("audit", tab=self.name))

    async def tab_order(self, count: int) -> list[str]:
        """Press Tab `count` times; return the `data-testid` or id of the element that has the focus each time."""
        return list(await self._browser.ask("tab_order", tab=self.name, count=count))

    async def screenshot(self, path: Path) -> None:
        """Write the visible page to `path` as PNG."""
        await self._browser.ask("screenshot", tab=self.name, path=str(path))

    async def close(self) -> None:
        """Close the tab and with it the page's connection."""
        await self._browser.ask("close", tab=self.name)


def _seen(raw: dict[str, Any]) -> SeenMessage:
    known = {**raw, "sender": raw["from"]}
    return SeenMessage(**{field.name: known[field.name] for field in fields(SeenMessage)})


@asynccontextmanager
async def open_browser(driver: Path = _DRIVER) -> AsyncIterator[Browser]:
    """Run a headless browser for the length of the block.

    Args:
        driver: the program that moves it; by default the one for the demo's page.

    Raises:
        BrowserError: node, chromium or playwright-core is missing; ask `browser_missing` first to skip instead.
    """
    missing = browser_missing()
    if missing is not None:
        raise BrowserError(missing)
    environment = {
        **os.environ,
        "ZMQIO_NODE_MODULES": str(_node_modules()),
        "ZMQIO_CHROMIUM": str(shutil.which("chromium")),
        "ZMQIO_BROWSER_LIMIT_MS": str(int(LIMIT_S * 1000)),
    }
    process = await asyncio.create_subprocess_exec(
        str(shutil.which("node")),
        str(driver),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        limit=_LINE_LIMIT_BYTES,
    )
    try:
        yield Browser(process)
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close stdin, on which the driver closes its browser and ends; past the limit, kill the driver."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
