"""Transport layer: the only folder that imports zmq, engineio or uvicorn."""
