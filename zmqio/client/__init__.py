"""The official Socket.IO browser client, as published on npm, and its path on disk."""

from pathlib import Path

__all__ = ["CLIENT_JS", "CLIENT_JS_NAME"]

CLIENT_JS_NAME = "socket.io.min.js"
CLIENT_JS = Path(__file__).parent / CLIENT_JS_NAME
