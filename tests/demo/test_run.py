"""The whole demo: processes that end are restarted, a crash loop ends the demo, and nothing is left behind."""

import asyncio
import itertools
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.support.cluster import process_environment
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until
from zmqio.demo import run
from zmqio.demo.process import MAX_CRASHES, DemoProcess


def test_crash_loop_ends_the_demo_and_shows_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    crashing = DemoProcess("node A", [sys.executable, "-c", "raise SystemExit('no such [thing]')"])
    crashing.start(0.0)
    clock = itertools.count()
    assert run._watch([crashing], now=lambda: float(next(clock))) == 1
    text = capsys.readouterr().out
    assert (
        f"node A has ended {MAX_CRASHES} times in a row within 30 s of its start (the last time: exit code 1)"
        in text
    )
    assert "  no such [thing]" in text
    assert text.count("restarts in 2 s") == MAX_CRASHES - 1


async def test_demo_whose_nodes_crash_gives_up_with_exit_code_1_and_the_reason(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nif 'ZMQIO_DEMO_NODE' in os.environ:\n"
        "    os.write(2, b'ImportError: broken installation\\n')\n    os._exit(1)\n"
    )
    environment = process_environment()
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    demo = await start_demo(environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await demo.communicate()
    assert demo.returncode == 1
    text = output.decode()
    assert "The demo gives up." in text
    assert "  ImportError: broken installation" in text
    assert text.endswith("Everything that the demo started has stopped.\n")


async def test_demo_runs_with_standard_input_closed() -> None:
    """With descriptor 0 free, the first node's listener got it, and lost it to the node's own standard input."""
    demo = await start_demo(process_environment(), "0<&-", stdout=asyncio.subprocess.DEVNULL)
    process = psutil.Process(demo.pid)
    try:
        await wait_until(lambda: len(process.children()) == 3, "the broker and two nodes")
        children = process.children()
        await wait_until(lambda: all(map(serves, children[1:])), "both nodes serve")
        assert process.children() == children
    finally:
        demo.terminate()
        await demo.wait()
    assert demo.returncode == 0


async def test_metrics_are_shown_and_served() -> None:
    demo = await start_demo(process_environment() | {"COLUMNS": "120"}, stdout=asyncio.subprocess.PIPE)
    try:
        assert demo.stdout is not None
        text = ""
        while "Metrics for Prometheus" not in text:
            text = (await asyncio.wait_for(demo.stdout.readline(), LIMIT_S)).decode()
        url = next(word for word in text.split() if word.startswith("http"))
        assert url.endswith("/metrics")
        assert "zmqio_build_info" in await asyncio.to_thread(fetch, url)
    finally:
        demo.terminate()
        await demo.communicate()


@pytest.mark.parametrize(("is_installed", "command"), [(True, "top"), (False, "status")])
def test_command_to_watch_works_with_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, is_installed: bool, command: str
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: (name == "rich" and is_installed) or None)
    assert run._observer_command() == command


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=LIMIT_S) as response:
        return str(response.read().decode())


async def test_killed_demo_leaves_no_process_behind() -> None:
    demo = await start_demo(process_environment(), stdout=asyncio.subprocess.DEVNULL)
    process = psutil.Process(demo.pid)
    try:
        await wait_until(lambda: len(process.children()) == 3, "the broker and two nodes")
        children = process.children()
        await wait_until(lambda: all(map(serves, children[1:])), "both nodes serve")
    finally:
        demo.kill()
        await demo.wait()
    await wait_until(lambda: not any(map(runs, children)), "the end of the broker and the nodes")


async def start_demo(
    environment: dict[str, str], redirect: str = "", *, stdout: int
) -> asyncio.subprocess.Process:
    ports = ["--port", str(free_port_block(2)), "--broker-port", str(free_port_block(4))]
    shell = ["sh", "-c", f'exec "$0" "$@" {redirect}']
    return await asyncio.create_subprocess_exec(
        *shell, sys.executable, "-m", "zmqio", "demo", *ports, env=environment, stdout=stdout
    )


def serves(node: psutil.Process) -> bool:
    """Whether a node is connected to the broker, which it is only after its start."""
    return any(connection.status == psutil.CONN_ESTABLISHED for connection in node.net_connections("tcp"))


def runs(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
