"""Publish without zmqio: five lines of pyzmq.  python plain_pyzmq.py [tcp://127.0.0.1:5558]

IMMEDIATE and SNDTIMEO make a missing broker an error (zmq.Again after 2 s) and LINGER gives what was sent 2 s to
leave before the program ends. With ZeroMQ's defaults `send` returns at once and the message dies with the process.
"""

import json
import sys
import uuid

import msgpack
import zmq

ingest = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5558"

with zmq.Context() as context, context.socket(zmq.PUSH) as push:
    push.set(zmq.IMMEDIATE, 1), push.set(zmq.SNDTIMEO, 2000), push.set(zmq.LINGER, 2000)
    push.connect(ingest)
    request = {"event": "news", "args": ["JSON from pyzmq"], "id": str(uuid.uuid4())}
    push.send(b"zmqio/n//\0" + json.dumps(request).encode())  # to everybody in the namespace "/"

    # The same in msgpack, which can carry bytes, to the room "lobby" of the namespace "/".
    request = {
        "event": "news",
        "args": ["msgpack from pyzmq", b"\0\1\xff"],
        "rooms": ["lobby"],
        "id": str(uuid.uuid4()),
    }
    push.send(b"zmqio/r//\0lobby\0" + msgpack.packb(request))
