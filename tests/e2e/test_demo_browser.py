"""`zmqio demo` with two tabs of a real browser on different nodes, through a real broker."""

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.support.browser import Browser, Tab, open_browser
from tests.support.forked import start
from tests.support.npm import node_modules
from tests.support.ports import free_port, free_port_block
from tests.support.timing import LIMIT_S, wait_until
from tests.support.tools import require
from tests.support.zygote import children_of
from zmqio.demo.chat import NAMES

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Demo:
    """A running `zmqio demo`."""

    def __init__(self, *options: str) -> None:
        port, broker_port = free_port(), free_port_block(4)
        command = [sys.executable, "-m", "zmqio", "demo", "--port", str(port), "--broker-port", str(broker_port)]
        environment = {**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}
        self.process = start([*command, *options], stdout=subprocess.PIPE, env=environment, start_new_session=True)
        self.output = ""
        self.urls = self._urls()

    def _urls(self) -> list[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if "Ctrl-C stops everything" in line:
                return re.findall(r"(http://127\.0\.0\.1:\d+)\s+node \w", self.output)
        raise AssertionError(f"the demo ended: {self.output}")

    @property
    def broker_pid(self) -> int:
        found = re.search(r"kill -9 (\d+)", self.output)
        assert found is not None, self.output
        return int(found[1])

    def stop(self) -> str:
        """Send Ctrl-C; return the whole output."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(LIMIT_S * 2)
        assert self.process.stdout is not None
        if not self.process.stdout.closed:
            with self.process.stdout:
                self.output += self.process.stdout.read()
        return self.output


@pytest.fixture
def demo() -> Iterator[Demo]:
    running = Demo()
    yield running
    running.stop()
    if running.process.poll() is None:
        running.process.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests: it takes 3 s of CPU to start."""
    require("chromium")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZMQIO_NODE_MODULES", str(node_modules("playwright-core", "axe-core")))
        async with open_browser() as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The browser, without tabs at first."""
    yield chromium
    await chromium.close_tabs()


@pytest.mark.parametrize("transport", ["", "?transport=polling", "?transport=websocket"])
async def test_two_tabs_on_different_nodes_exchange_messages(
    demo: Demo, browser: Browser, transport: str, tmp_path: Path
) -> None:
    motion = "reduce" if transport else "no-preference"
    ada = await browser.open("ada", f"{demo.urls[0]}/{transport}", motion=motion)
    bob = await browser.open("bob", f"{demo.urls[1]}/{transport}", motion=motion)
    await ada.set_nickname("Ada")
    await ada.send("hello from A")
    seen = await bob.wait_message("hello from A")
    assert (seen.node, seen.via, seen.sender) == ("A", "broker", "Ada")
    await bob.send("hello from B")
    back = await ada.wait_message("hello from B")
    assert (back.node, back.via) == ("B", "broker")
    own = await bob.wait_message("hello from B", state="delivered")
    assert own.own
    if transport == "?transport=polling":
        assert (await ada.facts())["transport"] == "polling"
    assert await ada.problems() == []
    assert await bob.problems() == []
    pictures = Path(os.environ.get("ZMQIO_TEST_PICTURES", tmp_path))
    await ada.screenshot(pictures / f"demo-ada{transport.replace('?transport=', '-')}.png")
    await bob.screenshot(pictures / f"demo-bob{transport.replace('?transport=', '-')}.png")


async def test_a_page_that_lost_its_connection_shows_what_came_back(
    demo: Demo, browser: Browser, tmp_path: Path
) -> None:
    ada = await browser.open("ada", demo.urls[0])
    bob = await browser.open("bob", demo.urls[1])
    await ada.set_nickname("Ada")
    await bob.send("before")
    await ada.wait_message("before")
    sid = (await ada.facts())["sid"]
    for attempt in range(5):
        await ada.click("cut")
        texts = [f"{word} {attempt}" for word in ("first", "second")]
        for text in texts:
            await bob.send(text)
            await bob.wait_message(text, state="delivered")
        away = (await ada.facts())["status"] != "online"  # False on a machine that is too slow: once more
        shown = await ada.wait("returned", text=f"Returned to node {'BA'[attempt % 2]}. Recovered: yes")
        facts = await ada.facts()
        assert (facts["sid"], facts["node"]) == (sid, f"node {'BA'[attempt % 2]}")
        for text in texts:
            await ada.wait_message(text)
        if away:
            assert "2 messages came back" in shown
            break
    seen = [message.text for message in await ada.messages()]
    assert len(seen) == len(set(seen)) == 1 + 2 * (attempt + 1)
    await ada.send("hello again")
    assert (await bob.wait_message("hello again")).sender == "Ada"
    elsewhere = [problem for problem in await ada.problems() if not problem.startswith("asked elsewhere")]
    assert elsewhere == []
    pictures = Path(os.environ.get("ZMQIO_TEST_PICTURES", tmp_path))
    await ada.screenshot(str(pictures / "demo-recovered.png"))


async def test_page_shows_the_loss_and_the_return_of_the_broker(demo: Demo, browser: Browser) -> None:
    ada = await browser.open("ada", demo.urls[0])
    bob = await browser.open("bob", demo.urls[1])
    await ada.send("before")
    await bob.wait_message("before")
    killed = demo.broker_pid
    await ada.wait("broker-pid", text=f"process {killed}")
    demo.process.send_signal(signal.SIGSTOP)  # otherwise it starts another broker after 2 s
    os.kill(killed, signal.SIGKILL)
    try:
        await ada.wait("bus", state="visible")
    finally:
        demo.process.send_signal(signal.SIGCONT)
    await ada.wait("bus", state="hidden")
    await ada.send("after")  # node B may be back later, and then receives it
    await bob.wait_message("after")
    started = await new_broker(ada, killed)
    assert psutil.pid_exists(started)
    assert f"broker runs again. To kill it:  kill -9 {started}" in await asyncio.to_thread(demo.stop)


async def new_broker(tab: Tab, killed: int) -> int:
    """Wait until the page shows the process of the new broker."""
    async with asyncio.timeout(LIMIT_S):
        while (shown := int(str(await tab.wait("broker-pid", text="process")).split()[-1])) == killed:
            pass
    return shown


async def test_keyboard_and_screen_reader_can_use_the_page(demo: Demo, browser: Browser) -> None:
    bob = await browser.open("bob", demo.urls[1])
    await bob.send("hello")
    small = await browser.open("small", demo.urls[0], width=320, scheme="dark")
    wide = await browser.open("wide", demo.urls[0])
    await bob.send("hello again")
    for ada in (small, wide):
        assert (await ada.wait_message("hello again")).sender in NAMES  # the node has given bob a free one
        assert await ada.audit() == []
    order = await wide.tab_order(12)
    assert order[:4] == ["nickname", "scroller", "text", "send"]
    assert {"cut", "reconnect-polling", "copy", "copy-kill"} <= set(order)


async def test_commands_of_the_page_and_of_the_terminal_reach_the_page(demo: Demo, browser: Browser) -> None:
    ada = await browser.open("ada", demo.urls[0])
    in_terminal = re.search(r"^  (\S.* emit .*)$", demo.output, re.M)
    assert in_terminal is not None
    commands = {(await ada.facts())["command"]: "hello from the shell", in_terminal[1]: "hello"}
    for command, text in commands.items():
        arguments = shlex.split(command)
        program = arguments[: arguments.index("emit")]
        assert program in (["zmqio"], [sys.executable, "-m", "zmqio"])
        line = [sys.executable, "-m", "zmqio", *arguments[len(program) :]]
        done = await asyncio.to_thread(subprocess.run, line, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert (await ada.wait_message(text)).node == "outside"


async def test_ctrl_c_stops_everything_it_started(demo: Demo) -> None:
    children = [child.pid for child in children_of(demo.process.pid)]
    assert len(children) == 3
    output = await asyncio.to_thread(demo.stop)
    assert demo.process.returncode == 0
    assert "Everything that the demo started has stopped." in output
    assert "Traceback" not in output
    await wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "every child has ended")


async def test_taken_ports_are_replaced_and_reported(demo: Demo) -> None:
    taken = demo.urls[0].rsplit(":", 1)[1]
    broker_port = re.search(r"broker at tcp://127\.0\.0\.1:(\d+)", demo.output)
    assert broker_port is not None
    second = await asyncio.to_thread(Demo, "--port", taken, "--broker-port", broker_port[1])
    try:
        assert f"port {taken} is taken" in second.output
        assert f"port {broker_port[1]}-" in second.output
        assert set(second.urls).isdisjoint(demo.urls)
    finally:
        await asyncio.to_thread(second.stop)
