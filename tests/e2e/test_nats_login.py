"""Nodes that log in to a NATS server with a token, an nkey or a credentials file, and nodes that use TLS."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

import zmqio
from tests.nats.test_sender import refusal
from tests.support.nats_accounts import make_credentials, make_nkey
from tests.support.nats_server import NatsServerProcess
from tests.support.timing import LIMIT_S, wait_until
from tests.support.tools import require
from zmqio.emitter import AsyncEmitter, Emitter

pytestmark = pytest.mark.e2e


async def wait_ready(*adapters: zmqio.NatsAdapter) -> None:
    """Check that a node on each adapter is ready, and that all see each other."""
    servers = [zmqio.Server(adapter) for adapter in adapters]
    for server in servers:
        await server.start()
    await wait_until(lambda: all(server.health().ready for server in servers), "all nodes are ready")
    await wait_until(lambda: all(server.server_count() == len(servers) for server in servers), "they know all")
    for server in servers:
        await server.close()


async def test_token() -> None:
    with NatsServerProcess("--auth", "t0ken") as server:
        address = server.address.replace("://", "://t0ken@")
        await wait_ready(zmqio.NatsAdapter(address), zmqio.NatsAdapter(address))


@pytest.mark.parametrize("make", [make_nkey, make_credentials])
async def test_keys_of_a_user(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials, text = make(tmp_path)
    config = tmp_path / "nats.conf"
    config.write_text(text)
    with NatsServerProcess("-c", str(config)) as server:
        await wait_ready(*(zmqio.NatsAdapter(server.address, credentials=credentials) for _ in range(2)))
        assert "refuses the login" in await asyncio.to_thread(refusal, server.address)
        monkeypatch.setenv("ZMQIO_NATS_CREDENTIALS", str(credentials))
        with Emitter(server.address, send_timeout_s=LIMIT_S) as emitter:
            await asyncio.to_thread(emitter.emit, "x")
            await asyncio.to_thread(emitter.flush)


async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", str(certificate), "-keyout", str(key)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    with NatsServerProcess("--tls", "--tlscert", str(certificate), "--tlskey", str(key), scheme="tls") as server:
        context = ssl.create_default_context(cafile=str(certificate))
        await wait_ready(*(zmqio.NatsAdapter(server.address, ssl_context=context) for _ in range(2)))
        await check_unknown_authority(server.address)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # as for any program that uses OpenSSL
        await wait_ready(zmqio.NatsAdapter(server.address))
        with Emitter(server.address, send_timeout_s=LIMIT_S) as emitter:
            await asyncio.to_thread(emitter.emit, "x")
            await asyncio.to_thread(emitter.flush)
        async with AsyncEmitter(server.address, send_timeout_s=LIMIT_S) as emitter:
            await emitter.emit("x")
            await emitter.flush()


async def check_unknown_authority(address: str) -> None:
    server = zmqio.Server(zmqio.NatsAdapter(address))
    await server.start()
    await wait_until(lambda: "certificate verify failed" in " ".join(server.health().reasons), "the reason")
    await server.close()
