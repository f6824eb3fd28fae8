"""Tests of `zmqio.python_socketio.manager`."""

import os
import sys
import threading
from types import SimpleNamespace

import pytest
import socketio

from tests.support.loopback_broker import running_broker
from tests.support.psio_threads import ThreadedServer
from zmqio.exceptions import ConfigError
from zmqio.python_socketio import Manager


def test_rooms_and_emits_from_any_thread() -> None:
    with ThreadedServer() as node:
        one, two = node.connect("eio1"), node.connect("eio2")
        node.sio.enter_room(one, "a")
        node.sio.enter_room(two, 7)
        assert node.sio.rooms(two) == [two, 7]
        assert list(node.manager.get_participants("/", "a")) == [(one, "eio1")]
        sending = threading.Thread(target=lambda: node.sio.emit("news", (1, "x"), to=["a", 7], skip_sid=two))
        sending.start()
        sending.join()
        assert (node.packets("eio1"), node.packets("eio2")) == (['42["news",1,"x"]'], [])
        node.sio.leave_room(two, 7)
        node.sio.close_room("a")
        assert node.manager.run(node.manager.cluster().rooms()) == {one, two}
        node.sio.disconnect(one)
        node.manager.disconnect(two, "/")
        node.wait(lambda: node.manager.rooms == {}, "both disconnects")


def test_call_waits_for_the_client() -> None:
    with ThreadedServer() as node:
        sid = node.connect("eio")
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(node.sio.call("ask", 1, to=sid)))
        asking.start()
        node.wait(node.sio.eio.sockets["eio"].queue.qsize, "the question")
        node.say("eio", '31["yes",2]')
        asking.join()
        assert answers == [("yes", 2)]
        with pytest.raises(socketio.exceptions.TimeoutError):
            node.sio.call("ask", to=sid, timeout=0.01)


def test_a_client_that_goes_while_its_connect_handler_runs_leaves_nothing() -> None:
    with ThreadedServer() as node:
        node.sio.on("connect", lambda sid, environ: node.sio._handle_eio_disconnect("eio", "transport close"))
        node.connect("eio")
        node.wait(lambda: node.manager.rooms == {}, "the client to be forgotten")


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_green_threads_are_refused_with_the_way_out(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patched = SimpleNamespace(is_module_patched=lambda name: True, is_monkey_patched=lambda name: True)
    monkeypatch.setitem(sys.modules, {"gevent": "gevent.monkey", "eventlet": "eventlet.patcher"}[library], patched)
    with pytest.raises(ConfigError, match=rf"{library} monkey-patching.*write_only=True"):
        socketio.Server(async_mode="threading", client_manager=Manager())


def test_a_server_needs_a_manager_that_is_a_node() -> None:
    with pytest.raises(ConfigError, match="leave out `write_only=True`"):
        socketio.Server(async_mode="threading", client_manager=Manager(write_only=True))


def test_write_only_publishes_without_a_thread() -> None:
    with running_broker() as broker:
        before = set(threading.enumerate())
        manager = Manager(broker.address, write_only=True)
        manager.emit("news", None, room="lobby")
        manager.enter_room("s" * 20, "/", "lobby")
        manager.leave_room("s" * 20, "/", "lobby")
        manager.close_room("lobby")
        manager.disconnect("s" * 20, "/")
        with pytest.raises(RuntimeError, match="Callbacks can only be issued"):
            manager.emit("news", None, room="lobby", callback=print)
        ThreadedServer.wait(lambda: len(broker.pushed) == 5, "the requests")
        assert set(threading.enumerate()) <= before  # those of earlier tests may end
        manager.close()


def test_a_forked_child_is_another_node() -> None:
    with ThreadedServer() as node:
        parent = node.manager.health().details["node_id"]
        pid = os.fork()
        if pid == 0:
            node.sio.emit("news")
            os._exit(0 if node.manager.health().details["node_id"] not in (None, parent) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert node.manager.health().details["node_id"] == parent
