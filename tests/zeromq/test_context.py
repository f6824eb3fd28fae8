"""Tests of `zmqio.zeromq.context`."""

import os

import zmq

from zmqio.zeromq.context import ProcessContext


def test_context_is_created_on_first_use_and_kept():
    context = ProcessContext()
    assert not context.exists_here()
    assert context.get() is context.get()
    assert context.exists_here()
    context.term()


def test_after_term_another_context_is_created():
    context = ProcessContext()
    first = context.get()
    context.term()
    assert first.closed
    assert context.get() is not first
    context.term()


def test_term_of_an_unused_context_does_nothing():
    ProcessContext().term()


def test_term_waits_until_a_closed_socket_has_sent_its_queue():
    receiver_context = zmq.Context()
    receiver = receiver_context.socket(zmq.PULL)
    receiver.setsockopt(zmq.RCVHWM, 0)
    port = receiver.bind_to_random_port("tcp://127.0.0.1")
    context = ProcessContext()
    sender = context.get().socket(zmq.PUSH)
    sender.connect(f"tcp://127.0.0.1:{port}")
    for number in range(500):
        sender.send(b"%d" % number)
    sender.close(linger=10_000)
    context.term()
    assert [receiver.recv() for _ in range(500)] == [b"%d" % number for number in range(500)]
    receiver.close()
    receiver_context.term()


def test_forked_child_gets_its_own_working_context():
    context = ProcessContext()
    parents = context.get()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, _sends_and_terms(context, parents))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 100) == b"not here, other, got hello, parents open"
    for fd in (reader, writer):
        os.close(fd)
    assert not parents.closed
    context.term()


def _sends_and_terms(context: ProcessContext, parents: zmq.Context) -> bytes:
    words = ["here" if context.exists_here() else "not here"]
    own = context.get()
    words.append("same" if own is parents else "other")
    with own.socket(zmq.PAIR) as one, own.socket(zmq.PAIR) as two:
        one.bind("inproc://pair")
        two.connect("inproc://pair")
        one.send(b"hello")
        words.append("got " + two.recv().decode())
    context.term()
    words.append("parents closed" if parents.closed else "parents open")
    return ", ".join(words).encode()
