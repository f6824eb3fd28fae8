"""Tests of `zmqio.nats.link`; tests/nats/test_bus.py runs it on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog

from tests.support.fake_nats import running_fake_nats
from tests.support.ports import free_port
from tests.support.timing import wait_until
from zmqio.nats import connection
from zmqio.nats import link as link_module
from zmqio.nats.addresses import parse_servers
from zmqio.nats.inbox_check import InboxCheck
from zmqio.nats.link import NatsLink, NatsLinkOptions, NatsLinkState
from zmqio.protocol.topic import all_topic

ALL = all_topic("zmqio")
INBOXES = InboxCheck("zmqio")
INBOX = b"zmqio/u/node1\0"
REPLY = INBOXES.destination_of(INBOX).split()[1]
OPTIONS = NatsLinkOptions(
    "zmqio",
    "test",
    publish_queue_messages=100,
    publish_queue_bytes=1 << 20,
    max_message_bytes=1 << 20,
    silent_after_s=20.0,
    barrier_timeout_s=0.05,
)


class Recorded:
    """Records the events of a link."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.messages: list[tuple[bytes, bytes]] = []
        self.malformed: list[str] = []

    def link_message(self, topic: bytes, body: bytes) -> None:
        self.messages.append((topic, body))

    def link_malformed(self, reason: str) -> None:
        self.malformed.append(reason)

    def link_doubted(self) -> None:
        self.events.append("doubted")

    def link_departure(self, inbox: bytes) -> None:
        self.events.append(f"departed {inbox!r}")

    def link_lost(self) -> None:
        self.events.append("lost")

    def link_ready(self) -> None:
        self.events.append("ready")

    def link_timed_out(self) -> None:
        self.events.append("timed out")

    def link_cluster_changed(self) -> None:
        self.events.append("cluster changed")

    def link_slow(self) -> None:
        self.events.append("slow")


@asynccontextmanager
async def running_link(
    address: str, options: NatsLinkOptions = OPTIONS, *, ready: bool = True
) -> AsyncIterator[tuple[NatsLink, Recorded]]:
    recorded = Recorded()
    link = NatsLink(parse_servers(address), options, recorded, INBOXES)
    try:
        if ready:
            await wait_until(lambda: link.state is NatsLinkState.READY, "the link is ready")
        yield link, recorded
    finally:
        last = link.close()
        if last is not None:
            last.close()
            await last.wait_closed(20)


async def test_subscriptions_are_made_on_every_connection() -> None:
    async with running_fake_nats() as fake, running_link(fake.address) as (link, recorded):
        link.subscribe([ALL])
        await wait_until(lambda: fake.commands(b"SUB")[1:] == [b"SUB zmqio.a 1"], "the subscription")
        fake.drop()
        await wait_until(lambda: recorded.events == ["ready", "lost", "ready"], "the reconnection")
        assert fake.commands(b"SUB") == [INBOXES.subscribe.strip(), b"SUB zmqio.a 1"] * 2
        assert link.problems == []


async def test_messages_are_passed_on_and_malformed_ones_reported() -> None:
    async with running_fake_nats() as fake, running_link(fake.address) as (link, recorded):
        link.subscribe([ALL])
        frame = ALL + b"body"
        fake.send(b"MSG zmqio.a 1 %d\r\n%b\r\nMSG zmqio.a 1 1\r\nx\r\n" % (len(frame), frame))
        await wait_until(lambda: recorded.malformed, "both messages")
        assert recorded.messages == [(ALL, b"body")]


async def test_without_a_server_the_reason_is_known_and_barriers_are_done() -> None:
    async with running_link(f"nats://127.0.0.1:{free_port()}", ready=False) as (link, _):
        waiter = asyncio.get_running_loop().create_future()
        link.sync(waiter)
        assert waiter.done()
        await wait_until(lambda: "nats://127.0.0.1" in link.problems[0], "the reason")


async def test_next_server_is_tried() -> None:
    async with running_fake_nats() as fake:
        address = f"nats://127.0.0.1:{free_port()},{fake.address}"
        async with running_link(address, replace(OPTIONS, barrier_timeout_s=0.01)):
            pass


async def test_small_payload_limit_of_a_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "REFUSED_PAUSE_S", 0.01)
    async with running_fake_nats(max_payload=1_000) as fake, running_link(fake.address, ready=False) as (link, _):
        await wait_until(lambda: "max_payload" in link.problems[0], "the reason")
        assert "1000 bytes, and max_message_bytes is 1048576" in link.problems[0]
        fake.info["max_payload"] = 1 << 20
        await wait_until(lambda: link.state is NatsLinkState.READY, "the server was changed")


async def test_refused_login_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "REFUSED_PAUSE_S", 0.01)
    async with running_fake_nats() as fake:
        fake.refusal = "Authorization Violation"
        async with running_link(fake.address, ready=False) as (link, _):
            await wait_until(lambda: "Authorization Violation" in link.problems[0], "the reason")


async def test_permission_that_is_missing_is_a_problem_and_logged() -> None:
    with structlog.testing.capture_logs() as lines:
        async with running_fake_nats() as fake, running_link(fake.address) as (link, _):
            fake.send(b"-ERR 'Permissions Violation for Publish to \"zmqio.a\"'\r\n")
            await wait_until(lambda: link.problems, "the problem")
            assert "Permissions Violation for Publish" in link.problems[0]
    (line,) = [line for line in lines if line["event"] == "nats_fault_reported"]
    assert "zmqio.>" in line["hint"]


