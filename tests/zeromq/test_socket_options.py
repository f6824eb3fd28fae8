"""Tests of `zmqio.zeromq.socket_options`."""

import select

import pytest
import zmq

from zmqio.zeromq.socket_options import fd_of, is_writable, set_link_options


def test_reconnects_without_back_off_and_keeps_tcp_alive():
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        set_link_options(socket, "tcp://127.0.0.1:1")
        assert socket.getsockopt(zmq.RECONNECT_IVL) == 10
        assert socket.getsockopt(zmq.RECONNECT_IVL_MAX) == 100
        assert socket.getsockopt(zmq.TCP_KEEPALIVE) == 1
        assert socket.getsockopt(zmq.IPV6) == 0


def test_ipv6_address_switches_ipv6_on():
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        set_link_options(socket, "tcp://[::1]:1")
        assert socket.getsockopt(zmq.IPV6) == 1


def test_fd_tells_of_a_message_and_writable_follows_the_peer():
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as two:
        one.bind("inproc://options")
        assert not is_writable(one)
        two.connect("inproc://options")
        assert is_writable(one)
        # A reader that never found the queue empty is not told: everybody who listens to an FD reads first.
        with pytest.raises(zmq.Again):
            two.recv(zmq.NOBLOCK)
        one.send(b"x")
        assert select.select([fd_of(two)], [], [], 10)[0]
        assert two.recv() == b"x"
