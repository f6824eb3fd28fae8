"""Handlers that run in threads."""

import inspect
import threading

import pytest

from tests.support.fake_engine import Harness
from tests.support.timing import wait_until
from zmqio.server.socket import Socket
from zmqio.server.threads import in_thread


async def test_function_runs_in_a_thread_and_its_result_is_the_acknowledgement() -> None:
    harness, threads = Harness(), []

    @harness.of("/").on("double")
    @in_thread
    def double(socket: Socket, value: int) -> int:
        threads.append((socket.id, threading.current_thread()))
        return 2 * value

    client, session = await harness.connected()
    client.message('21["double",4]')
    client.message('22["double",5]')
    await wait_until(lambda: session.sent[1:] == ["31[8]", "32[10]"], "both acknowledgements, in order")
    assert all(thread is not threading.main_thread() for _, thread in threads)
    assert len({sid for sid, _ in threads}) == 1


def test_number_of_arguments_is_that_of_the_function() -> None:
    assert str(inspect.signature(in_thread(lambda socket, value: value))) == "(socket, value)"


def test_coroutine_function_is_refused() -> None:
    async def handler(socket: Socket) -> None:
        """Does not run in a thread."""

    with pytest.raises(TypeError, match="leave out `in_thread`"):
        in_thread(handler)
