"""The program of one node of the demo; for the whole demo see test_run and tests/e2e."""

import http.client
import json
import signal
import socket
import subprocess
import sys

from tests.support.cluster import process_environment
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S
from zmqio.demo.node_spec import ENVIRONMENT, DemoNodeSpec


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body
    finally:
        connection.close()


def test_node_serves_the_page_without_a_broker_until_it_is_stopped() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with listener:
        spec = DemoNodeSpec(
            "A", {"A": f"http://127.0.0.1:{port}"}, f"tcp://127.0.0.1:{free_port_block(4)}", listener.fileno()
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "zmqio.demo.node"],
            env=process_environment() | {ENVIRONMENT: spec.to_json()},
            pass_fds=[listener.fileno()],
        )
    try:
        assert b"<title>" in get(port, "/")
        assert json.loads(get(port, "/config.json"))["node"] == "A"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