async def test_slow_consumer_is_counted() -> None:
    async with running_fake_nats() as fake, running_link(fake.address) as (_, recorded):
        fake.send(b"-ERR 'Slow Consumer'\r\n")
        await wait_until(lambda: "slow" in recorded.events, "the event")


async def test_silent_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_LIMIT_S", 0.1)
    async with (
        running_fake_nats() as fake,
        running_link(fake.address, replace(OPTIONS, silent_after_s=0.2)) as (_, recorded),
    ):
        fake.answers = False
        await wait_until(lambda: "lost" in recorded.events, "the link gives the server up")
        fake.answers = True
        await wait_until(lambda: recorded.events[-1] == "ready", "the server answers again")


async def test_server_that_is_about_to_stop_is_left_for_another() -> None:
    async with (
        running_fake_nats() as leaving,
        running_fake_nats(server_id="S2") as other,
        running_link(leaving.address, replace(OPTIONS, barrier_timeout_s=0.01)) as (link, recorded),
    ):
        leaving.send_info(ldm=True, connect_urls=[f"127.0.0.1:{other.port}"])
        await wait_until(lambda: recorded.events.count("ready") == 2, "the move")
        assert recorded.events.count("lost") == 1
        assert link.connection is not None
        assert link.connection.info.server_id == "S2"


NO_RESPONDERS = b"HMSG %b 0 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % REPLY


@pytest.mark.parametrize(
    ("info", "is_reported"),
    [
        ({}, True),
        ({"cluster": "c", "connect_urls": ["127.0.0.1:1"]}, True),
        ({"cluster": "c"}, False),  # a broken route would not be noticed
    ],
)
async def test_inbox_without_a_subscription_is_reported(info: dict[str, Any], is_reported: bool) -> None:
    async with running_fake_nats(**info) as fake, running_link(fake.address) as (_, recorded):
        fake.send(NO_RESPONDERS + b"-ERR 'Slow Consumer'\r\n")
        await wait_until(lambda: "slow" in recorded.events, "both were handled")
        assert (f"departed {INBOX!r}" in recorded.events) == is_reported
        assert recorded.malformed == []


async def test_inboxes_are_not_known_before_all_servers_have_the_subscriptions() -> None:
    async with (
        running_fake_nats(server_id="S2") as other,
        running_fake_nats(cluster="c", connect_urls=[f"127.0.0.1:{other.port}"]) as fake,
        running_link(fake.address, replace(OPTIONS, barrier_timeout_s=60.0), ready=False) as (link, recorded),
    ):
        await wait_until(lambda: other.commands(b"SUB"), "the probe, whose numbers never come back")
        fake.send(NO_RESPONDERS + b"-ERR 'Slow Consumer'\r\n")
        await wait_until(lambda: recorded.events, "both were handled")
        assert recorded.events == ["slow"]
        assert link.state is NatsLinkState.SYNCING


async def test_only_server_is_kept_until_it_stops() -> None:
    async with running_fake_nats() as fake, running_link(fake.address) as (_, recorded):
        fake.send_info(ldm=True)
        fake.send(b"-ERR 'Slow Consumer'\r\n")
        await wait_until(lambda: "slow" in recorded.events, "both were handled")
        assert "lost" not in recorded.events


async def test_change_of_the_cluster_is_doubt_until_the_new_servers_know_all() -> None:
    async with running_fake_nats() as fake, running_link(fake.address) as (_, recorded):
        gone = f"127.0.0.1:{free_port()}"
        fake.send_info(cluster="c", connect_urls=[f"127.0.0.1:{fake.port}", gone])
        await wait_until(lambda: recorded.events.count("doubted") >= 2, "doubt at once, and after a barrier")
        assert recorded.events.count("cluster changed") == 1
        fake.send_info(connect_urls=[gone, f"127.0.0.1:{fake.port}"])
        fake.send(b"-ERR 'Slow Consumer'\r\n")
        await wait_until(lambda: "slow" in recorded.events, "the same servers in another order are no change")
        assert recorded.events.count("cluster changed") == 1


@pytest.mark.parametrize(
    ("version", "is_outdated"),
    [("2.9.10", True), ("2.12.9", True), ("2.12.10", False), ("2.13.0", True), ("2.14.2", False), ("dev", False)],
)
async def test_release_that_loses_subscriptions_in_clusters_is_a_problem(version: str, is_outdated: bool) -> None:
    with structlog.testing.capture_logs() as lines:
        async with (
            running_fake_nats(version=version, cluster="c") as fake,
            running_link(fake.address) as (link, _),
        ):
            assert any("issue 8233" in problem for problem in link.problems) == is_outdated
    names = [line["event"] for line in lines]
    assert ("nats_version_outdated" in names) == is_outdated
    assert "nats_servers_unadvertised" in names


async def test_old_release_alone_is_no_problem() -> None:
    async with running_fake_nats(version="2.9.10") as fake, running_link(fake.address) as (link, _):
        assert link.problems == []
