"""Tests of `zmqio.zeromq.socket_options`."""

import select

import pytest
import zmq

from zmqio.zeromq.socket_options import fd_of, is_writable, set_connect_options


def test_socket_reconnects_within_100_ms_and_uses_tcp_keepalive():
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        set_connect_options(socket, "tcp://127.0.0.1:1")
        assert socket.getsockopt(zmq.RECONNECT_IVL) == 10
        assert socket.getsockopt(zmq.RECONNECT_IVL_MAX) == 100
        assert socket.getsockopt(zmq.TCP_KEEPALIVE) == 1
        assert socket.getsockopt(zmq.IPV6) == 0


def test_ipv6_address_enables_ipv6():
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        set_connect_options(socket, "tcp://[::1]:1")
        assert socket.getsockopt(zmq.IPV6) == 1


def test_fd_signals_a_message_and_writable_depends_on_the_peer():
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as two:
        one.bind("inproc://options")
        assert not is_writable(one)
        two.connect("inproc://options")
        assert is_writable(one)
        # The FD signals only after the queue was found empty, so a reader reads once before it waits.
        with pytest.raises(zmq.Again):
            two.recv(zmq.NOBLOCK)
        one.send(b"x")
        assert select.select([fd_of(two)], [], [], 10)[0]
        assert two.recv() == b"x"
