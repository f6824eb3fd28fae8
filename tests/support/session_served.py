"""`session_app` for hosts that import an app and say the rest by the environment, as `zmqio serve` does."""

from tests.support.session_app import make_app
from zmqio.server.server import Server

__all__ = ["app"]

app = make_app(Server())
