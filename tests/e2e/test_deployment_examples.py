"""examples/docker, systemd and kubernetes: what can be checked without a container engine or a cluster."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.example_server import START_LIMIT_S
from tests.support.forked import start
from tests.support.pages import ROOT
from tests.support.ports import free_port, free_port_block
from tests.support.timing import LIMIT_S
from tests.support.tools import require

EXAMPLES = ROOT / "examples"
BIN = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((EXAMPLES / "docker" / "compose.yml").read_text())


def instruction(name: str) -> str:
    """Return the arguments of an instruction of the Dockerfile; of the last one, if there are several."""
    found: list[str] = re.findall(rf"^{name} (.*)$", (EXAMPLES / "docker" / "Dockerfile").read_text(), re.M)
    return found[-1]


async def succeeds(command: list[str]) -> bool:
    """Whether a command of a health check ends with exit code 0."""
    process = await asyncio.create_subprocess_exec(sys.executable, *command[1:], stderr=subprocess.DEVNULL)
    return await asyncio.wait_for(process.wait(), LIMIT_S) == 0


async def test_image_runs_the_app_and_its_health_check_sees_it() -> None:
    port = str(free_port())
    command = [
        part.replace("0.0.0.0", "127.0.0.1").replace("8000", port) for part in json.loads(instruction("CMD"))
    ]
    check = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2].replace(":8000", f":{port}"))
    assert check[0] == "python"
    assert not await succeeds(check)
    environment = process_environment()
    process = start(
        [str(BIN / command[0]), *command[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        cwd=EXAMPLES / "tutorial",
    )
    try:
        async with asyncio.timeout(START_LIMIT_S):
            while not await succeeds(check):
                assert process.poll() is None
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, LIMIT_S)


def test_image_does_not_run_as_root() -> None:
    assert instruction("USER") not in ("root", "0")


async def test_broker_of_compose_is_seen_by_its_health_check() -> None:
    service = COMPOSE["services"]["broker"]
    base = free_port_block(4)
    check = [part.replace("5555", str(base)) for part in service["healthcheck"]["test"][1:]]
    assert not await succeeds(check)
    assert service["command"][:4] == ["zmqio", "broker", "--bind", "tcp://*:5555"]
    with BrokerProcess(address=f"tcp://127.0.0.1:{base}"):
        async with asyncio.timeout(START_LIMIT_S):
            while not await succeeds(check):  # it waits for an answer 2 s at most
                pass


def test_compose_publishes_loopback_only_and_isolates_the_bus() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert COMPOSE["networks"]["bus"]["internal"] is True
    node = COMPOSE["services"]["node"]
    drain_s = int(node["environment"]["ZMQIO_DRAIN_S"])
    assert int(node["stop_grace_period"].removesuffix("s")) >= drain_s + 20


@pytest.mark.parametrize("unit", sorted(path.name for path in (EXAMPLES / "systemd").glob("*.service")))
def test_systemd_accepts_the_unit(unit: str, tmp_path: Path) -> None:
    analyze = require("systemd-analyze")
    text = (EXAMPLES / "systemd" / unit).read_text().replace("/opt/chat/venv/bin", str(BIN))
    path = tmp_path / unit.replace("@", "@8000")
    path.write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if path.name in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


def test_kubernetes_accepts_the_resources() -> None:
    resources = list(yaml.safe_load_all((EXAMPLES / "kubernetes" / "chat.yml").read_text()))
    kinds = [resource["kind"] for resource in resources]
    for resource in resources:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    assert {"StatefulSet", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress"} <= set(kinds)
