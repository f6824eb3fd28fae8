"""Measure what an emit costs its sender: `Emitter` against a plain pyzmq PUSH loop, into the same broker.

    PYTHONPATH=.:broker python tests/bench/emitter/emit_cost.py [--count 20000] [--rounds 5]

CPU time is that of the whole sending process, including libzmq's thread. The variants run in turn, so that a busy
machine affects all of them; figures are medians of the rounds.
"""

import argparse
import asyncio
import platform
import statistics
import time
import uuid
from collections.abc import Callable

import msgpack
import zmq

from tests.support.broker import BrokerProcess
from zmqio.emitter import AsyncEmitter, Emitter

PAYLOAD = {"text": "x" * 48, "n": 1}
TOPIC = b"zmqio/r//\0lobby\0"


def plain(ingest: str, count: int, encode: Callable[[], bytes]) -> None:
    """Send with pyzmq alone, with the options of a careful sender."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.set(zmq.IMMEDIATE, 1), push.set(zmq.SNDTIMEO, 2000), push.set(zmq.LINGER, 2000)
        push.set(zmq.SNDHWM, 10_000)
        push.connect(ingest)
        for _ in range(count):
            push.send(encode())


def encode_dict() -> bytes:
    """Encode a request with an id, as a plain sender would for each message."""
    request = {"event": "news", "args": [PAYLOAD], "rooms": ["lobby"], "id": uuid.uuid4().hex}
    return TOPIC + bytes(msgpack.packb(request))


def with_emitter(address: str, count: int) -> None:
    with Emitter(address, send_timeout_s=5) as emitter:
        lobby = emitter.to("lobby")
        for _ in range(count):
            lobby.emit("news", PAYLOAD)


def with_chain(address: str, count: int) -> None:
    with Emitter(address, send_timeout_s=5) as emitter:
        for _ in range(count):
            emitter.to("lobby").emit("news", PAYLOAD)


def with_async(address: str, count: int) -> None:
    async def run() -> None:
        async with AsyncEmitter(address, send_timeout_s=5) as emitter:
            lobby = emitter.to("lobby")
            for _ in range(count):
                await lobby.emit("news", PAYLOAD)

    asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with BrokerProcess() as broker:
        address, ingest, count = broker.address, broker.endpoint("ingest"), options.count
        frame = encode_dict()
        variants: dict[str, Callable[[], None]] = {
            "pyzmq PUSH, frame encoded once": lambda: plain(ingest, count, lambda: frame),
            "pyzmq PUSH, dict and uuid4 packed": lambda: plain(ingest, count, encode_dict),
            "Emitter, operator reused": lambda: with_emitter(address, count),
            "Emitter, emitter.to(...).emit": lambda: with_chain(address, count),
            "AsyncEmitter, operator reused": lambda: with_async(address, count),
        }
        for variant in variants.values():
            variant()  # warm up
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
        for _ in range(options.rounds):
            for name, variant in variants.items():
                figures[name].append(measure(variant, count))
    versions = f"Python {platform.python_version()}, pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}"
    print(f"{platform.machine()}, {versions}")
    print(f"{count} emits of {len(frame)} B a round, {options.rounds} rounds, medians\n")
    print(f"{'variant':36} {'emits/s':>10} {'CPU us':>8} {'worst':>8}")
    for name, measured in figures.items():
        rate = statistics.median(rate for rate, _ in measured)
        cpu = [cpu_us for _, cpu_us in measured]
        print(f"{name:36} {rate:>10,.0f} {statistics.median(cpu):>8.1f} {max(cpu):>8.1f}")


def measure(variant: Callable[[], None], count: int) -> tuple[float, float]:
    """Return emits per second, until all are sent, and CPU microseconds for each."""
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    variant()
    return count / (time.perf_counter() - began_s), 1e6 * (time.process_time() - cpu_began_s) / count


if __name__ == "__main__":
    main()
