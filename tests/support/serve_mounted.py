"""`serve_app` mounted in a FastAPI app: in a module of its own, because FastAPI takes half a second to import."""

from fastapi import FastAPI

from tests.support.serve_app import io, plain

__all__ = ["mounted"]

mounted = FastAPI()
mounted.mount("/socket.io", io.asgi())
mounted.mount("/", plain)
