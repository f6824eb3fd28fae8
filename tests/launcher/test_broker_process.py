"""The broker that a server starts for itself, as a real process."""

import asyncio
import stat
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.broker import ask_control
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import ServeError
from zmqio.launcher.broker_process import BrokerProcess

HELLO = {"op": "hello", "version": 1}


async def test_broker_listens_on_a_private_path_is_restarted_and_leaves_no_files() -> None:
    broker = BrokerProcess("json", "error")
    folder = Path(broker.address.removeprefix("ipc://")).parent
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        await broker.start()
        supervising = asyncio.ensure_future(broker.supervise())
        first = await asyncio.to_thread(ask_control, broker.address, HELLO)
        assert first is not None
        psutil.Process(first["pid"]).kill()
        second = await asyncio.to_thread(ask_control, broker.address, HELLO)
        while second is not None and second["pid"] == first["pid"]:
            second = await asyncio.to_thread(ask_control, broker.address, HELLO)
        assert second is not None
        assert not supervising.done()
        supervising.cancel()
        await asyncio.gather(supervising, return_exceptions=True)
    finally:
        await broker.stop()
    assert not folder.exists()
    await wait_until(lambda: not psutil.pid_exists(second["pid"]), "its exit")


async def test_gives_up_a_broker_that_cannot_start() -> None:
    broker = BrokerProcess("json", "no such level")
    try:
        await broker.start()
        with pytest.raises(ServeError, match=r"the broker keeps exiting; last time: exit code 2"):
            await asyncio.wait_for(broker.supervise(), LIMIT_S)
    finally:
        await broker.stop()


async def test_long_temporary_folder_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    broker = BrokerProcess("json", "error")
    assert len(broker.address.removeprefix("ipc://") + ".subscribe") < 107
    await broker.stop()
    assert list(deep.iterdir()) == []


PARENT = """
import asyncio
from zmqio.launcher.broker_process import BrokerProcess

async def main():
    broker = BrokerProcess("json", "error")
    await broker.start()
    print(broker.address, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_broker_removes_its_folder_when_the_server_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    try:
        assert parent.stdout is not None
        address = (await parent.stdout.readline()).decode().strip()
        folder = Path(address.removeprefix("ipc://")).parent
        assert await asyncio.to_thread(ask_control, address, HELLO) is not None
    finally:
        parent.kill()
        await parent.wait()
    await wait_until(lambda: not folder.exists(), "its folder to be removed")
