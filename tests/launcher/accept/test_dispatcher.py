"""A balancer in this process as what stands before the workers."""

import asyncio
import socket
from typing import Any

from tests.support.played_workers import PlayedWorker
from tests.support.timing import wait_until
from zmqio.launcher.accept.dispatcher import InProcessDispatcher
from zmqio.launcher.listener import Listener, listen
from zmqio.launcher.options import ServeOptions


async def test_it_accepts_while_a_worker_takes_new_ones() -> None:
    listener = listen(Listener(host="127.0.0.1"))
    address = listener.getsockname()
    front = InProcessDispatcher(ServeOptions("chat:app"), listener)
    one, two = PlayedWorker(1, "one1"), PlayedWorker(2, "two2")
    workers: list[Any] = [one, two]
    clients = []

    def connect() -> None:
        clients.append(socket.create_connection(address))
        clients[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")

    await asyncio.gather(front.keep(), front.ready())
    connect()
    front.add(workers[0])
    await wait_until(lambda: one.given, "the first takes it")
    front.retire(workers[0])
    connect()
    await asyncio.sleep(0.01)
    assert front.counters["accepted"] == 1
    front.add(workers[1])
    await wait_until(lambda: two.given, "the second takes what has waited")
    front.remove(workers[1])
    connect()
    await asyncio.sleep(0.01)
    assert front.counters == {"accepted": 2, "handed_over": 2}
    front.close()
    await front.stop()
    assert listener.fileno() == -1
    for each in (*clients, one, two):
        each.close()
