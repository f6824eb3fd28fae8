"""Publish without zmqio, in five lines of pyzmq.  python plain_pyzmq.py [tcp://127.0.0.1:5558]

For a broker that requires keys: python plain_pyzmq.py tcp://127.0.0.1:5558 broker.key sender.key_secret

IMMEDIATE and SNDTIMEO turn a missing broker into an error (zmq.Again after 2 s). LINGER gives queued messages 2 s
to be sent before the program exits. With ZeroMQ's defaults `send` succeeds and the message is lost at exit.
"""

import json
import sys
import uuid

import msgpack
import zmq
import zmq.auth

ingest, *key_files = sys.argv[1:] or ["tcp://127.0.0.1:5558"]

with zmq.Context() as context, context.socket(zmq.PUSH) as push:
    push.set(zmq.IMMEDIATE, 1), push.set(zmq.SNDTIMEO, 2000), push.set(zmq.LINGER, 2000)
    if key_files:
        push.curve_serverkey, _ = zmq.auth.load_certificate(key_files[0])
        push.curve_publickey, push.curve_secretkey = zmq.auth.load_certificate(key_files[1])
    push.connect(ingest)
    request = {"event": "news", "args": ["JSON from pyzmq"], "id": str(uuid.uuid4())}
    push.send(b"zmqio/n//\0" + json.dumps(request).encode())  # to all clients in the namespace "/"

    # The same in msgpack, which can contain bytes, to the room "lobby" of the namespace "/".
    request = {
        "event": "news",
        "args": ["msgpack from pyzmq", b"\0\1\xff"],
        "rooms": ["lobby"],
        "id": str(uuid.uuid4()),
    }
    push.send(b"zmqio/r//\0lobby\0" + msgpack.packb(request))
