"""Tests of `zmqio.nats.probes`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.fake_nats import FakeNats, running_fake_nats
from tests.support.ports import free_port
from tests.support.timing import wait_until
from zmqio.nats import probes as probes_module
from zmqio.nats.addresses import NatsServer
from zmqio.nats.login import NatsLogin
from zmqio.nats.probes import NatsProbes


class OwnConnection:
    """The link of a node: what is published comes back through the servers that are given."""

    def __init__(self, *fakes: FakeNats) -> None:
        self.barrier_number = 1
        self.fakes = fakes
        self.passed: list[tuple[NatsServer, int]] = []
        self.dropped: list[tuple[NatsServer, str]] = []

    def publish_number(self, command: bytes) -> None:
        subject, payload = command.split(b" ")[1], command.split(b"\r\n")[1]
        for fake in self.fakes:
            if any(line.startswith(b"SUB " + subject) for line in fake.lines):
                fake.send(b"MSG %b 1 %d\r\n%b\r\n" % (subject, len(payload), payload))

    def probe_passed(self, server: NatsServer, number: int) -> None:
        self.passed.append((server, number))

    def probe_dropped(self, server: NatsServer, *, unreachable: str = "") -> None:
        self.dropped.append((server, unreachable))


def at(fake: FakeNats) -> NatsServer:
    return NatsServer("127.0.0.1", fake.port)


@asynccontextmanager
async def running_probes(own: OwnConnection, *servers: NatsServer) -> AsyncIterator[NatsProbes]:
    probes = NatsProbes("zmqio", NatsLogin(), "probe", "OWN", own)
    probes.update(servers)
    try:
        yield probes
    finally:
        probes.close()


async def test_number_comes_back_through_the_other_server() -> None:
    async with running_fake_nats() as fake:
        own = OwnConnection(fake)
        async with running_probes(own, at(fake)) as probes:
            assert probes.awaited == [at(fake)]
            await wait_until(lambda: own.passed, "the first number, which is repeated until it comes back")
            own.barrier_number = 7
            probes.publish(7)
            await wait_until(lambda: own.passed[-1] == (at(fake), 7), "the next one")


async def test_number_that_was_lost_is_repeated() -> None:
    async with running_fake_nats() as fake:
        own = OwnConnection(fake)
        async with running_probes(own, at(fake)):
            await wait_until(lambda: own.passed, "the first number")
            own.barrier_number = 2  # nobody publishes it
            await wait_until(lambda: own.passed[-1][1] == 2, "the second one")


async def test_own_server_and_second_address_of_a_server_need_no_probe() -> None:
    async with running_fake_nats(server_id="OWN") as itself, running_fake_nats() as fake:
        second = NatsServer("localhost", fake.port)
        own = OwnConnection(fake)
        async with running_probes(own, at(itself), at(fake), second) as probes:
            await wait_until(lambda: len(own.dropped) == 2 and own.passed, "both are dropped")
            assert at(itself) in {server for server, _ in own.dropped}
            assert all(reason == "" for _, reason in own.dropped)
            assert len(probes.awaited) == 1
            probes.update({second, at(fake)} - set(probes.awaited))
            await wait_until(lambda: len({server for server, _ in own.passed}) == 2, "the other address is used")


async def test_unreachable_server_is_not_awaited_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_module, "LONGEST_PAUSE_S", 0.05)
    async with running_fake_nats() as fake:
        own = OwnConnection(fake)
        async with running_probes(own, at(fake)) as probes:
            await wait_until(lambda: own.passed, "the first number")
            fake.refusal = "Authorization Violation"
            fake.drop()
            await wait_until(lambda: probes.unreachable, "the loss")
            assert probes.awaited == []
            await wait_until(lambda: "Authorization" in probes.unreachable[0].problem, "the reason")
            fake.refusal = ""
            await wait_until(lambda: probes.awaited, "the reconnection")


async def test_server_of_another_cluster_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_module, "SILENT_S", 0.05)
    async with running_fake_nats() as fake:
        own = OwnConnection()
        async with running_probes(own, at(fake)) as probes:
            await wait_until(lambda: own.dropped, "nothing passes")
            assert own.dropped == [(at(fake), probes_module.NOTHING_PASSES)]
            assert probes.unreachable[0].problem == probes_module.NOTHING_PASSES


async def test_server_that_leaves_the_cluster_loses_its_probe() -> None:
    nobody = NatsServer("127.0.0.1", free_port())
    async with running_fake_nats() as fake:
        own = OwnConnection(fake)
        async with running_probes(own, at(fake), nobody) as probes:
            await wait_until(lambda: own.passed and own.dropped, "both are known")
            assert own.dropped[0][1]
            probes.update([])
            assert probes.awaited == probes.unreachable == []
            await wait_until(lambda: fake.clients == 0, "the connection is closed")


async def test_nonsense_on_the_subject_of_a_probe_is_ignored() -> None:
    async with running_fake_nats() as fake:
        own = OwnConnection()
        async with running_probes(own, at(fake)):
            await wait_until(lambda: fake.commands(b"SUB"), "the subscription")
            fake.send(b"MSG x 1 1\r\na\r\nMSG x 1 30\r\n%b\r\nMSG x 1 1\r\n5\r\n" % (b"9" * 30))
            await wait_until(lambda: own.passed == [(at(fake), 5)], "the number alone")
