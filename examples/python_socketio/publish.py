"""Emits from a process without a server, for example a Celery worker."""

import os

from zmqio.python_socketio import Manager

manager = Manager(os.environ.get("ZMQIO_ADAPTER", "tcp://127.0.0.1:5555"), write_only=True)
manager.emit("chat message", "from a script", room="lobby")
