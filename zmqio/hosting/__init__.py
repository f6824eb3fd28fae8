"""The HTTP server under the engine; the only importer of uvicorn and uvloop."""
