"""Tests of `zmqio.python_socketio.threaded_host`: how clients of a `socketio.Server` are closed."""

import structlog

from tests.support.psio_threads import ThreadedServer


def test_a_slow_client_is_dropped_and_its_packets_freed() -> None:
    with ThreadedServer(session_buffer_packets=10, slow_client_grace_s=0) as node:
        reasons: list[str] = []
        node.sio.on("disconnect", lambda sid, reason: reasons.append(reason))
        node.connect("slow")
        for number in range(50):
            node.sio.emit("flood", number)
        node.wait(lambda: reasons == ["transport error"], "the disconnect handler")
        assert node.packets("slow") == []
        assert node.manager.health().details["counters"]["python_socketio"] == {"clients_dropped": 1}


def test_closing_a_connection_leaves_all_its_namespaces() -> None:
    with ThreadedServer() as node:
        node.connect("eio")
        node.connect("eio", "/chat")
        node.manager.run(node.manager.cluster().disconnect_sockets(close=True))
        node.wait(lambda: node.sio.eio.sockets["eio"].closed, "the end of the connection")
        assert node.packets("eio") == ["41", "41/chat,", "1"]
        assert node.manager.rooms == {}


def test_a_callback_runs_in_a_thread_of_the_server_and_its_error_is_logged() -> None:
    def fails(*args: object) -> None:
        node.sio.emit("may block")
        raise ValueError("no")

    with ThreadedServer() as node:
        sid = node.connect("eio")
        with structlog.testing.capture_logs() as lines:
            node.sio.emit("ask", to=sid, callback=fails)
            assert node.packets("eio") == ['421["ask"]']
            node.say("eio", "31[]")
            node.wait(lambda: any(line["event"] == "callback_failed" for line in lines), "the log line")
        assert node.packets("eio") == ['42["may block"]']
