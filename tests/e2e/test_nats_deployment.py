"""examples/nats/compose.yml and kubernetes.yml, as far as possible without a container engine or a cluster.

The servers run with the options and the configuration of the files, on ports of loopback.
"""

import asyncio
import json
import re
import shlex
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import kubernetes_validate
import yaml

import zmqio
from tests.support.nats_server import NatsServerProcess, nats_server_program
from tests.support.pages import ROOT
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S
from zmqio.buses import addresses_of

FOLDER = ROOT / "examples" / "nats"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text())
KUBERNETES = (FOLDER / "kubernetes.yml").read_text()
RESOURCES: dict[str, Any] = {each["kind"]: each for each in yaml.safe_load_all(KUBERNETES)}
CONTAINER = RESOURCES["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
HOSTS = ("nats-0.nats", "nats-1.nats", "nats-2.nats")


def on_loopback(text: str, ports: dict[str, int]) -> str:
    """Replace `host:port` of each server by a port of loopback."""
    for endpoint, port in ports.items():
        text = text.replace(endpoint, f"127.0.0.1:{port}")
    return text


async def read(port: int, path: str) -> Any:
    def get() -> Any:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=LIMIT_S) as answer:
            return json.load(answer)

    return await asyncio.to_thread(get)


async def wait_connected(io: zmqio.Server, ports: list[int]) -> int:
    """Wait until the node is ready, and connected to one of these servers; return the port of its monitoring."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            for port in ports:
                found = (await read(port, "/connz"))["connections"]
                if io.health().ready and f"zmqio node {io.node_id}" in [each.get("name") for each in found]:
                    return port
            await asyncio.sleep(0.05)


async def wait_routes(port: int) -> None:
    """Wait until the server with this monitoring port has routes to both others."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if (await read(port, "/routez"))["num_routes"] >= 2:
                return
            await asyncio.sleep(0.05)


def test_kubernetes_accepts_the_resources() -> None:
    for resource in yaml.safe_load_all(KUBERNETES):
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    volumes = RESOURCES["StatefulSet"]["spec"]["template"]["spec"]["volumes"]
    assert volumes == [{"name": "config", "configMap": {"name": RESOURCES["ConfigMap"]["metadata"]["name"]}}]
    assert (
        CONTAINER["args"][1]
        == f"{CONTAINER['volumeMounts'][0]['mountPath']}/{next(iter(RESOURCES['ConfigMap']['data']))}"
    )
    service, claimed = RESOURCES["Service"], RESOURCES["StatefulSet"]["spec"]
    assert (service["metadata"]["name"], service["spec"]["selector"]) == (claimed["serviceName"], {"app": "nats"})


async def test_servers_of_kubernetes_form_a_cluster_and_a_node_moves_before_one_stops(tmp_path: Path) -> None:
    routes = {f"{host}:6222": free_port() for host in HOSTS}
    clients = {f"{host}:4222": free_port() for host in HOSTS}
    monitoring: list[int] = []
    (address,) = re.findall(r'value: "(nats://.*?)"', KUBERNETES)
    with ExitStack() as stack:
        for number, host in enumerate(HOSTS):
            monitoring.append(free_port())
            text = RESOURCES["ConfigMap"]["data"]["nats.conf"]
            for old, new in (
                ("http: 8222", f"http: 127.0.0.1:{monitoring[-1]}"),
                ("port: 6222", f"listen: 127.0.0.1:{routes[f'{host}:6222']}"),
            ):
                assert old in text
                text = text.replace(old, new)
            (tmp_path / f"{number}.conf").write_text(on_loopback(text, routes))
            arguments = ["-c", str(tmp_path / f"{number}.conf"), "-P", str(tmp_path / f"{number}.pid")]
            assert [arguments[0], arguments[2]] == CONTAINER["args"][::2]
            stack.enter_context(NatsServerProcess(*arguments, port=clients[f"{host}:4222"]))
        probe = CONTAINER["readinessProbe"]["httpGet"]
        assert await read(monitoring[0], probe["path"]) == {"status": "ok"}
        async with zmqio.Server(on_loopback(address, clients)) as io:
            here = await wait_connected(io, monitoring)
            await wait_routes(here)
            stop = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
            pid_file = str(tmp_path / f"{monitoring.index(here)}.pid")
            command = [part.replace("/var/run/nats.pid", pid_file) for part in stop]
            assert command != stop
            assert command[0] == "nats-server"
            await asyncio.to_thread(
                subprocess.run, [nats_server_program(), *command[1:]], check=True, timeout=LIMIT_S
            )
            await wait_connected(io, [port for port in monitoring if port != here])


async def test_servers_of_compose_form_a_cluster_that_a_node_uses() -> None:
    services = COMPOSE["services"]
    names = [name for name in services if name.startswith("nats-")]
    routes = {f"{name}:6222": free_port() for name in names}
    clients = {f"{name}:4222": free_port() for name in names}
    node = services["node-1"]
    assert list(addresses_of(node["environment"]["ZMQIO_ADAPTER"])) == [f"nats://{each}" for each in clients]
    assert node["depends_on"] == names
    with ExitStack() as stack:
        ports = [free_port() for _ in names]
        for name, port in zip(names, ports, strict=True):
            own = services[name]["command"].replace("0.0.0.0:6222", f"127.0.0.1:{routes[f'{name}:6222']}")
            arguments = [*shlex.split(on_loopback(own, routes)), "-m", str(port)]
            stack.enter_context(NatsServerProcess(*arguments, port=clients[f"{name}:4222"]))
        async with zmqio.Server(on_loopback(node["environment"]["ZMQIO_ADAPTER"], clients)) as io:
            here = await wait_connected(io, ports)
            await wait_routes(here)


def test_compose_publishes_ports_of_nodes_on_loopback_only() -> None:
    services = COMPOSE["services"]
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert [name for name, found in ports.items() if found] == ["node-1", "node-2"]
    assert all(port.startswith("127.0.0.1:") for found in ports.values() for port in found)
