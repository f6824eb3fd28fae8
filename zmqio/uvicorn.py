"""Protocol classes for uvicorn's command line.

`uvicorn app:app --ws zmqio.uvicorn:WebSocketProtocol --http zmqio.uvicorn:HttpProtocol`

They are optional, because zmqio runs under every ASGI server. With them broadcasts take less CPU and connections
less memory, an idle process wakes up once a second, not ten times, and uvicorn's own log lines never make the
event loop wait for their reader. If the installed uvicorn is not supported, a warning is logged and both are
uvicorn's own classes. They need `zmqio[server]`.
"""

from zmqio.hosting.requirements import require_web_server

require_web_server("zmqio.uvicorn")

from zmqio.hosting.quiet_server import wake_once_a_second  # noqa: E402 - these import what is checked above
from zmqio.hosting.uvicorn_contract import protocol_classes  # noqa: E402
from zmqio.hosting.uvicorn_logs import keep_logs_from_blocking  # noqa: E402

__all__ = ["HttpProtocol", "WebSocketProtocol"]

HttpProtocol, WebSocketProtocol = protocol_classes()
wake_once_a_second()
keep_logs_from_blocking()  # uvicorn imports this module when its logs are configured and before it serves
