"""The HTTP server under the engine; the only package that imports uvicorn and uvloop."""
