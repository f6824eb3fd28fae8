"""Recovery of sessions in one process: the state of a client, and each event once and in order."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_engine import Harness
from tests.support.reader import Reader
from tests.support.timing import wait_until
from zmqio.adapter.base import Target
from zmqio.config import Recovery
from zmqio.server.socket import Socket


def recovering(**options: Any) -> Harness:
    return Harness(recovery=Recovery(**options))


async def test_id_rooms_data_and_missed_events_come_back_in_order() -> None:
    harness, seen = recovering(), []
    io = harness.of("/")

    @io.on("connect")
    async def connect(socket: Socket, auth: Any) -> None:
        seen.append((socket.recovered, socket.recovery_gaps, auth, sorted(socket.rooms), dict(socket.data)))
        if not socket.recovered:
            socket.data["name"] = "Ada"
            await socket.join("lobby")

    reader = Reader(harness, auth={"token": 1})
    await reader.connect()
    sid = reader.sid
    await io.to("lobby").emit("before", 1)
    reader.read()
    await reader.lose()
    assert not io.sockets
    await io.to("lobby").emit("missed", 1)
    await io.to("elsewhere").emit("never", 1)
    await io.except_("lobby").emit("never", 2)
    await io.volatile.emit("never", 3)
    await io.to(sid).emit("missed", 2)
    await io.emit("missed", 3, b"binary")
    await reader.connect(read=4)
    assert reader.recovered and reader.sid == sid
    assert reader.events[:3] == [["before", 1], ["missed", 1], ["missed", 2]]
    assert seen == [
        (False, (), {"token": 1}, [sid], {}),
        (True, (), {"token": 1}, sorted(["lobby", sid]), {"name": "Ada"}),
    ]
    assert harness.runtime.counters["sessions_recovered"] == 1


async def test_events_of_the_connect_handler_follow_the_missed_ones() -> None:
    harness = recovering()
    io = harness.of("/")
    io.on("connect", lambda socket: socket.emit("welcome", socket.recovered))
    reader = Reader(harness)
    await reader.connect()
    await reader.lose()
    await io.emit("missed")
    await reader.connect()
    assert reader.events == [["welcome", False], ["missed"], ["welcome", True]]


async def test_a_client_that_never_received_an_event_is_recovered() -> None:
    harness = recovering()
    await harness.of("/").ready()
    await harness.of("/").emit("earlier")
    reader = Reader(harness)
    await reader.connect()
    await reader.lose()
    await harness.of("/").emit("missed")
    await reader.connect()
    assert reader.recovered
    assert reader.events == [["missed"]]


async def test_an_event_that_was_sent_and_not_received_is_sent_again() -> None:
    harness = recovering()
    reader = Reader(harness)
    await reader.connect()
    await harness.of("/").emit("one")
    await harness.of("/").emit("two")
    reader.read(1)
    await reader.lose()
    await reader.connect()
    assert reader.events == [["one"], ["two"]]


async def test_acknowledged_and_volatile_events_are_not_sent_again() -> None:
    harness = recovering()
    reader = Reader(harness)
    await reader.connect()
    io = harness.of("/")
    socket = io.sockets[reader.sid]
    waiting = asyncio.ensure_future(socket.emit_with_ack("asked"))
    everybody = asyncio.ensure_future(io.timeout(5).emit_with_ack("all asked"))
    await asyncio.sleep(0)
    await socket.volatile.emit("now", "text")
    reader.read(2)
    await reader.lose()
    with pytest.raises(Exception, match="disconnected"):
        await waiting
    await everybody
    await reader.connect()
    assert reader.recovered
    assert reader.events == [["asked"], ["all asked"]]


@pytest.mark.parametrize("event", ["plain", "volatile", "local"])
async def test_every_event_without_an_acknowledgement_ends_with_an_offset(event: str) -> None:
    harness = recovering()
    reader = Reader(harness)
    await reader.connect()
    io = harness.of("/")
    operation = io if event == "plain" else getattr(io, event)
    await operation.emit("event", "a string of the application")
    reader.read()
    await reader.lose()
    await reader.connect()
    assert reader.recovered
    assert reader.events == [["event", "a string of the application"]]


async def test_without_the_option_nothing_is_added() -> None:
    harness = Harness()
    client, session = await harness.connected(auth='{"pid":"AAAAAAAAAAAAAAAAAAAA","offset":"x"}')
    (socket,) = harness.of("/").sockets.values()
    assert socket.handshake.auth == {"pid": "AAAAAAAAAAAAAAAAAAAA", "offset": "x"}
    await harness.of("/").emit("event")
    assert session.sent == [f'0{{"sid":"{socket.id}"}}', '2["event"]']
    client.closed("transport close")
    assert not socket.recovered


@pytest.mark.parametrize(
    ("reason", "recovered"),
    [
        ("transport close", True),
        ("transport error", True),
        ("ping timeout", True),
        ("forced close", True),
        ("server shutting down", True),
        ("forced server close", True),
        ("slow client", True),
        ("parse error", False),
    ],
)
async def test_the_reason_of_the_disconnect_decides(reason: str, recovered: bool) -> None:
    harness = recovering()
    reader = Reader(harness)
    await reader.connect()
    await reader.lose(reason)
    await reader.connect()
    assert reader.recovered == recovered


async def test_a_client_that_left_or_was_sent_away_starts_again() -> None:
    harness = recovering()
    reader = Reader(harness)
    await reader.connect()
    first = reader.sid
    reader.send("1")
    await harness.settle()
    await reader.connect()
    assert not reader.recovered and reader.sid != first
    await harness.of("/").sockets[reader.sid].disconnect(close=True)
    reader.read()
    await reader.connect()
    assert not reader.recovered


async def test_middleware_is_skipped_unless_wanted() -> None:
    for skip in (True, False):
        harness, calls = recovering(skip_middlewares=skip), []
        harness.of("/").use(lambda socket, calls=calls: calls.append(socket.recovered))
        reader = Reader(harness)
        await reader.connect()
        await reader.lose()
        await reader.connect()
        assert reader.recovered
        assert calls == ([False] if skip else [False, True])


async def test_events_that_middleware_sends_come_after_the_missed_ones_and_once() -> None:
    harness = recovering(skip_middlewares=False)
    harness.of("/").use(lambda socket: socket.emit("from middleware", socket.recovered))
    reader = Reader(harness)
    await reader.connect()
    await reader.lose()
    await harness.of("/").emit("missed")
    await reader.connect()
    await reader.lose()
    await reader.connect()
    assert reader.events == [
        ["from middleware", False],
        ["missed"],
        ["from middleware", True],
        ["from middleware", True],
    ]


async def test_a_session_that_middleware_refused_can_be_claimed_again() -> None:
    harness, strict = recovering(skip_middlewares=False), False

    @harness.of("/").use
    async def check(socket: Socket) -> bool:
        return not strict

    reader = Reader(harness)
    await reader.connect()
    await reader.lose()
    strict = True
    await reader.connect()
    assert reader.refused is not None
    strict = False
    await reader.connect()
    assert reader.recovered


async def test_the_claim_of_a_client_whose_old_connection_is_still_open_ends_it() -> None:
    harness, reasons = recovering(), []
    harness.of("/").on("disconnect", lambda _socket, reason: reasons.append(reason))
    reader = Reader(harness)
    await reader.connect()
    old = reader.session
    await harness.of("/").emit("missed")
    await reader.connect()
    assert reader.recovered
    assert reader.events == [["missed"]]
    assert reasons == ["forced close"]
    assert old.closed_with == "forced close"
    assert list(harness.of("/").sockets) == [reader.sid]


async def test_what_a_handler_sends_to_a_client_that_has_just_gone_is_not_lost() -> None:
    harness = recovering()
    reader = Reader(harness)
    await reader.connect()
    socket = harness.of("/").sockets[reader.sid]
    await reader.lose()
    await socket.emit("late", 1)
    await reader.connect()
    await socket.emit("to nobody")  # the object of the earlier connection
    await reader.lose()
    await reader.connect()
    assert reader.events == [["late", 1]]


async def test_unknown_sessions_and_offsets_are_counted_and_not_recovered() -> None:
    harness = recovering()
    reader = Reader(harness)
    await reader.connect()
    first = reader.sid
    await reader.lose()
    reader.offset = "no offset of ours"
    await reader.connect()
    assert not reader.recovered and reader.sid != first
    reader.pid = "A" * 20
    await reader.connect()
    assert not reader.recovered
    counters = harness.runtime.counters
    assert counters["recovery_offsets_unknown"] == 1
    assert counters["recovery_sessions_unknown"] == 1


async def test_after_the_limit_or_when_packets_were_dropped_the_client_starts_again() -> None:
    harness = recovering(max_disconnection_s=0.001)
    reader = Reader(harness)
    await reader.connect()
    await reader.lose()
    await asyncio.sleep(0.01)
    await reader.connect()
    assert not reader.recovered
    small = recovering(max_log_bytes=2_000)
    reader = Reader(small)
    await reader.connect()
    await reader.lose()
    for number in range(10):
        await small.of("/").emit("missed", number)
    await reader.connect()
    assert not reader.recovered and reader.events == []
    assert small.runtime.counters["recovery_packets_dropped"] == 1


async def test_the_private_id_is_shown_to_nobody() -> None:
    harness = recovering()
    reader = Reader(harness, auth={"token": 1})
    await reader.connect()
    await reader.lose()
    await reader.connect()
    socket = harness.of("/").sockets[reader.sid]
    (description,) = await harness.of("/").adapter.fetch_sockets(Target(), 1.0)
    assert reader.pid not in repr((socket, description, socket.handshake, socket.session))


async def test_each_namespace_of_a_connection_has_its_own_session() -> None:
    harness = recovering()
    harness.of("/chat")
    reader, chat = Reader(harness), Reader(harness, "/chat")
    await reader.connect()
    await chat.connect()
    await chat.lose()
    await harness.of("/chat").emit("missed")
    chat.pid, pid = reader.pid, chat.pid
    await chat.connect()
    assert not chat.recovered  # the session of another namespace
    chat.pid = pid
    await chat.connect()
    assert chat.recovered and chat.events == [["missed"]]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["room", "all", "direct", "other", "volatile", "local", "except", "large", "join", "break"]
        ),
        st.integers(0, 12),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_every_event_is_received_once_and_in_order_wherever_the_connection_breaks(
    steps: list[tuple[str, int]],
) -> None:
    asyncio.run(_run_history(steps))


async def _run_history(steps: list[tuple[str, int]]) -> None:
    """Send events, and break the connection after a number of packets, of which the rest is lost."""
    harness = recovering()
    harness.runtime.fanout._slice_members = 2  # a large room is written in slices
    io = harness.of("/")

    @io.on("connect")
    async def connect(socket: Socket) -> None:
        if not socket.recovered:
            await socket.join("room")

    crowd = [Reader(harness) for _ in range(4)]
    for member in crowd:
        await member.connect()
    reader = Reader(harness)
    await reader.connect()
    socket, expected = io.sockets[reader.sid], []
    for number, (step, most) in enumerate(steps):
        operation = {
            "room": io.to("room"),
            "all": io,
            "other": io.to("elsewhere"),
            "volatile": io.volatile,
            "local": io.local,
            "except": io.to("room").except_(reader.sid),
            "large": io.to("room", "elsewhere"),
        }.get(step)
        if operation is not None:
            await operation.emit("n", number)
        elif step == "direct":
            await socket.emit("n", number)
        elif step == "join":  # later broadcasts wait for this
            await io.in_("room").sockets_join(f"new-{number}")
        else:
            reader.read(most)
            await reader.lose()
            await reader.connect(read=most)
            assert reader.recovered or not most  # a client that reads no packet does not know
            socket = io.sockets[reader.sid]
        if step in ("room", "all", "direct", "local", "large"):
            expected.append(number)
    reader.read()
    await reader.lose()
    await reader.connect()
    assert reader.recovered
    received = [event[1] for event in reader.events]
    lossless = [number for number in received if steps[number][0] != "volatile"]
    assert lossless == expected
    assert received == sorted(set(received))
    await wait_until(lambda: not harness.runtime.fanout.busy, "the end of the slices")
    for client in crowd:
        client.read()
        assert [event[1] for event in client.events if steps[event[1]][0] in ("room", "all", "large")] == [
            number for number, (step, _) in enumerate(steps) if step in ("room", "all", "large")
        ]


async def test_a_client_that_received_no_event_for_long_is_recovered() -> None:
    harness = recovering()
    store = harness.runtime.recovery
    assert store is not None
    now = store.clock()
    store.clock = lambda: now
    reader = Reader(harness)
    await reader.connect()
    io = harness.of("/")
    recorder = io.adapter._recorder
    recorder._clock = lambda: now
    await io.emit("long ago")
    reader.read()
    other = Reader(harness)
    await other.connect()
    for number in range(3):
        now += store.keep_s
        await io.sockets[other.sid].emit("n", number)
    assert reader.offset is not None and recorder.tables.decode(reader.offset) == {}
    await reader.lose()
    await io.emit("missed")
    await reader.connect()
    assert reader.recovered
    assert reader.events == [["long ago"], ["missed"]]
