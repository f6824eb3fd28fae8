"""A node that runs Flask-SocketIO in threads on zmqio's broker; commanded over HTTP as `cluster_app`.

`python -m tests.support.flask_app CONFIG FD`.
"""

import socket as sockets
import sys
from collections.abc import Callable
from typing import Any

import socketio
from flask import Flask, jsonify, request
from flask_socketio import SocketIO, join_room
from werkzeug.serving import make_server

from tests.support.js_clients import pack, unpack
from tests.support.node_config import NodeConfig
from zmqio.exceptions import ZmqioError
from zmqio.logs import configure_logs
from zmqio.python_socketio import Manager

__all__ = ["main"]


def make_app(config: NodeConfig) -> Flask:
    """An application as a user would write it, and a route for tests."""
    app = Flask(__name__)
    manager = Manager(config.adapter or "", **config.bus)
    io = SocketIO(app, async_mode="threading", client_manager=manager)
    called_back: list[Any] = []
    manager.cluster().on_server_side("who")(lambda: config.name)

    @io.on("connect")
    def connect(auth: Any) -> None:
        for room in (auth or {}).get("rooms", ()):
            join_room(room)

    @io.on("echo")
    def echo(*args: Any) -> Any:
        return args

    def note_callback(*args: Any) -> None:
        called_back.append(list(args))

    def fetch(to: Any) -> list[str]:
        return sorted(one.id for one in manager.run(manager.cluster().to(to).fetch_sockets()))

    def run(command: dict[str, Any]) -> Any:
        event, args, to = command.get("event", ""), unpack(command.get("args", [])), command.get("to")
        server: Any = io.server
        runs: dict[str, Callable[[], Any]] = {
            "emit": lambda: io.emit(event, tuple(args), to=to, skip_sid=command.get("skip")),
            "call": lambda: server.call(event, tuple(args), to=to, timeout=20),
            "callback": lambda: io.emit(event, tuple(args), to=to, callback=note_callback),
            "enter": lambda: server.enter_room(command["sid"], command["room"]),
            "close": lambda: server.close_room(command["room"]),
            "disconnect": lambda: server.disconnect(command["sid"]),
            "fetch": lambda: fetch(to),
        }
        return runs[command["op"]]()

    @app.route("/test/", methods=["GET", "POST"])
    def control() -> Any:
        if request.method == "POST":
            try:
                return jsonify({"value": pack(run(request.get_json(force=True)))})
            except (ZmqioError, TypeError, ValueError, socketio.exceptions.SocketIOError) as error:
                return jsonify({"error": type(error).__name__, "message": str(error)})
        health = manager.health()
        details = dict(health.details)
        state = {"ready": health.ready, "server_count": details.get("nodes", 0), "node_id": details.get("node_id")}
        return jsonify({**state, "called_back": pack(called_back), "health_details": details})

    manager.start()
    return app


def main() -> None:
    """Run one node until SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    server = make_server("127.0.0.1", 0, make_app(config), threaded=True, fd=listener.fileno())
    server.serve_forever()


if __name__ == "__main__":
    main()
