"""`serve`: the app ends its connections before uvicorn waits for them. In a process of its own, for the signal."""

import signal
import subprocess
import sys
import urllib.request

from tests.support.timing import LIMIT_S

PROGRAM = """
import asyncio, logging, socket, sys
from zmqio.transport.uvicorn_server import run, serve

logging.basicConfig(stream=sys.stdout, format="%(message)s")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        print("lifespan ends", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    for text in ("socket.send() raised exception.", "something else"):
        logging.getLogger("asyncio").warning(text)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})

async def before_shutdown():
    print("connections end, on", type(asyncio.get_running_loop()).__module__, flush=True)

run(serve(app, listener=listener, before_shutdown=before_shutdown))
"""


def test_app_is_served_and_told_before_the_shutdown() -> None:
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT_S) as response:
            assert response.read() == b"served"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    lines = output.split("\n")
    assert lines[:3] == ["something else", "connections end, on uvloop", "lifespan ends"]
    assert "socket.send() raised exception." not in output  # one line for each write in a storm of disconnects
