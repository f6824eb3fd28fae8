"""The cost of keys: CPU time of a message at a node, and at the broker compared with libzmq's own proxy.

    python -m tests.bench.keys [--messages 100000] [--rounds 3]

Prints microseconds of CPU a message, the smallest of the rounds. Bounded by its counts; uses loopback only.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import zmq
from nacl.bindings import crypto_box_afternm, crypto_box_beforenm

from tests.support.broker import BrokerProcess
from tests.support.broker_peers import barrier
from tests.support.keys import KeyFolder
from tests.support.ports import free_port_block
from zmqio.protocol.curve import CurveMechanism
from zmqio.protocol.key_files import decode_key
from zmqio.protocol.mechanism import SocketType, command_body, metadata
from zmqio.protocol.secret_box import make_secret_box
from zmqio.protocol.zmtp import Conversation, frame
from zmqio.zeromq.curve import Curve
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.socket_options import set_connect_options

SIZES = (200, 1_000)
TOPIC = b"bench/n//\0{"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keys = KeyFolder(Path(folder))
        for size in SIZES:
            _node(keys, size, options.messages, options.rounds)
        for with_keys in (False, True):
            for what, run in (("broker", _broker), ("bare libzmq proxy", _proxy)):
                cost = min(run(keys if with_keys else None, options.messages) for _ in range(options.rounds))
                print(f"{what:18} {'with keys' if with_keys else 'without':10} {cost:6.2f} us a message of 200 B")


def _node(keys: KeyFolder, size: int, messages: int, rounds: int) -> None:
    plain, sealed = Conversation(SocketType.SUB), _ready_with_keys(keys)
    plain.feed(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48))
    ready = command_body(b"READY", metadata(SocketType.PUB))
    plain.feed(bytes((4, len(ready))) + ready)
    body = bytes(size)
    for name, conversation in (("without", plain), ("with keys", sealed[0])):
        send = _cpu_us(partial(_encode, conversation, body, messages), rounds) / messages
        print(f"node sends         {name:10} {send:6.2f} us a message of {size} B")
    data = [frame(body)] * messages
    received = _cpu_us(lambda: [plain.feed(each) for each in data], rounds) / messages
    print(f"node receives      without    {received:6.2f} us a message of {size} B")
    costs = []
    for _ in range(rounds):
        conversation, seal = _ready_with_keys(keys)
        boxes = [frame(seal(number + 2, body)) for number in range(messages)]
        costs.append(_cpu_us(lambda: [conversation.feed(each) for each in boxes], 1) / messages)  # noqa: B023
    print(f"node receives      with keys  {min(costs):6.2f} us a message of {size} B")


def _ready_with_keys(keys: KeyFolder) -> tuple[Conversation, Callable[[int, bytes], bytes]]:
    """A conversation after its handshake with a server that is played here, and the server's `seal`."""
    loaded = keys.node.load(1)[0]
    mechanism = loaded.mechanism()(SocketType.SUB)
    assert isinstance(mechanism, CurveMechanism)
    # The short-term keys of both ends, as the handshake would agree on them.
    shared = crypto_box_beforenm(decode_key(loaded.server_key), decode_key(loaded.secret_key))
    mechanism._box, mechanism.is_ready = make_secret_box(shared), True
    conversation = Conversation(SocketType.SUB, lambda _: mechanism)
    conversation._greeted = conversation._is_sealed = True

    def seal(number: int, body: bytes) -> bytes:
        counter = number.to_bytes(8, "big")
        return b"\x07MESSAGE" + counter + crypto_box_afternm(b"\0" + body, b"CurveZMQMESSAGES" + counter, shared)

    return conversation, seal


def _encode(conversation: Conversation, body: bytes, messages: int) -> None:
    for _ in range(messages):
        conversation.encode(body)


def _cpu_us(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best * 1e6


def _broker(keys: KeyFolder | None, messages: int) -> float:
    with BrokerProcess(keys=keys) as process:
        endpoints = endpoints_of(process.address)
        return _forwarded(process.pid, endpoints.publish, endpoints.subscribe, keys, messages, syncs=True)


def _proxy(keys: KeyFolder | None, messages: int) -> float:
    base = free_port_block(4)
    ours, theirs = multiprocessing.Pipe()
    secret = Path(keys.folder / "broker.key_secret").read_text().split('secret-key = "')[1][:40] if keys else ""
    child = multiprocessing.get_context("spawn").Process(
        target=_run_proxy, args=(base, secret, theirs), daemon=True
    )
    child.start()
    ours.recv()
    try:
        addresses = (f"tcp://127.0.0.1:{base}", f"tcp://127.0.0.1:{base + 1}")
        assert child.pid is not None
        return _forwarded(child.pid, *addresses, keys, messages, syncs=False)
    finally:
        child.kill()
        child.join()


def _run_proxy(base: int, secret: str, ready: Connection) -> None:
    context = zmq.Context()
    sockets = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    for offset, socket in enumerate(sockets):
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        if secret:
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, secret.encode())
        socket.bind(f"tcp://127.0.0.1:{base + offset}")
    sockets[0].send(b"\x01")
    ready.send(True)
    zmq.proxy(*sockets)


def _forwarded(
    pid: int, publish: str, subscribe: str, keys: KeyFolder | None, messages: int, *, syncs: bool
) -> float:
    """Send messages through a process, and return its CPU for each, in us."""
    own: Curve | None = keys.node if keys else None
    loaded = own.load(1)[0] if own else None
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher, context.socket(zmq.SUB) as subscriber:
        for socket, endpoint in ((publisher, publish), (subscriber, subscribe)):
            set_connect_options(socket, endpoint, loaded)
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.RCVHWM, 0)
            socket.connect(endpoint)
        subscriber.subscribe(TOPIC[:6])
        publisher.recv()
        if syncs:
            barrier(subscriber)
        else:
            time.sleep(0.5)
        message = TOPIC + bytes(200 - len(TOPIC))
        before = psutil.Process(pid).cpu_times()
        for start in range(0, messages, 1_000):
            for _ in range(min(1_000, messages - start)):
                publisher.send(message)
            for _ in range(min(1_000, messages - start)):
                subscriber.recv()
        after = psutil.Process(pid).cpu_times()
    return ((after.user - before.user) + (after.system - before.system)) / messages * 1e6


if __name__ == "__main__":
    main()
