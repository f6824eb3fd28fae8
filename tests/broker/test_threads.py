import zmq
from zmqio_broker.threads import SocketThread

from tests.support.timing import LIMIT_S


def test_thread_ends_with_the_context_and_closes_its_sockets() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PULL)
    thread = SocketThread("reader", lambda: [socket.recv() for _ in range(2)] and None, [socket])
    thread.start()
    context.term()
    assert thread.join(LIMIT_S)
    assert socket.closed
    assert thread.failure is None


def test_failure_is_kept_and_the_sockets_are_closed_too() -> None:
    def fail() -> None:
        raise OSError("disk full")

    with zmq.Context() as context:
        socket = context.socket(zmq.PULL)
        thread = SocketThread("failing", fail, [socket])
        thread.start()
        assert thread.join(LIMIT_S)
        assert socket.closed
        assert isinstance(thread.failure, OSError)


def test_join_returns_false_while_the_thread_runs() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PULL)
    thread = SocketThread("reader", lambda: socket.recv() and None, [socket])
    thread.start()
    assert not thread.join(0)
    context.term()
    assert thread.join(LIMIT_S)
