"""Starts, failures and ends of `zmqio serve`: messages, exit codes, and that no process is left behind."""

import asyncio
import contextlib
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import ClientMaker
from tests.e2e.test_serve import pid_of, request
from tests.support.broker import BrokerProcess, ask_control
from tests.support.forked import is_broker
from tests.support.serve_process import ServeProcess
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP = """
import os

VERSION = 1

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    body = b'{"pid": %d, "version": %d}' % (os.getpid(), VERSION)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

ENVIRON = "json.dumps({name: value for name, value in os.environ.items() if name.startswith('ZMQIO_')}).encode()"


async def ended(server: ServeProcess) -> tuple[int, str]:
    """Exit code and output of a server that exits by itself; checks that no process is left."""
    server.spawn()
    try:
        code = await server.wait()
        return code, server.log_text()
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("app", "text", "reason"),
    [
        ("no_such_module:app", "", "no module named 'no_such_module'"),
        ("own_app:nothing", APP, "module 'own_app' has no attribute 'nothing'"),
        ("own_app:VERSION", APP, "int is not an ASGI app"),
    ],
)
async def test_missing_app_is_reported_in_one_line(tmp_path: Path, app: str, text: str, reason: str) -> None:
    (tmp_path / "own_app.py").write_text(text)
    code, output = await ended(ServeProcess(app=app, folder=tmp_path))
    assert code == 1
    assert output.splitlines()[-1] == f"Error: cannot load app {app!r}: {reason}"
    assert "Traceback" not in output


async def test_app_that_raises_is_reported_once_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "own_app.py").write_text("def fail():\n    raise RuntimeError('on purpose')\n\nfail()\n")
    code, output = await ended(ServeProcess(app="own_app:app", folder=tmp_path, workers=3))
    assert code == 1
    assert output.count("Traceback") == 1
    assert "in fail" in output
    last = output.splitlines()[-1]
    assert last == "Error: cannot import app 'own_app:app': RuntimeError: on purpose"


@pytest.mark.parametrize("acceptors", ["1", "2"])
async def test_port_in_use_is_reported_in_one_line(acceptors: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, output = await ended(ServeProcess("--acceptors", acceptors, bind=f"127.0.0.1:{port}"))
    assert code == 1
    assert output == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("crash", "words"),
    [("os._exit(7)", "exit code 7"), ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV")],
)
async def test_crash_loop_ends_the_server_with_a_reason(tmp_path: Path, crash: str, words: str) -> None:
    (tmp_path / "own_app.py").write_text(f"import os, signal\n{crash}\n")
    code, output = await ended(ServeProcess(app="own_app:app", folder=tmp_path, workers=1))
    assert code == 1
    last = output.splitlines()[-1]
    assert last.startswith("Error: giving up: the workers in slot 1 keep exiting before they were ready")
    assert last.endswith(words)
    assert output.count('"worker_exited"') == 3


async def test_workers_learn_broker_tag_and_drain_from_their_environment(tmp_path: Path) -> None:
    (tmp_path / "own_app.py").write_text(
        "import json, os\n" + APP.replace('b\'{"pid": %d, "version": %d}\' % (os.getpid(), VERSION)', ENVIRON)
    )
    async with ServeProcess("--drain", "1.5", app="own_app:app", folder=tmp_path, workers=1) as server:
        found = await request(server)
        assert found["ZMQIO_ADAPTER"] == server.broker
        assert found["ZMQIO_NODE_TAG"] == server.log_lines("worker_started")[0]["tag"]
        assert found["ZMQIO_DRAIN_S"] == "1.5"
        assert "ZMQIO_SERVE_WORKER" not in found  # child processes of the app are no workers


async def test_named_broker_is_joined_and_outlives_the_server() -> None:
    with BrokerProcess() as broker:
        for options, environment in (
            (["--broker", broker.address], {}),
            ([], {"ZMQIO_ADAPTER": broker.address}),
        ):
            async with ServeProcess(*options, workers=1, environment=environment) as server:
                assert server.broker == broker.address
                assert len(server.children()) == 1
                await server.wait_log("broker_connected")
                assert await server.stop() == 0
        answer = ask_control(broker.address, {"op": "hello", "version": 1})
        assert answer is not None
        assert answer["pid"] == broker.pid


async def test_killed_own_broker_is_replaced_and_workers_reconnect(make_client: ClientMaker) -> None:
    async with ServeProcess() as server:
        clients = [make_client("js", server.url, "websocket") for _ in range(4)]
        await asyncio.gather(*(client.connect() for client in clients))
        (broker,) = [child for child in server.children() if is_broker(child)]
        broker.kill()
        await server.wait_log("broker_exited")
        await server.wait_log("broker_reconnected", 2)
        await clients[0].call("say", "hello again")
        await wait_until(
            lambda: all(client.received.events for client in clients), "every worker's clients receive it"
        )


async def test_node_tags_begin_with_the_prefix(make_client: ClientMaker) -> None:
    async with ServeProcess("--node-tag", "ab") as server:
        client = make_client("js", server.url, "polling")
        await client.connect()
        assert client.sid
        assert client.sid.startswith("ab")
        tags = [line["tag"] for line in server.log_lines("worker_started")]
        assert all(tag.startswith("ab") for tag in tags)
        assert client.sid[:4] in tags


async def test_rolling_restart_to_a_broken_app_keeps_the_old_workers(tmp_path: Path) -> None:
    path = tmp_path / "own_app.py"
    path.write_text(APP)
    async with ServeProcess(app="own_app:app", folder=tmp_path) as server:
        path.write_text("1 / 0")
        server.send_signal(signal.SIGHUP)
        await server.wait_log("rolling_restart_aborted")
        assert await pid_of(server) in server.worker_pids()
        assert len(server.worker_pids()) == 2
        assert server.log_text().count("Traceback") == 1
        path.write_text(APP.replace("VERSION = 1", "VERSION = 22"))
        server.send_signal(signal.SIGHUP)
        await server.wait_log("rolling_restart_completed")
        assert (await request(server))["version"] == 22


async def test_reload_serves_changed_code_and_survives_broken_code(tmp_path: Path) -> None:
    path = tmp_path / "own_app.py"
    path.write_text(APP)
    async with ServeProcess("--reload", app="own_app:app", folder=tmp_path, workers=1) as server:
        await change_until_noticed(server, path)
        await server.wait_log("rolling_restart_completed")
        path.write_text("broken(")
        await server.wait_log("rolling_restart_aborted")
        assert (await request(server))["version"] > 1
        done = len(server.log_lines("rolling_restart_completed"))
        path.write_text(APP.replace("VERSION = 1", "VERSION = 7"))
        await server.wait_log("rolling_restart_completed", done + 1)
        assert (await request(server))["version"] == 7


async def change_until_noticed(server: ServeProcess, path: Path) -> None:
    """Write new code repeatedly, because nothing shows when the watcher has started."""
    count = 100
    while not server.log_lines("code_changed"):
        count += 1
        await asyncio.to_thread(path.write_text, APP.replace("VERSION = 1", f"VERSION = {count}"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_log("code_changed"), 2)


async def test_worker_that_does_not_exit_is_killed_at_the_third_signal(tmp_path: Path) -> None:
    (tmp_path / "own_app.py").write_text(APP + "\nimport signal\nsignal.pthread_sigmask(0, [signal.SIGTERM])\n")
    async with ServeProcess(app="own_app:app", folder=tmp_path, workers=1) as server:
        server.children()
        server.send_signal(signal.SIGTERM)
        await server.wait_log("server_stopping")
        assert psutil.pid_exists(server.worker_pids()[0])
        server.send_signal(signal.SIGINT)
        await server.wait_log("drain_cancelled")
        assert psutil.pid_exists(server.worker_pids()[0])
        server.send_signal(signal.SIGINT)
        assert await server.wait() == 0
        await server.wait_for(lambda: server.log_lines("workers_killed"), "the log line about killed workers")
        assert server.orphans() == []


async def test_function_serves_like_the_command(tmp_path: Path) -> None:
    (tmp_path / "own_app.py").write_text(APP)
    program = tmp_path / "start.py"
    program.write_text(
        "import zmqio\nif __name__ == '__main__':\n"
        "    zmqio.serve('own_app:app', workers=1, bind='127.0.0.1:0', log_format='json')\n    print('returned')\n"
    )
    server = ServeProcess(command=[str(program)], workers=1, folder=Path("/"))
    async with server:
        assert (await request(server))["version"] == 1
        assert await server.stop() == 0
        assert server.log_text().splitlines()[-1] == "returned"


async def test_start_writes_few_lines_and_the_url_last() -> None:
    """Each of N workers used to log every other one: N x (N - 1) times `node_joined`."""
    async with ServeProcess(workers=3) as server:
        # Where the broker takes long to answer, the workers start before they are connected.
        lines = [line for line in server.log_text().splitlines() if '"broker_connected"' not in line]
        assert lines[-1].count("server_started") == 1
        assert server.log_lines("node_joined") == []
