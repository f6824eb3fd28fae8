"""The dispatcher in this process, with workers that only keep their sockets."""

import asyncio
import socket
from typing import Any

from tests.support.fake_workers import FakeWorker
from tests.support.timing import wait_until
from zmqio.launcher.accept.dispatcher import InProcessDispatcher
from zmqio.launcher.listener import BindAddress, listen
from zmqio.launcher.options import ServeOptions


async def test_dispatcher_accepts_while_a_worker_accepts_new_sessions() -> None:
    listener = listen(BindAddress(host="127.0.0.1"))
    address = listener.getsockname()
    dispatcher = InProcessDispatcher(ServeOptions("chat:app"), listener)
    one, two = FakeWorker(1, "one1"), FakeWorker(2, "two2")
    workers: list[Any] = [one, two]
    clients = []

    def connect() -> None:
        clients.append(socket.create_connection(address))
        clients[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")

    await asyncio.gather(dispatcher.run(), dispatcher.wait_ready())
    connect()
    dispatcher.add(workers[0])
    await wait_until(lambda: one.received, "the connection at the first worker")
    dispatcher.retire(workers[0])
    connect()
    await asyncio.sleep(0.01)
    assert dispatcher.counters["connections_accepted"] == 1
    dispatcher.add(workers[1])
    await wait_until(lambda: two.received, "the waiting connection at the second worker")
    dispatcher.suspend(workers[1])
    connect()
    await asyncio.sleep(0.01)
    assert len(two.received) == 1
    dispatcher.resume(workers[1])
    await wait_until(lambda: len(two.received) == 2, "the waiting connection at the recovered worker")
    dispatcher.remove(workers[1])
    connect()
    await asyncio.sleep(0.01)
    assert dispatcher.counters == {"connections_accepted": 3, "connections_passed": 3}
    dispatcher.close()
    await dispatcher.stop()
    assert listener.fileno() == -1
    for each in (*clients, one, two):
        each.close()
