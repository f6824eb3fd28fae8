"""Protocol classes for uvicorn's command line.

`uvicorn app:app --ws zmqio.uvicorn:WebSocketProtocol --http zmqio.uvicorn:HttpProtocol`

They are optional: zmqio runs under every ASGI server. With them broadcasts and polls take less CPU.
"""

from zmqio.hosting.http_protocol import HttpProtocol
from zmqio.hosting.websocket_protocol import WebSocketProtocol

__all__ = ["HttpProtocol", "WebSocketProtocol"]
