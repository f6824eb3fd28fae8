"""A server with the official admin page, which it also serves. docs/admin.md explains it."""

import os

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

import zmqio

io = zmqio.Server()  # the broker is that of ZMQIO_ADAPTER, or of `zmqio serve`
io.admin(username="ops", password=os.environ["ADMIN_PASSWORD_HASH"])

page = StaticFiles(directory=os.environ["ADMIN_PAGE"], html=True)
app = io.asgi(Starlette(routes=[Mount("/admin-page", page)]))
